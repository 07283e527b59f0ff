/** Cache mounts (RUN --mount=type=cache) that begin with what another machine exported. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { applyLayer } from "../archive/apply-layer.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { isDiskFull } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import type { CacheLayer } from "../oci/cache-entry.ts";
import { hostPlatform } from "../oci/platform.ts";
import { indexTree, passNewest, type TreeIndex } from "../store/find-changes.ts";
import { exportedNote } from "../store/usage.ts";
import { mergeDiff } from "../store/merge-diff.ts";
import { decodeLayer } from "../transport/decode-layer.ts";
import type { Build } from "./build-image.ts";
import { layerContent } from "./remote-layers.ts";
import { lookUp, reject, type RemoteCache, type RemoteHit } from "./remote-cache.ts";

/** What a mount held when it was last restored or exported: the layers that say so, and how its files looked here. */
export interface MountBaseline {
  /** Name of the place that has the layers. */
  place: string;
  layers: CacheLayer[];
  index: TreeIndex;
}

/** Key of a mount for all machines of this kind of processor; `name` is what tells it from other mounts. */
export function mountKey(name: string): Digest {
  const { os, architecture } = hostPlatform();
  return digestOf(JSON.stringify(["cooper cache mount", 1, os, architecture, name]));
}

/**
 * Fills a mount's directory, which does not exist, from the remote caches. Returns what keepBaseline() is to remember;
 * undefined, and no directory, when they have nothing for it. A broken entry is a warning.
 */
export async function restoreMount(
  build: Build,
  remote: RemoteCache,
  key: Digest,
  directory: string,
): Promise<MountBaseline | undefined> {
  for (;;) {
    const hit = await lookUp(build.request, remote, key, "mount");
    if (hit === undefined) return undefined;
    try {
      mkdirSync(directory, { mode: 0o700 });
      for (const [index, layer] of hit.entry.layers.entries())
        await addLayer(build, hit, layer, directory, index === 0);
      const state = indexTree(directory);
      passNewest(state);
      return { place: hit.place.name, layers: hit.entry.layers, index: state.index };
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      if (build.signal.aborted || isDiskFull(error)) throw error;
      reject(build.request, remote, hit, error);
    }
  }
}

async function addLayer(
  build: Build,
  hit: RemoteHit,
  layer: CacheLayer,
  directory: string,
  isFirst: boolean,
): Promise<void> {
  const content = decodeLayer(await layerContent(build, hit, layer), layer.diffId, hit.place.name);
  if (isFirst) {
    await applyLayer(content, directory, { ids: fileIds(), signal: build.signal });
    return;
  }
  const diff = build.store.session.path("mount-layer");
  mkdirSync(diff, { mode: 0o700 });
  try {
    await applyLayer(content, diff, { ids: fileIds(), signal: build.signal });
    mergeDiff(diff, directory);
  } finally {
    rmSync(diff, { recursive: true, force: true });
  }
}

/** Remembers what a place has of a mount. */
export function keepBaseline(build: Build, name: string, baseline: MountBaseline): void {
  const unfinished = build.store.session.path("baseline");
  writeFileSync(unfinished, JSON.stringify({ ...readBaselines(build, name), [baseline.place]: baseline }));
  renameSync(unfinished, exportedNote(build.store, name));
}

/** What a place had of a mount when this store last knew. */
export function readBaseline(build: Build, name: string, place: string): MountBaseline | undefined {
  return readBaselines(build, name)[place];
}

function readBaselines(build: Build, name: string): Record<string, MountBaseline> {
  try {
    return JSON.parse(readFileSync(exportedNote(build.store, name), "utf8")) as Record<string, MountBaseline>;
  } catch {
    return {}; // Never written, or on a file system that lost it.
  }
}
