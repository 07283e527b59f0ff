/** Deletions in the two notations: OCI layers (image-spec layer.md, "Whiteouts") and overlayfs diff directories. */
import type { BigIntStats } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { mknod } from "../base/file-calls.ts";
import { getXattr, setXattr } from "../base/xattrs.ts";
import { OPAQUE_XATTR, OPAQUE_XATTRS, WHITEOUT_XATTR } from "./xattr-policy.ts";

/** Stands before the name of a deleted entry. */
export const WHITEOUT_PREFIX = ".wh.";

/** In a directory: nothing of it below is visible. */
export const OPAQUE_MARKER = ".wh..wh..opq";

/** Names with it were AUFS's own bookkeeping; all but the opaque marker mean nothing in a layer. */
export const AUFS_PREFIX = ".wh..wh.";

const S_IFCHR = 0o020000;
/** Type and mode of whiteouts that are files: readable for users who are not root, too. */
const BARE_FILE = 0o100600;

/** Whether the file `path` of a diff directory is a whiteout of overlayfs, in either of its forms (makeWhiteout()). */
export function isWhiteout(stat: BigIntStats, path: string): boolean {
  if (stat.isCharacterDevice()) return stat.rdev === 0n;
  // Few files of a system are like it: the look at their attributes is spared for nearly all.
  const isBare = stat.size === 0n && Number(stat.mode) === BARE_FILE;
  return isBare && getXattr(path, WHITEOUT_XATTR) !== undefined;
}

/**
 * Makes a whiteout: the character device 0:0, for which mknod(2) needs no privilege since Linux 5.8; or where the file
 * system is itself an overlay, which refuses that device, an empty file with an attribute (since Linux 6.7 overlayfs
 * takes it for one in directories marked "x"). Error: EEXIST.
 */
export function makeWhiteout(path: string): void {
  try {
    mknod(path, S_IFCHR, 0);
  } catch (error) {
    if (errnoOf(error) !== "EPERM") throw error;
    mknod(path, BARE_FILE, 0);
    setXattr(path, WHITEOUT_XATTR, Buffer.from("y"));
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    if (getXattr(parent, OPAQUE_XATTR) === undefined) setXattr(parent, OPAQUE_XATTR, Buffer.from("x"));
  }
}

/** Makes a directory of a diff directory hide everything of the same path below. */
export function makeOpaque(path: string): void {
  setXattr(path, OPAQUE_XATTR, Buffer.from("y"));
}

/** Whether a directory of a diff directory hides what is below it; `xattrs` are its attributes' names. */
export function isOpaque(path: string, xattrs: readonly string[]): boolean {
  return OPAQUE_XATTRS.some(
    (name) => xattrs.includes(name) && getXattr(path, name)?.toString("latin1") === "y",
  );
}
