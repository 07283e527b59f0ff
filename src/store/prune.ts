/** Removing many things at once: records first, in one transaction, then the files that nobody uses any more. */
import type { Digest } from "../base/digest.ts";
import { compactDatabase } from "./database.ts";
import { deleteIndexRecord } from "./indexes.ts";
import { removeLogs } from "./kept-logs.ts";
import { containersOf } from "./container-records.ts";
import { deleteImage, findImage, namesOf } from "./image-records.ts";
import { dropUses, unusedThings } from "./snapshot-records.ts";
import { collectGarbage, type StoreFiles } from "./store.ts";
import { removeCacheMount, shrinkCache } from "./shrink-cache.ts";
import { cacheMounts, thingBytes } from "./usage.ts";

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
  /** Of these, no more go than it takes for the cache to have this many bytes; undefined: all of them. */
  keepCacheBytes?: number | undefined;
}

/** Removes images, lists and cached steps, and everything that nobody uses then. */
export function pruneStore(store: StoreFiles, request: PruneRequest): Pruned {
  const { cacheBefore, keepCacheBytes } = request;
  const pruned: Pruned = { untagged: [], images: [], cacheEntries: 0, bytes: 0 };
  store.db
    .transaction(() => {
      for (const id of request.images) pruneImage(store, id, request.named, pruned);
      for (const id of request.lists) pruneList(store, id, request.named, pruned);
      if (cacheBefore !== undefined && keepCacheBytes === undefined)
        pruned.cacheEntries = forgetSteps(store, cacheBefore);
    })
    .immediate();
  if (cacheBefore !== undefined && keepCacheBytes !== undefined) {
    const { steps, mountBytes } = shrinkCache(store, { keep: keepCacheBytes }, cacheBefore);
    pruned.cacheEntries = steps;
    pruned.bytes += mountBytes;
  }
  for (const thing of unusedThings(store.db)) pruned.bytes += thingBytes(store, thing);
  collectGarbage(store);
  compactDatabase(store.db);
  if (cacheBefore === undefined) return pruned;
  pruned.bytes += removeLogs(store, cacheBefore);
  if (keepCacheBytes === undefined)
    for (const name of cacheMounts(store)) pruned.bytes += removeCacheMount(store, name, cacheBefore);
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
