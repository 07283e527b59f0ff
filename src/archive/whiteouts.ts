/** Deletions in the two notations: OCI layers (image-spec layer.md, "Whiteouts") and overlayfs diff directories. */
import type { BigIntStats } from "node:fs";
import { getXattr } from "../base/libc.ts";
import { OPAQUE_XATTRS } from "./xattr-policy.ts";

/** Stands before the name of a deleted entry. */
export const WHITEOUT_PREFIX = ".wh.";

/** In a directory: nothing of it below is visible. */
export const OPAQUE_MARKER = ".wh..wh..opq";

/** Names with it were AUFS's own bookkeeping; all but the opaque marker mean nothing in a layer. */
export const AUFS_PREFIX = ".wh..wh.";

/** Whether a file of a diff directory is overlayfs's whiteout: character device 0:0. */
export function isWhiteout(stat: BigIntStats): boolean {
  return stat.rdev === 0n && stat.isCharacterDevice();
}

/** Whether a directory of a diff directory hides what is below it; `xattrs` are its attributes' names. */
export function isOpaque(path: string, xattrs: readonly string[]): boolean {
  return OPAQUE_XATTRS.some(
    (name) => xattrs.includes(name) && getXattr(path, name)?.toString("latin1") === "y",
  );
}
