/** Removing many things at once: records first, in one transaction, then the files that nobody uses any more. */
import { renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { deleteIndexRecord } from "./indexes.ts";
import { removeLogs } from "./kept-logs.ts";
import { tryLock } from "./locks.ts";
import { containersOf, deleteImage, dropUses, findImage, namesOf, unusedThings } from "./records.ts";
import { collectGarbage, type StoreFiles } from "./store.ts";
import { cacheMounts, diskBytes, thingBytes } from "./usage.ts";

export interface Pruned {
  /** Names and ids of what went. */
  untagged: string[];
  images: string[];
  cacheEntries: number;
  /** Bytes of files that went. */
  bytes: number;
}

export interface PruneRequest {
  /** Images by id; those that got a container meanwhile stay, and, unless `named`, those that got a name. */
  images: string[];
  lists: string[];
  named: boolean;
  /** Cached steps that were last used before this time go (milliseconds since 1970); undefined keeps all. */
  cacheBefore: number | undefined;
}

/** Removes images, lists and cached steps, and everything that nobody uses then. */
export function pruneStore(store: StoreFiles, request: PruneRequest): Pruned {
  const pruned: Pruned = { untagged: [], images: [], cacheEntries: 0, bytes: 0 };
  store.db
    .transaction(() => {
      for (const id of request.images) pruneImage(store, id, request.named, pruned);
      for (const id of request.lists) pruneList(store, id, request.named, pruned);
      if (request.cacheBefore !== undefined) pruned.cacheEntries = forgetSteps(store, request.cacheBefore);
    })
    .immediate();
  for (const thing of unusedThings(store.db)) pruned.bytes += thingBytes(store, thing);
  collectGarbage(store);
  if (request.cacheBefore !== undefined)
    pruned.bytes += removeCacheMounts(store, request.cacheBefore) + removeLogs(store, request.cacheBefore);
  return pruned;
}

function pruneImage(store: StoreFiles, id: string, named: boolean, pruned: Pruned): void {
  const names = namesOf(store.db, id);
  if (findImage(store.db, id) === undefined || (names.length > 0 && !named)) return;
  if (containersOf(store.db, id).length > 0) return;
  deleteImage(store.db, id);
  dropUses(store.db, `image:${id}`);
  pruned.untagged.push(...names);
  pruned.images.push(id);
}

function pruneList(store: StoreFiles, id: string, named: boolean, pruned: Pruned): void {
  const names = namesOf(store.db, id);
  if (names.length > 0 && !named) return;
  deleteIndexRecord(store.db, id);
  pruned.untagged.push(...names);
  pruned.images.push(id);
}

/** Forgets cached steps; when none is left, also the times that equal builds would get again. */
function forgetSteps(store: StoreFiles, before: number): number {
  const { db } = store;
  const gone = db.query("DELETE FROM cache WHERE used < ? RETURNING key").all(before) as { key: Digest }[];
  for (const { key } of gone) dropUses(db, `cache:${key}`);
  if (db.query("SELECT 1 FROM cache LIMIT 1").get() === null) db.query("DELETE FROM creation_times").run();
  return gone.length;
}

/** Removes cache mounts that no command uses now and that did not change since. Their locks stay: they are empty files. */
function removeCacheMounts(store: StoreFiles, before: number): number {
  let bytes = 0;
  for (const name of cacheMounts(store)) {
    const directory = join(store.root, "cache-mounts", name);
    using lock = tryLock(`${directory}.lock`, "exclusive");
    if (lock === undefined) continue;
    const stat = statSync(directory, { throwIfNoEntry: false });
    if (stat === undefined || Math.max(stat.mtimeMs, lastUse(`${directory}.lock`)) >= before) continue;
    bytes += diskBytes(directory);
    const trash = store.session.path("trash");
    renameSync(directory, trash);
    rmSync(trash, { recursive: true, force: true });
  }
  return bytes;
}

function lastUse(lock: string): number {
  return statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
