/** Directories that an overlay copied up and that say nothing: somebody made something in them, and took it away again. */
import { type BigIntStats, rmdirSync } from "node:fs";
import { isOverlayXattr, OPAQUE_XATTRS } from "../archive/xattr-policy.ts";
import { errnoOf } from "../base/errors.ts";
import { setTimes } from "../base/file-calls.ts";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { fsPath, statusOf } from "../base/path-bytes.ts";

/**
 * Removes the directory `path` (`/etc/apt`) of an unmounted overlay's upper directory, and those above it, as long as
 * they are empty and look as they do in the topmost of the lowers (lowest first) that has them.
 */
export function dropCopies(upper: string, lowers: readonly string[], path: string): void {
  for (let each = path; each !== ""; each = parentOf(each)) {
    const original = lowers.map((lower) => lower + each).findLast((place) => statusOf(place) !== undefined);
    if (original === undefined || !isMereCopy(upper + each, original)) return;
    const parent = upper + parentOf(each);
    const times = statusOf(parent)!;
    try {
      rmdirSync(fsPath(upper + each));
      setTimes(parent, times.mtimeNs);
    } catch (error) {
      if (errnoOf(error) === "ENOTEMPTY") return;
      throw error;
    }
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

function isMereCopy(copy: string, original: string): boolean {
  const [a, b] = [statusOf(copy), statusOf(original)];
  if (a?.isDirectory() !== true || b?.isDirectory() !== true) return false;
  if (OPAQUE_XATTRS.some((name) => getXattr(copy, name) !== undefined)) return false;
  return looks(copy, a) === looks(original, b);
}

function looks(path: string, { mode, uid, gid, mtimeNs }: BigIntStats): string {
  const attributes = listXattrs(path)
    .filter((name) => !isOverlayXattr(name))
    .sort()
    .map((name) => [name, getXattr(path, name)?.toString("hex")]);
  return JSON.stringify([...[mode, uid, gid, mtimeNs].map(String), attributes]);
}
