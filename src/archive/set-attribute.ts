/** Extended attributes of files that belong to this process, whatever their mode, and where it may not set them. */
import { lstatSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { chmodItself } from "../base/file-calls.ts";
import { setXattr } from "../base/xattrs.ts";
import { fsPath } from "../base/path-bytes.ts";
import { isOptional, type Owner, type OwnerNote } from "./owner-note.ts";
import { CAPABILITY_NOTE, CAPABILITY_XATTR } from "./xattr-policy.ts";

/**
 * Sets one of a path itself. `notes`: where owners are noted beside files, capabilities are too if this process may not
 * give them, as without user namespaces. Errors as of setxattr(2).
 */
export function setAttribute(path: string, name: string, value: Uint8Array, notes: boolean): void {
  try {
    setXattr(path, name, value);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "EPERM" && notes && name === CAPABILITY_XATTR)
      setAttribute(path, CAPABILITY_NOTE, value, notes);
    else if (code === "EACCES") setWritable(path, name, value);
    else throw error;
  }
}

/** Notes an owner beside a path's file; links and fifos go without one where this process may not write it. */
export function setOwnerNote(path: string, note: OwnerNote, owner: Owner & { mode: number }): void {
  try {
    setAttribute(path, note.attribute, note.format(owner), false);
  } catch (error) {
    if (!isOptional(note) || errnoOf(error) !== "EPERM") throw error;
  }
}

/** Attributes of users take the right to write (xattr(7)), which an owner who is not root may lack. */
function setWritable(path: string, name: string, value: Uint8Array): void {
  const mode = lstatSync(fsPath(path)).mode & 0o7777;
  chmodItself(path, mode | 0o200);
  try {
    setXattr(path, name, value);
  } finally {
    chmodItself(path, mode);
  }
}
