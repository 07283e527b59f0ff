/** --cache-to: what the steps of a build gave goes to where other machines find it. */
import type { Digest } from "../base/digest.ts";
import { CooperError, messageOf, wrapError } from "../base/errors.ts";
import { recodedLayers } from "../image/recoded-layers.ts";
import { type CacheEntry, type CacheLayer, writeCacheEntry } from "../oci/cache-entry.ts";
import { layerMediaType } from "../oci/media-types.ts";
import type { Descriptor } from "../oci/types.ts";
import { layerTar } from "../store/pack.ts";
import { type CachePlace, openCachePlace } from "../transport/cache-place.ts";
import { untilKept } from "../transport/lost-upload.ts";
import { mapConcurrent } from "../transport/map-concurrent.ts";
import type { Build } from "./build-image.ts";
import { isEmptyLayer, layerOf, type Measured, measureFrozen } from "./portable-key.ts";
import {
  type CacheTarget,
  readEntry,
  type RemoteCache,
  type RemoteHit,
  type StepRecord,
  warn,
} from "./remote-cache.ts";
import { layerContent } from "./remote-layers.ts";
import { leakInSnapshot } from "./leak-guard.ts";

/** Entries that are written at once. */
const CONCURRENCY = 4;

/** One place that is being written. */
export interface Export {
  build: Build;
  remote: RemoteCache;
  target: CacheTarget;
  place: CachePlace;
  /** Keys that were dealt with. */
  seen: Set<Digest>;
  /** Entries that were not there, or not so. */
  written: number;
  /** Bytes of blobs that were sent. */
  bytes: number;
}

/**
 * Exports to every --cache-to, each in an order in which an entry's blobs come before itself. What a secret leaked into
 * stays here, with a warning. Throws what keeps a place from being written, unless its failures are to be ignored.
 */
export async function exportCache(build: Build, remote: RemoteCache): Promise<void> {
  const steps = await withoutLeaks(build, remote.steps);
  for (const target of build.request.cacheTo) {
    try {
      await exportTo(build, remote, target, steps);
    } catch (error) {
      if (build.request.signal.aborted || !target.ignoreErrors)
        throw wrapError("Cannot export the cache", error);
      warn(build.request, `The cache was not exported: ${messageOf(error)}`);
    }
  }
}

async function exportTo(
  build: Build,
  remote: RemoteCache,
  target: CacheTarget,
  all: StepRecord[],
): Promise<void> {
  const { registry, onEvent, signal } = build.request;
  const place = await openCachePlace(target.location, { ...registry, signal }, "write");
  const work: Export = { build, remote, target, place, seen: new Set(), written: 0, bytes: 0 };
  const chain = target.mode === "min" ? stagesBelow(build) : undefined;
  const steps = all.filter(({ stage }) => chain?.has(stage) !== false);
  await mapConcurrent(steps, CONCURRENCY, (step) => exportStep(work, step));
  const mounts = target.mounts ? [...remote.mounts.values()] : [];
  if (mounts.length > 0) {
    const { exportMount } = await import("./export-mounts.ts");
    for (const mount of mounts) await exportMount(work, mount);
  }
  const { written, bytes, seen } = work;
  const entries = seen.size + mounts.length;
  onEvent({ type: "cache-exported", place: place.name, entries, written, bytes });
}

/** The target's stage and those that it is FROM. */
function stagesBelow({ plan }: Build): Set<number> {
  const chain = new Set<number>();
  for (let index = plan.target; ; ) {
    chain.add(index);
    const { base } = plan.stages[index]!;
    if (base.kind !== "stage") return chain;
    index = base.stage;
  }
}

/** Steps up to the first of each stage that holds a secret: those behind it could not be found without it. */
async function withoutLeaks(build: Build, steps: StepRecord[]): Promise<StepRecord[]> {
  const leaking = new Set<number>();
  const clean: StepRecord[] = [];
  for (const step of steps) {
    if (leaking.has(step.stage)) continue;
    const id = step.depth === undefined ? undefined : step.state.frozen[step.depth];
    const leak = id === undefined || isElsewhere(id) ? undefined : await leakInSnapshot(build, id);
    if (leak === undefined) clean.push(step);
    else {
      leaking.add(step.stage);
      const why = `the secret "${leak.id}" is in ${leak.place}`;
      warn(build.request, `The step "${step.text}" and those after it are not exported: ${why}`);
    }
  }
  return clean;
}

