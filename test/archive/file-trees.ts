/** Makes and lists small trees for the tests of copying: one line says all that matters of an entry. */
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { mknod } from "../../src/base/file-calls.ts";
import { compareNames, fsPath, readNames } from "../../src/base/path-bytes.ts";

export interface Entry {
  /** Content of a file. */
  text?: string;
  /** Target of a symbolic link. */
  link?: string;
  /** Path of another entry that this is a hard link of. */
  hard?: string;
  /** Type bits of a special file. */
  special?: number;
  device?: bigint;
  mode?: number;
  owner?: [uid: number, gid: number];
  mtime?: number;
}

/** Paths to entries; a text is a file's content, and a path that ends in "/" is a directory. */
export type TreeSpec = Record<string, Entry | string>;

/** A scratch directory that removes itself. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "cooper-copy-"));
  const dispose = () => {
    // Directories that their owner may not write would stay.
    Bun.spawnSync(["chmod", "-R", "u+rwx", path]);
    rmSync(path, { recursive: true, force: true });
  };
  return { path, [Symbol.dispose]: dispose };
}

/** Not path.join: it does not keep names that are no UTF-8. */
function at(root: string, path: string): string {
  return `${root}/${path}`.replace(/\/$/, "");
}

export function makeTree(root: string, spec: TreeSpec): string {
  mkdirSync(root, { recursive: true });
  for (const [path, value] of Object.entries(spec)) {
    const entry = typeof value === "string" ? { text: value } : value;
    const host = at(root, path);
    mkdirSync(fsPath(dirname(host)), { recursive: true, mode: 0o755 });
    makeEntry(root, host, path, entry);
    if (entry.owner !== undefined) lchownSync(fsPath(host), ...entry.owner);
    if (entry.link === undefined && entry.mode !== undefined) chmodSync(fsPath(host), entry.mode);
  }
  // Last, and inner ones first: making entries changes times.
  for (const [path, value] of Object.entries(spec).reverse())
    if (typeof value !== "string" && value.mtime !== undefined)
      utimesSync(at(root, path), value.mtime, value.mtime);
  return root;
}

function makeEntry(root: string, host: string, path: string, entry: Entry): void {
  if (path.endsWith("/")) mkdirSync(fsPath(host), { recursive: true, mode: 0o755 });
  else if (entry.link !== undefined) symlinkSync(entry.link, fsPath(host));
  else if (entry.hard !== undefined) linkSync(at(root, entry.hard), fsPath(host));
  else if (entry.special !== undefined) mknod(host, entry.special | 0o644, entry.device ?? 0n);
  else writeFileSync(fsPath(host), entry.text ?? "", { mode: 0o644 });
}

/** `MODE UID:GID PATH` and what follows: "=content", "->target", "(links)" for several names, "#type". */
export function listTree(root: string, below = ""): string[] {
  const lines: string[] = [];
  for (const name of readNames(at(root, below)).sort(compareNames)) {
    const path = below === "" ? name : `${below}/${name}`;
    lines.push(describe(root, path));
    if (lstatSync(fsPath(at(root, path))).isDirectory()) lines.push(...listTree(root, path));
  }
  return lines;
}

function describe(root: string, path: string): string {
  const host = fsPath(at(root, path));
  const stat = lstatSync(host);
  const head = `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${path}`;
  if (stat.isDirectory()) return `${head}/`;
  if (stat.isSymbolicLink()) return `${head}->${readlinkSync(host)}`;
  if (!stat.isFile()) return `${head}#${(stat.mode & 0o170000).toString(8)}`;
  return `${head}=${readFileSync(host, "utf8")}${stat.nlink > 1 ? ` (${stat.nlink})` : ""}`;
}

/** The lines of listTree without mode and owner. */
export function pathsOf(root: string): string[] {
  return listTree(root).map((line) => line.replace(/^\d+ \d+:\d+ /, ""));
}
