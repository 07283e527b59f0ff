/** All that a tree shows, one line an entry, so that two of them compare with a readable difference. */
import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readFileSync } from "node:fs";
import { getXattr, listXattrs } from "../../src/base/xattrs.ts";
import { compareNames, fsPath, readLink, readNames } from "../../src/base/path-bytes.ts";

export interface LookOptions {
  /** Modification times; true when absent. */
  times?: boolean;
}

/** Lines for the root (`/`) and everything below it, in the order of their names. */
export function look(root: string, { times = true }: LookOptions = {}): string[] {
  const firstNames = new Map<string, string>();
  const lines: string[] = [];
  const visit = (path: string) => {
    const full = root + path;
    const stat = lstatSync(fsPath(full), { bigint: true });
    const mode = (Number(stat.mode) & 0o7777).toString(8).padStart(4, "0");
    const time = times ? ` ${stat.mtimeNs}` : "";
    lines.push(
      `${path || "/"} ${mode} ${stat.uid}:${stat.gid}${time} ${content(full, path, stat)}${xattrs(full)}`,
    );
    if (stat.isDirectory()) for (const name of readNames(full).sort(compareNames)) visit(`${path}/${name}`);
  };
  const content = (full: string, path: string, stat: BigIntStats): string => {
    if (stat.isDirectory()) return "directory";
    if (stat.isSymbolicLink()) return `-> ${readLink(full)}`;
    const key = `${stat.dev}:${stat.ino}`;
    const first = stat.nlink > 1n ? (firstNames.get(key) ?? path) : path;
    if (stat.nlink > 1n) firstNames.set(key, first);
    const same = first === path ? "" : ` = ${first}`;
    if (stat.isFile()) {
      const digest = createHash("sha256")
        .update(readFileSync(fsPath(full)))
        .digest("hex")
        .slice(0, 12);
      return `file ${stat.size} ${digest}${same}`;
    }
    return `special ${(Number(stat.mode) & 0o170000).toString(8)} ${stat.rdev}${same}`;
  };
  visit("");
  return lines;
}

function xattrs(path: string): string {
  const names = listXattrs(path).filter((name) => !name.startsWith("user.overlay."));
  return names
    .sort()
    .map((name) => ` ${name}=${getXattr(path, name)?.toString("hex")}`)
    .join("");
}
