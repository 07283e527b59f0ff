/** Making the build cache fit into a number of bytes: what was used longest ago goes first. */
import { renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { tryLock } from "./locks.ts";
import { dropUses } from "./records.ts";
import type { StoreFiles } from "./store.ts";
import { cacheMounts, diskBytes, thingBytes, usersOfThings, exportedNote } from "./usage.ts";

interface Step {
  key: Digest;
  snapshot: string | null;
  /** Milliseconds since 1970. */
  used: number;
}

interface Candidate {
  used: number;
  /** Forgets it; returns the bytes that this makes free. */
  remove(): number;
}

export interface Shrunk {
  steps: number;
  /** Of cache mounts; the snapshots' bytes are counted when they are deleted. */
  mountBytes: number;
}

/**
 * Forgets cached steps and cache mounts until the cache takes at most `keep` bytes, or nothing is left that was last used
 * before `before`. What images and containers use too takes nothing of the cache, and their steps stay. The snapshots of
 * forgotten steps are garbage afterwards.
 */
export function shrinkCache(store: StoreFiles, keep: number, before: number): Shrunk {
  const owned = cacheOwned(store);
  const shrunk: Shrunk = { steps: 0, mountBytes: 0 };
  const candidates = [...steps(store, owned, shrunk), ...mounts(store, shrunk)];
  const mountTotal = cacheMounts(store).reduce((sum, name) => sum + diskBytes(mountPath(store, name)), 0);
  let total = mountTotal + [...owned.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  for (const candidate of candidates.sort(byAge)) {
    if (total <= keep) break;
    if (candidate.used < before) total -= candidate.remove();
  }
  return shrunk;
}

/** A step's last use is known to the hour; of an hour's steps the later ones stand on the earlier, and so go first. */
function byAge(a: Candidate, b: Candidate): number {
  const hour = (used: number) => Math.floor(used / 3_600_000);
  return hour(a.used) - hour(b.used) || b.used - a.used;
}

/** Snapshots that only cached steps use: which steps, and how large they are. */
function cacheOwned(store: StoreFiles): Map<string, { users: Set<string>; bytes: number }> {
  const owned = new Map<string, { users: Set<string>; bytes: number }>();
  for (const [thing, users] of usersOfThings(store)) {
    if (users.length > 0 && users.every((user) => user.startsWith("cache:")))
      owned.set(thing, { users: new Set(users), bytes: thingBytes(store, thing) });
  }
  return owned;
}

function steps(store: StoreFiles, owned: ReturnType<typeof cacheOwned>, shrunk: Shrunk): Candidate[] {
  const all = store.db.query("SELECT key, snapshot, used FROM cache").all() as Step[];
  return all.flatMap(({ key, snapshot, used }) => {
    const thing = snapshot === null ? undefined : owned.get(snapshot);
    if (thing === undefined) return [];
    const remove = () => {
      if (!forgetStep(store, { key, used })) return 0;
      shrunk.steps++;
      thing.users.delete(`cache:${key}`);
      return thing.users.size === 0 ? thing.bytes : 0;
    };
    return [{ used, remove }];
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
  return cacheMounts(store).map((name) => ({
    used: lastUseOfMount(store, name),
    remove: () => {
      const bytes = removeCacheMount(store, name, Number.MAX_SAFE_INTEGER);
      shrunk.mountBytes += bytes;
      return bytes;
    },
  }));
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
