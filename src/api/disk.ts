/** What fills the disk, and making room. */
import { join } from "node:path";
import type { DiskUsage, ImageInfo, PruneOptions, PruneResult, Store } from "../api-types.ts";
import { cleanStaleState } from "../sandbox/run-directory.ts";
import { allContainers, type ContainerRecord } from "../store/container-records.ts";
import { keptLogs } from "../store/kept-logs.ts";
import { type PruneRequest, pruneStore } from "../store/prune.ts";
import { withReserve } from "../store/reserve.ts";
import type { StoreFiles } from "../store/store.ts";
import { cacheMounts, diskBytes, thingBytes, usersOfThings } from "../store/usage.ts";
import { openContainer } from "./container.ts";
import { listImages } from "./images.ts";
import { removeOrphans } from "./owned-containers.ts";
import { filesOf } from "./store.ts";

/**
 * Removes what nothing needs: images and lists without a name that no container comes from, the build cache, and the
 * files of what is gone. Running builds lose nothing that they use.
 */
export async function pruneImages(store: Store, options: PruneOptions = {}): Promise<PruneResult> {
  const files = filesOf(store);
  const orphans = removeOrphans(store);
  cleanStaleState(store.runRoot);
  const images = listImages(store).filter((image) => isPruned(image, options));
  const ids = new Set(images.map(({ id }) => id));
  const containers = options.force ? allContainers(files.db).filter((one) => comesFrom(one, ids)) : [];
  const containersBytes = sumOf(containers.map(({ id }) => containerBytes(files, id)));
  for (const { id } of containers) await (await openContainer(store, id)).remove();
  const keepsCache = options.keepCache === true || (options.labels ?? []).length > 0;
  const request: PruneRequest = {
    images: images.filter(({ isList }) => !isList).map(({ id }) => id),
    lists: images.filter(({ isList }) => isList).map(({ id }) => id),
    named: options.all ?? false,
    keepCacheBytes: options.keepCacheBytes,
    cacheBefore: keepsCache ? undefined : (options.until ?? Number.MAX_SAFE_INTEGER),
  };
  const pruned = withReserve(files.root, () => pruneStore(files, request));
  return {
    untagged: pruned.untagged,
    images: pruned.images,
    containers: [...orphans, ...containers.map(({ name }) => name)],
    cacheEntries: pruned.cacheEntries,
    reclaimedBytes: containersBytes + pruned.bytes,
  };
}

function comesFrom(container: ContainerRecord, images: ReadonlySet<string>): boolean {
  return container.imageId !== undefined && images.has(container.imageId);
}

function isPruned(image: ImageInfo, { all, until, labels = [] }: PruneOptions): boolean {
  if (!all && image.names.length > 0) return false;
  if (until !== undefined && !(Date.parse(image.created) < until)) return false;
  return labels.every((label) => {
    const at = label.indexOf("=");
    const key = at === -1 ? label : label.slice(0, at);
    return Object.hasOwn(image.labels, key) && (at === -1 || image.labels[key] === label.slice(at + 1));
  });
}

type Kind = "images" | "containers" | "cache" | "unfinished" | "unused";

/** The first of these that uses a thing answers for its bytes. */
const OWNERS: [prefix: RegExp, kind: Kind][] = [
  [/^(?:image|index):/, "images"],
  [/^container:/, "containers"],
  [/^cache:/, "cache"],
  [/^session:/, "unfinished"],
];

/** What goes with `prune --all`, but for images that containers come from. */
const FREE_USER = /^(?:image|index|cache):/;

/** What fills the disk, in allocated bytes; what several images or containers share counts once, in the sums. */
export function diskUsage(store: Store): DiskUsage {
  const files = filesOf(store);
  const records = allContainers(files.db);
  const inUse = new Set(records.flatMap(({ imageId }) => (imageId === undefined ? [] : [imageId])));
  const sums: Record<Kind, number> = { images: 0, containers: 0, cache: 0, unfinished: 0, unused: 0 };
  const shares = new Map<string, { total: number; unique: number }>();
  let blobs = 0;
  let reclaimableImages = 0;
  for (const [thing, users] of usersOfThings(files)) {
    const bytes = thingBytes(files, thing);
    const owner = OWNERS.find(([prefix]) => users.some((user) => prefix.test(user)));
    sums[owner?.[1] ?? "unused"] += bytes;
    if (thing.startsWith("sha256:")) blobs += bytes;
    const images = users.filter((user) => OWNERS[0]![0].test(user));
    for (const user of images) {
      const share = shares.get(user) ?? { total: 0, unique: 0 };
      shares.set(user, {
        total: share.total + bytes,
        unique: share.unique + (users.length === 1 ? bytes : 0),
      });
    }
    const isFree = users.every((user) => FREE_USER.test(user) && !inUse.has(user.replace(/^image:/, "")));
    if (images.length > 0 && isFree) reclaimableImages += bytes;
  }
  const containers = records.map(({ id, name }) => ({
    id,
    name,
    bytes: containerBytes(files, id),
  }));
  const mounts = cacheMounts(files).map((name) => diskBytes(join(files.root, "cache-mounts", name)));
  const logs = keptLogs(files).map(diskBytes);
  const unfinished = sums.unfinished + diskBytes(join(files.root, "tmp"));
  const own = ["cooper.db", "cooper.db-wal", "cooper.db-shm", "reserve"];
  const database = sumOf(own.map((name) => diskBytes(join(files.root, name))));
  const images = listImages(store).map(({ id, names, isList }) => ({
    id,
    names,
    ...(shares.get(`${isList ? "index" : "image"}:${id}`) ?? { total: 0, unique: 0 }),
    inUse: inUse.has(id),
  }));
  const cacheEntries = countSteps(store);
  const parts = {
    images: { count: images.length, bytes: sums.images, reclaimable: reclaimableImages },
    containers: {
      count: containers.length,
      bytes: sums.containers + sumOf(containers.map((c) => c.bytes)),
      reclaimable: 0,
    },
    cache: { count: cacheEntries, bytes: sums.cache, reclaimable: sums.cache },
    cacheMounts: { count: mounts.length, bytes: sumOf(mounts), reclaimable: sumOf(mounts) },
    logs: { count: logs.length, bytes: sumOf(logs), reclaimable: sumOf(logs) },
    unfinished: { count: 0, bytes: unfinished + sums.unused, reclaimable: sums.unused },
    database: { count: 1, bytes: database, reclaimable: 0 },
  };
  return {
    ...parts,
    blobBytes: blobs,
    totalBytes: sumOf(Object.values(parts).map(({ bytes }) => bytes)),
    perImage: images.map(({ total, unique, ...image }) => ({
      ...image,
      bytes: total,
      sharedBytes: total - unique,
    })),
    perContainer: containers,
  };
}

function containerBytes(files: StoreFiles, id: string): number {
  return diskBytes(join(files.root, "containers", id));
}

function sumOf(numbers: number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}

function countSteps(store: Store): number {
  return (filesOf(store).db.query("SELECT count(*) AS steps FROM cache").get() as { steps: number }).steps;
}
