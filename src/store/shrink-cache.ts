/** Making the build cache fit into a number of bytes: what was used longest ago goes first. */
import { renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { tryLock } from "./locks.ts";
import { dropUses } from "./snapshot-records.ts";
import type { StoreFiles } from "./store.ts";
import { cacheMounts, diskBytes, thingBytes, usersOfThings, exportedNote } from "./usage.ts";

interface Step {
  key: Digest;
  snapshot: string | null;
  /** Milliseconds since 1970, as are those below. */
  used: number;
  created: number;
}

interface Candidate {
  used: number;
  created: number;
  /** Forgets it; returns the bytes that this makes free. */
  remove(): number;
}

const HOUR = 3_600_000;

/** In bytes: how large the cache may stay, or how much is to become free. */
export type ShrinkGoal = { keep: number } | { free: number };

export interface Shrunk {
  steps: number;
  /** What all of it makes free, the snapshots when they are deleted. */
  bytes: number;
  /** The part of cache mounts, which is free already. */
  mountBytes: number;
}

/**
 * Forgets cached steps and cache mounts until the goal is reached, or nothing is left that was last used before `before`,
 * beginning with what was used longest ago; `precision` tells to how many milliseconds that is known of steps (see touchSteps()).
 * What images and containers use too takes nothing of the cache, and their steps stay. The snapshots of forgotten steps are
 * garbage afterwards; those that this process made or used, when its session ends.
 */
export function shrinkCache(store: StoreFiles, goal: ShrinkGoal, before: number, precision = HOUR): Shrunk {
  const owned = cacheOwned(store);
  const shrunk: Shrunk = { steps: 0, bytes: 0, mountBytes: 0 };
  const candidates = [...steps(store, owned, shrunk), ...mounts(store, shrunk)];
  const mountTotal = cacheMounts(store).reduce((sum, name) => sum + diskBytes(mountPath(store, name)), 0);
  const total = mountTotal + [...owned.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const free = "free" in goal ? goal.free : total - goal.keep;
  for (const candidate of candidates.sort(byAge(precision))) {
    if (shrunk.bytes >= free) break;
    if (candidate.used < before) shrunk.bytes += candidate.remove();
  }
  return shrunk;
}

/** Of steps that were used at the same time, the later ones stand on the earlier, and so go first. */
function byAge(precision: number): (a: Candidate, b: Candidate) => number {
  const time = (used: number) => Math.floor(used / precision);
  return (a, b) => time(a.used) - time(b.used) || b.created - a.created;
}

/** Snapshots that only cached steps use, and perhaps this process, whose work is done: which steps, and how large they are. */
function cacheOwned(store: StoreFiles): Map<string, { users: Set<string>; bytes: number }> {
  const owned = new Map<string, { users: Set<string>; bytes: number }>();
  const own = `session:${store.session.id}`;
  for (const [thing, all] of usersOfThings(store)) {
    const users = all.filter((user) => user !== own);
    if (users.length > 0 && users.every((user) => user.startsWith("cache:")))
      owned.set(thing, { users: new Set(users), bytes: thingBytes(store, thing) });
  }
  return owned;
}

function steps(store: StoreFiles, owned: ReturnType<typeof cacheOwned>, shrunk: Shrunk): Candidate[] {
  const all = store.db.query("SELECT key, snapshot, used, created FROM cache").all() as Step[];
  return all.flatMap(({ key, snapshot, used, created }) => {
    const thing = snapshot === null ? undefined : owned.get(snapshot);
    if (thing === undefined) return [];
    const remove = () => {
      if (!forgetStep(store, { key, used })) return 0;
      shrunk.steps++;
      thing.users.delete(`cache:${key}`);
      return thing.users.size === 0 ? thing.bytes : 0;
    };
    return [{ used, created, remove }];
  });
}

/** False when a build has used it meanwhile. */
function forgetStep({ db }: StoreFiles, { key, used }: Pick<Step, "key" | "used">): boolean {
  return db
    .transaction(() => {
      const gone = db.query("DELETE FROM cache WHERE key = ? AND used = ? RETURNING key").get(key, used);
      if (gone !== null) dropUses(db, `cache:${key}`);
      return gone !== null;
    })
    .immediate();
}

function mounts(store: StoreFiles, shrunk: Shrunk): Candidate[] {
  return cacheMounts(store).map((name) => {
    const used = lastUseOfMount(store, name);
    const remove = () => {
      const bytes = removeCacheMount(store, name, Number.MAX_SAFE_INTEGER);
      shrunk.mountBytes += bytes;
      return bytes;
    };
    return { used, created: used, remove };
  });
}

const mountPath = (store: StoreFiles, name: string) => join(store.root, "cache-mounts", name);

/** Milliseconds since 1970; 0 when it is not there. */
function lastUseOfMount(store: StoreFiles, name: string): number {
  const mtime = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const path = mountPath(store, name);
  return Math.max(mtime(path), mtime(`${path}.lock`));
}

/**
 * Removes a cache mount that no command uses now and that was last used before a time; returns the bytes that makes free.
 * Its lock stays: it is an empty file.
 */
export function removeCacheMount(store: StoreFiles, name: string, before: number): number {
  const directory = mountPath(store, name);
  using lock = tryLock(`${directory}.lock`, "exclusive");
  if (lock === undefined || statSync(directory, { throwIfNoEntry: false }) === undefined) return 0;
  if (lastUseOfMount(store, name) >= before) return 0;
  const bytes = diskBytes(directory);
  const trash = store.session.path("trash");
  renameSync(directory, trash);
  rmSync(exportedNote(store, name), { force: true });
  rmSync(trash, { recursive: true, force: true });
  return bytes;
}
