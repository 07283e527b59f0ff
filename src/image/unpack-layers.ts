/** Layers into the store: kept as the blobs that they came as, and unpacked into snapshots, in one pass where it can be. */
import { applyLayer } from "../archive/apply-layer.ts";
import { decompress } from "../archive/compression.ts";
import { whileThereIsRoom } from "../archive/unpack-limits.ts";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError, sentence } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import type { Descriptor, Manifest } from "../oci/types.ts";
import { streamBlob } from "../store/blobs.ts";
import {
  addLayer,
  addLayerBlob,
  findLayerBlob,
  findUnpacked,
  type StoredLayer,
  UNPACKED,
} from "../store/layer-records.ts";
import { holdSnapshots, makeSnapshotSlowly, type StoreFiles, storeStream } from "../store/store.ts";
import { mapConcurrent } from "../transport/map-concurrent.ts";
import type { BlobRef, BlobRole } from "../transport/types.ts";
import { Pipe } from "./pipe.ts";

export type SizedLayer = StoredLayer & { size: number };

/** Layers that are unpacked at once: their decompression runs beside this thread. */
const CONCURRENCY = 4;

/**
 * Keeps a layer's blob and unpacks it while it comes, so that it is read once. Where the content fails, or is not the
 * tar that `role` says (`integrity`), nothing is kept. A layer that is there unpacked already is only kept.
 */
export async function storeLayer(
  store: StoreFiles,
  content: AsyncIterable<Uint8Array>,
  expected: BlobRef,
  role: BlobRole,
): Promise<BlobRef> {
  const { diffId } = role;
  if (diffId === undefined || isUnpacked(store, diffId)) return await storeStream(store, content, expected);
  const pipe = new Pipe();
  const descriptor = { ...expected, mediaType: role.mediaType };
  const unpacking = unpack(store, pipe.read(), descriptor, diffId);
  unpacking.catch(() => {}); // Heard below, which may be later.
  try {
    const blob = await storeStream(store, alongside(content, pipe, unpacking), expected);
    record(store, descriptor, await unpacking);
    return blob;
  } catch (error) {
    // Nothing may go on in a directory that is about to be deleted.
    pipe.fail(error);
    await unpacking.catch(() => {});
    throw error;
  }
}

/** Passes content on and into the pipe; ends when whoever reads the pipe has ended well, and fails with it. */
async function* alongside(
  content: AsyncIterable<Uint8Array>,
  pipe: Pipe,
  reading: Promise<unknown>,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    yield chunk;
    if (!(await pipe.write(chunk))) await reading;
  }
  pipe.end();
  await reading;
}

/** The snapshots of an image's layers, whose blobs the store holds; those that are not unpacked yet are unpacked. */
export async function unpackLayers(
  store: StoreFiles,
  manifest: Manifest,
  diffIds: Digest[],
): Promise<SizedLayer[]> {
  if (manifest.layers.length !== diffIds.length) {
    throw new CooperError(
      "invalid",
      `The manifest has ${manifest.layers.length} layers and the config ${diffIds.length} diff_ids`,
    );
  }
  const all = manifest.layers.map((descriptor, i) => ({ descriptor, diffId: diffIds[i]! }));
  // One tar may stand in an image several times, and in different blobs.
  const once = [
    ...new Map(all.map((layer) => [`${layer.descriptor.digest} ${layer.diffId}`, layer])).values(),
  ];
  const first = once.filter((layer, i) => once.findIndex(({ diffId }) => diffId === layer.diffId) === i);
  const obtain = ({ descriptor, diffId }: (typeof all)[number]) => obtainLayer(store, descriptor, diffId);
  await mapConcurrent(first, CONCURRENCY, obtain);
  return await mapConcurrent(all, 1, obtain);
}

/** The snapshot of a layer: one that is there already, or the blob unpacked and checked against its diff_id. */
async function obtainLayer(store: StoreFiles, descriptor: Descriptor, diffId: Digest): Promise<SizedLayer> {
  const known = findUnpacked(store.db, diffId);
  if (known !== undefined && holdSnapshots(store, known.stack)) {
    // That a blob holds a layer is proven once.
    if (findLayerBlob(store.db, descriptor.digest)?.diffId !== diffId)
      await proveBlob(store, descriptor, diffId);
    return { diffId, ...known };
  }
  const layer = await unpack(store, streamBlob(store.root, descriptor.digest), descriptor, diffId);
  record(store, descriptor, layer);
  return layer;
}

/**
 * The snapshot of a layer that lies elsewhere and of which no blob is kept: one that is there already, or `content`
 * unpacked. Throws `integrity` when it is not that tar.
 */
export async function fetchLayer(
  store: StoreFiles,
  blob: Descriptor,
  diffId: Digest,
  content: () => Promise<AsyncIterable<Uint8Array>>,
): Promise<string> {
  const known = findSnapshot(store, diffId);
  if (known !== undefined) return known;
  const { stack, size } = await unpack(store, await content(), blob, diffId);
  addLayer(store.db, stack, { diffId, size }, UNPACKED);
  return stack[0]!;
}

/** The snapshot that a layer was unpacked to, held for this session. */
export function findSnapshot(store: StoreFiles, diffId: Digest): string | undefined {
  const known = findUnpacked(store.db, diffId);
  return known !== undefined && known.stack.length === 1 && holdSnapshots(store, known.stack)
    ? known.stack[0]
    : undefined;
}

function isUnpacked(store: StoreFiles, diffId: Digest): boolean {
  const known = findUnpacked(store.db, diffId);
  return known !== undefined && holdSnapshots(store, known.stack);
}

/** Unpacks a blob into a snapshot, which this session holds. Throws `integrity` when it is another tar. */
async function unpack(
  store: StoreFiles,
  content: AsyncIterable<Uint8Array>,
  descriptor: Descriptor,
  diffId: Digest,
): Promise<SizedLayer> {
  const digester = new Digester();
  const id = await makeSnapshotSlowly(store, async (directory) => {
    const what = `layer ${descriptor.digest}`;
    const tar = whileThereIsRoom(decompress(content, sentence(what)), directory, what);
    await applyLayer(digesting(tar, digester), directory, { ids: fileIds() });
    requireDiffId(descriptor, digester.digest(), diffId);
  });
  return { diffId, stack: [id], size: digester.size };
}

function record(store: StoreFiles, descriptor: Descriptor, { stack, diffId, size }: SizedLayer): void {
  recordBlob(store, descriptor, diffId);
  addLayer(store.db, stack, { diffId, size }, UNPACKED);
}

/** Checks that a blob is another packing of a layer that is there already. */
async function proveBlob(store: StoreFiles, descriptor: Descriptor, diffId: Digest): Promise<void> {
  const digester = new Digester();
  const blob = streamBlob(store.root, descriptor.digest);
  for await (const chunk of decompress(blob, `Layer ${descriptor.digest}`)) digester.update(chunk);
  requireDiffId(descriptor, digester.digest(), diffId);
  recordBlob(store, descriptor, diffId);
}

function requireDiffId(descriptor: Descriptor, found: Digest, diffId: Digest): void {
  if (found === diffId) return;
  throw new CooperError(
    "integrity",
    `Layer ${descriptor.digest} unpacks to ${found}, the config says ${diffId}`,
  );
}

function recordBlob(store: StoreFiles, { digest, mediaType, size }: Descriptor, diffId: Digest): void {
  addLayerBlob(store.db, { digest, diffId, mediaType, size });
}

async function* digesting(
  content: AsyncIterable<Uint8Array>,
  digester: Digester,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    digester.update(chunk);
    yield chunk;
  }
}