const isElsewhere = (id: string) => id.startsWith("remote:");

async function exportStep(work: Export, step: StepRecord): Promise<void> {
  const { build, place } = work;
  build.request.signal.throwIfAborted();
  for (const portable of step.keys) {
    const key = await portable();
    // Stages may have steps in common.
    if (work.seen.has(key)) continue;
    work.seen.add(key);
    // Nothing that was found there is sent back.
    if (step.hit?.place.name === place.name && step.hit.entry.key === key) continue;
    if (step.hit === undefined) await exportResult(work, step, key);
    else await passOn(work, step, step.hit, key);
  }
}

async function exportResult(work: Export, step: StepRecord, key: Digest): Promise<void> {
  const { build, place } = work;
  const found = step.depth === undefined ? undefined : await measureFrozen(build, step.state, step.depth);
  const measured = found === undefined || isEmptyLayer(found) ? undefined : found;
  if (!step.isNew && (await isThere(place, key, measured))) return;
  const layers =
    measured === undefined
      ? []
      : [
          await sendLayer(work, measured, async () =>
            layerTar(build.store, await layerOf(build, step.state, step.depth!)),
          ),
        ];
  await sendEntry(work, { key, created: step.created, layers });
}

/** Whether the place has the same result for a key. An entry that is none is written anew. */
async function isThere(place: CachePlace, key: Digest, measured: Measured | undefined): Promise<boolean> {
  const entry = await readEntryAgain(place, key);
  return entry !== undefined && entry.layers.length <= 1 && entry.layers[0]?.diffId === measured?.diffId;
}

/** The entry that is there, if it is one. */
export async function readEntryAgain(place: CachePlace, key: Digest): Promise<CacheEntry | undefined> {
  try {
    return await readEntry(place, key);
  } catch (error) {
    if (error instanceof CooperError && /^(?:invalid|integrity|unsupported|not-found)$/.test(error.code))
      return undefined;
    throw error;
  }
}

/** From one cache to another, without unpacking it here. */
async function passOn(work: Export, step: StepRecord, hit: RemoteHit, key: Digest): Promise<void> {
  const { build, place } = work;
  const there = await readEntryAgain(place, key);
  if (there !== undefined && there.layers[0]?.diffId === hit.entry.layers[0]?.diffId) return;
  for (const layer of hit.entry.layers) {
    if (await place.exists(layer.blob)) continue;
    try {
      await untilKept(async () => place.push(await layerContent(build, hit, layer), layer.blob));
    } catch (error) {
      if (build.request.signal.aborted) throw error;
      warn(build.request, `The step "${step.text}" is not passed on to ${place.name}: ${messageOf(error)}`);
      return;
    }
    work.bytes += layer.blob.size;
  }
  await sendEntry(work, { ...hit.entry, key });
}

/** Sends a layer, compressed, unless the place has it; `tar` packs it. */
export async function sendLayer(
  work: Export,
  { diffId, size }: Measured,
  tar: () => Promise<Iterable<Uint8Array>>,
): Promise<CacheLayer> {
  const { build, place, target } = work;
  const { compression } = target;
  const mediaType = layerMediaType("oci", compression);
  const recoded = recodedLayers(build.store);
  const known = recoded.find(diffId, compression, undefined);
  if (known !== undefined && (await place.exists({ ...known, mediaType })))
    return { blob: { mediaType, ...known }, diffId, size };
  const { compress } = await import("../archive/compress.ts");
  const check = (digest: Digest) => {
    if (digest !== diffId)
      throw new CooperError("integrity", "Files of a step changed after it was run: they are not exported");
  };
  const blob = await untilKept(async () => place.push(compress(await tar(), compression, undefined, check)));
  recoded.add(diffId, compression, undefined, blob);
  work.bytes += blob.size;
  return { blob: { mediaType, ...blob } satisfies Descriptor, diffId, size };
}

/** Writes an entry of which the layers are there. */
export async function sendEntry(work: Export, entry: CacheEntry): Promise<void> {
  const { manifest, config } = writeCacheEntry(entry);
  const { place } = work;
  await place.push(oneChunk(config));
  await place.write(entry.key.slice("sha256:".length), manifest);
  work.written++;
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
