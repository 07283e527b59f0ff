/** Files that differ between images and containers, and whole root file systems as one tar. */
import { join } from "node:path";
import type { FileChange, Store } from "../api-types.ts";
import { compareStacks } from "../archive/compare-stacks.ts";
import { packLayer } from "../archive/pack-layer.ts";
import { CooperError } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import { findContainer, snapshotter, treeOf, type WorkingContainer } from "../container/working-container.ts";
import { requireInstance } from "../image/list-instance.ts";
import { requireImage } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { lockFile } from "../store/locks.ts";
import { type ImageRecord, imageLayers } from "../store/image-records.ts";
import { holdImage, snapshotPaths, type StoreFiles } from "../store/store.ts";
import { filesOf } from "./store.ts";

/**
 * Changes from one image or container to another. With one name alone: what a container changed in its image, or what
 * an image's topmost layer changed. Given one after the other, while the files are compared.
 */
export async function* diff(
  store: Store,
  first: string,
  second?: string,
): AsyncGenerator<FileChange, void, undefined> {
  const files = filesOf(store);
  const before = second === undefined ? undefined : await stackOf(files, first);
  const after = await stackOf(files, second ?? first);
  yield* compareStacks(before?.all ?? after.below, after.all);
}

/** Directories of a root file system, lowest first, and of those what the last change stands on. */
interface Stack {
  all: string[];
  below: string[];
}

/** A container before an image of the same name, as everywhere. */
async function stackOf(files: StoreFiles, name: string): Promise<Stack> {
  const container = containerCalled(files, name);
  if (container !== undefined) {
    return {
      all: snapshotter(container).view(treeOf(files, container)),
      below: snapshotPaths(files, container.base.layers),
    };
  }
  const image = await imageCalled(files, name);
  if (!holdImage(files, image.id))
    throw new CooperError("not-found", `Image ${name} was removed by another process`);
  const layers = imageLayers(files.db, image.id);
  return { all: snapshotPaths(files, layers), below: snapshotPaths(files, layers.slice(0, -1)) };
}

function containerCalled(files: StoreFiles, name: string): WorkingContainer | undefined {
  try {
    return findContainer(files, name);
  } catch (error) {
    if (error instanceof CooperError && error.code === "not-found") return undefined;
    throw error;
  }
}

async function imageCalled(files: StoreFiles, name: string): Promise<ImageRecord> {
  if (findIndexByText(files, name) !== undefined) return await requireInstance(files, name);
  try {
    return requireImage(files, name);
  } catch (error) {
    if (!(error instanceof CooperError) || error.code !== "not-found") throw error;
    throw new CooperError("not-found", `There is no container or image ${JSON.stringify(name)}`, {
      hint: "cooper containers and cooper images list what is there",
    });
  }
}

/** The root file system of a container or an image as one tar, uncompressed, without its config. */
export async function* exportRoot(
  store: Store,
  name: string,
  options: { signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const files = filesOf(store);
  const container = containerCalled(files, name);
  // A command that runs in it ends first.
  using _lock =
    container === undefined
      ? undefined
      : await lockFile(join(files.root, "containers", container.id, "lock"), "exclusive", options.signal);
  const { all } = await stackOf(files, name);
  for (const chunk of packLayer({ diffs: all, below: [], ids: fileIds() })) {
    if (options.signal?.aborted)
      throw new CooperError("cancelled", `Exporting ${name} was cancelled`, { cause: options.signal.reason });
    yield chunk;
  }
}
