/** How many ids this process has: what decides whether files can be given away. */
import { chownSync, readFileSync } from "node:fs";
import { CooperError, errnoOf } from "./errors.ts";

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
  return idCount(map) === 1;
}

/** First id inside, first id outside, and how many there are, of each line of a uid_map or gid_map. */
export function mapLines(map: string): number[][] {
  const lines = map.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => line.trim().split(/\s+/).map(Number));
}

function idCount(map: string): number {
  return mapLines(map).reduce((sum, [, , count]) => sum + count!, 0);
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

/**
 * Makes a call that gives something to an owner. Error: `unsupported`, naming the id, where this process's user namespace
 * does not have it (EINVAL in chown(2)).
 */
export function giving(owner: { uid: number; gid: number }, call: () => void): void {
  try {
    call();
  } catch (error) {
    throw (errnoOf(error) === "EINVAL" ? unmapped(owner, error) : undefined) ?? error;
  }
}

/** Error: `unsupported`, naming the id, for a user of whom this process's user namespace does not have all. */
export function requireIds(
  doing: string,
  user: { uid: number; gid: number; additionalGids: number[] },
): void {
  const lack =
    lackOf("user", user.uid) ??
    [user.gid, ...user.additionalGids]
      .map((gid) => lackOf("group", gid))
      .find((found) => found !== undefined);
  if (lack !== undefined) throw new CooperError("unsupported", `${doing} ${lack.who}`, { hint: lack.hint });
}

function unmapped({ uid, gid }: { uid: number; gid: number }, cause: unknown): CooperError | undefined {
  const lack = lackOf("user", uid) ?? lackOf("group", gid);
  return lack && new CooperError("unsupported", `it belongs to ${lack.who}`, { cause, hint: lack.hint });
}

/** An id that this process's user namespace does not have, and how it could. */
function lackOf(kind: "user" | "group", id: number): { who: string; hint: string } | undefined {
  const map = readFileSync(`/proc/self/${kind === "user" ? "uid" : "gid"}_map`, "latin1");
  if (holdsId(map, id)) return undefined;
  const file = kind === "user" ? "/etc/subuid" : "/etc/subgid";
  const count = idCount(map);
  return {
    who: `${kind} ${id}, who is not among the ${count} ids that this user may map`,
    hint: `A range of at least ${id + 1 - count} more ids in ${file} has room for it: usermod --add-${file.slice(5)}s FIRST-LAST USER, as root`,
  };
}

/** Whether a uid_map or gid_map has an id of its inside (user_namespaces(7)). */
export function holdsId(map: string, id: number): boolean {
  return mapLines(map).some(([inside, , count]) => id >= inside! && id < inside! + count!);
}
