/** A directory tree as text, one line an entry, so that two of them compare with a readable difference. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export interface TreeOptions {
  /** Leave out owners, where the tree is seen from outside a user namespace. */
  owners?: boolean;
}

/**
 * Lines `PATH KIND MODE UID:GID …` in the order of their names; a file with its size and the start of its digest, a
 * symbolic link with its target, and names of one hard-linked file with the first of them. The root itself is left out.
 */
export function describeTree(root: string, { owners = true }: TreeOptions = {}): string[] {
  const firstNames = new Map<string, string>();
  return paths(root, "").map((path) => {
    const full = join(root, path);
    const stat = lstatSync(full);
    const owner = owners ? ` ${stat.uid}:${stat.gid}` : "";
    const head = (kind: string) =>
      `${path} ${kind} ${(stat.mode & 0o7777).toString(8).padStart(4, "0")}${owner}`;
    if (stat.isDirectory()) return head("directory");
    // The mode of a symbolic link says nothing.
    if (stat.isSymbolicLink()) return `${path} link${owner} -> ${readlinkSync(full)}`;
    if (!stat.isFile()) return head("special");
    const key = `${stat.dev}:${stat.ino}`;
    const first = firstNames.get(key) ?? path;
    firstNames.set(key, first);
    const digest = createHash("sha256").update(readFileSync(full)).digest("hex").slice(0, 16);
    return `${head("file")} ${stat.size} ${digest}${first === path ? "" : ` = ${first}`}`;
  });
}

function paths(root: string, below: string): string[] {
  return readdirSync(join(root, below), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(below, entry.name);
      return entry.isDirectory() ? [path, ...paths(root, path)] : [path];
    });
}
