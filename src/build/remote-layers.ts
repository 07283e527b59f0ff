/** Steps from remote caches: found by their keys, and fetched when somebody needs their files. */
import type { Digest } from "../base/digest.ts";
import { CooperError, isDiskFull } from "../base/errors.ts";
import { containerBase } from "../container/container-base.ts";
import { fetchLayer, findSnapshot } from "../image/unpack-layers.ts";
import type { CacheLayer } from "../oci/cache-entry.ts";
import { rememberStep } from "../store/step-cache.ts";
import { withProgress } from "../transport/copy-blob.ts";
import { mapConcurrent } from "../transport/map-concurrent.ts";
import { verifiedStream } from "../transport/verified-stream.ts";
import type { Build } from "./build-image.ts";
import { isEmptyLayer, type PortableKey } from "./portable-key.ts";
import { lookUp, type PendingLayer, reject, type RemoteCache, type RemoteHit } from "./remote-cache.ts";
import type { StageState } from "./stage-state.ts";
import type { StepResult } from "./step-result.ts";

/** Layers that are fetched at once. */
const CONCURRENCY = 4;

/** Looks a step up; `keys` are those under which this store is to remember it. */
export async function findRemoteStep(
  build: Build,
  remote: RemoteCache,
  keys: Digest[],
  portable: PortableKey,
): Promise<StepResult | undefined> {
  if (remote.sources.every(({ isDown }) => isDown)) return undefined;
  const hit = await lookUp(build.request, remote, await portable(), "step");
  if (hit === undefined) return undefined;
  const { created, layers } = hit.entry;
  const found = { created, cached: true, hit };
  const [layer] = layers;
  if (layer === undefined || isEmptyLayer(layer)) {
    rememberStep(build.store, keys, { snapshot: null, result: null, created });
    return { ...found, snapshot: null, diffId: null };
  }
  const { diffId } = layer;
  const here = findSnapshot(build.store, diffId);
  if (here !== undefined) {
    rememberStep(build.store, keys, { snapshot: here, result: diffId, created });
    return { ...found, snapshot: here, diffId };
  }
  const id = `remote:${diffId}`;
  const pending = remote.pending.get(id) ?? { hit, keys: new Set(), fetched: undefined };
  for (const key of keys) pending.keys.add(key);
  remote.pending.set(id, pending);
  return { ...found, snapshot: id, diffId };
}

/** Brings a stage's base and snapshots here; see materialise(). */
export async function fetchStage(build: Build, remote: RemoteCache, state: StageState): Promise<void> {
  const { obtainBase } = state;
  const base = async () => {
    if (obtainBase === undefined) return;
    state.base = containerBase(build.store, await obtainBase());
    state.obtainBase = undefined;
  };
  const wanted = [...new Set(state.frozen.filter((id) => id.startsWith("remote:")))];
  if (obtainBase === undefined && wanted.length === 0) return;
  const snapshots = mapConcurrent(wanted, CONCURRENCY, (id) => fetchOnce(build, remote, id));
  const [based, fetched] = await Promise.allSettled([base(), snapshots]);
  if (based.status === "rejected") throw based.reason;
  if (fetched.status === "rejected") throw fetched.reason;
  const real = new Map(wanted.map((id, index) => [id, fetched.value[index]!]));
  replaceIds(state.frozen, real);
  for (const { stack } of state.plan) replaceIds(stack, real);
}

function replaceIds(ids: string[], real: Map<string, string>): void {
  for (const [index, id] of ids.entries()) ids[index] = real.get(id) ?? id;
}

/** Stages may share a layer. */
async function fetchOnce(build: Build, remote: RemoteCache, id: string): Promise<string> {
  const pending = remote.pending.get(id);
  // The build for another platform found out that it is broken.
  if (pending === undefined) throw new CooperError("integrity", "An entry of a remote cache was given up");
  pending.fetched ??= fetchPending(build, remote, id, pending);
  return await pending.fetched;
}

async function fetchPending(
  build: Build,
  remote: RemoteCache,
  id: string,
  { hit, keys }: PendingLayer,
): Promise<string> {
  const { place, entry } = hit;
  const layer = entry.layers[0]!;
  try {
    const snapshot = await fetchLayer(build.store, layer.blob, layer.diffId, () =>
      layerContent(build, hit, layer),
    );
    rememberStep(build.store, keys, { snapshot, result: layer.diffId, created: entry.created });
    return snapshot;
  } catch (error) {
    remote.pending.delete(id);
    // A full disk is not the entry's fault, nor is it that somebody pressed Ctrl-C.
    if (!build.signal.aborted && !isDiskFull(error)) reject(build.request, remote, { place, entry }, error);
    throw error;
  }
}

/** The blob of an entry's layer as it comes, verified. */
export async function layerContent(
  { request, signal }: Build,
  { place }: RemoteHit,
  { blob }: CacheLayer,
): Promise<AsyncIterable<Uint8Array>> {
  const content = verifiedStream(await place.fetch(blob), blob, place.name, signal);
  return withProgress({ onEvent: request.onEvent, action: "pull" }, blob, content);
}
