/** How many ids this process has: what decides whether files can be given away. */
import { chownSync, readFileSync } from "node:fs";

let known: boolean | undefined;

/**
 * Whether this process is root of a user namespace in which nobody else exists: it can own files but not give them away,
 * and every call that would fails with EINVAL (user_namespaces(7)).
 */
export function hasOneId(): boolean {
  known ??= process.geteuid?.() === 0 && isSingle(readFileSync("/proc/self/uid_map", "latin1"));
  return known;
}

/** For a user who cannot become root anywhere: from now on this process is one that has one id. */
export function haveOneId(): void {
  known = true;
}

/** Whether a uid_map has one id in all. */
export function isSingle(map: string): boolean {
  const lines = map.split("\n").filter((line) => line.trim() !== "");
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0) === 1;
}

/** Where owners of files are kept: "keep", in the files themselves; "own", in an attribute beside this process's own. */
export function fileIds(): "keep" | "own" {
  return hasOneId() ? "own" : "keep";
}

/** The same for copies. */
export function fileOwnership(): "inode" | "xattr" {
  return hasOneId() ? "xattr" : "inode";
}

/** Gives a path of the host to an owner, as far as there are others than this process: with one id, all users are one. */
export function giveAway(path: string, owner: { uid: number; gid: number }): void {
  if (!hasOneId()) chownSync(path, owner.uid, owner.gid);
}
