/** The store as a source and target of copies: images by name or id, layers as blobs or packed on the way out. */
import { decompress } from "../archive/compression.ts";
import { applyLayer } from "../archive/apply-layer.ts";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { isIndexType } from "../oci/media-types.ts";
import { parseImageConfig, parseManifest } from "../oci/schema.ts";
import type { Descriptor, Manifest } from "../oci/types.ts";
import { hasBlob, readBlob, streamBlob } from "../store/blobs.ts";
import { readManifest, recordImage, requireImage } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { committedLayerTar } from "../store/pack.ts";
import {
  addLayer,
  addLayerBlob,
  findLayerBlob,
  findUnpacked,
  type ImageRecord,
  imageLayers,
  type StoredLayer,
  UNPACKED,
} from "../store/records.ts";
import {
  holdBlob,
  holdImage,
  holdSnapshots,
  makeSnapshotSlowly,
  type StoreFiles,
  storeBytes,
  storeStream,
} from "../store/store.ts";
import type { Source, Target } from "../transport/types.ts";
import { indexSource } from "./index-source.ts";

/** An image or a list of the store to copy from. Throws `not-found`. */
export function storeSource(store: StoreFiles, text: string): Source {
  const index = findIndexByText(store, text);
  if (index !== undefined) return indexSource(store, index, text);
  const image = requireImage(store, text);
  // Whoever removes it meanwhile does not take it from us.
  if (!holdImage(store, image.id)) throw new CooperError("not-found", `${text}: no such image in the store`);
  return {
    name: text,
    resolve: async () => ({
      mediaType: readManifest(store, image).mediaType ?? "application/vnd.oci.image.manifest.v1+json",
      digest: image.manifest,
      size: readBlob(store.root, image.manifest).length,
    }),
    fetch: async (descriptor) =>
      hasBlob(store.root, descriptor.digest)
        ? streamBlob(store.root, descriptor.digest)
        : toAsync(packedLayer(store, image, descriptor.digest)),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A committed layer has no blob: its tar is made again from its snapshots, and checked. */
function packedLayer(store: StoreFiles, image: ImageRecord, digest: Digest): Iterable<Uint8Array> {
  const layers = imageLayers(store.db, image.id);
  const position = layers.findIndex((layer) => layer.diffId === digest);
  const layer = layers[position];
  if (layer === undefined) throw new CooperError("not-found", `Image ${image.id} has no layer ${digest}`);
  const below = layers.slice(0, position).flatMap((lower) => lower.stack);
  return committedLayerTar(store, layer.stack, below, digest);
}

async function* toAsync(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

/** The store as the place where an image goes; `names` are given to it by tag(). */
export class StoreTarget implements Target {
  readonly name = "the store";
  /** Known after tag(). */
  image: ImageRecord | undefined;
  #store: StoreFiles;
  #names: string[];

  constructor(store: StoreFiles, names: string[]) {
    this.#store = store;
    this.#names = names;
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    return holdBlob(this.#store, descriptor.digest);
  }

  push(
    content: AsyncIterable<Uint8Array>,
    expected?: { digest: Digest; size: number },
  ): Promise<{ digest: Digest; size: number }> {
    return storeStream(this.#store, content, expected);
  }

  async pushManifest(_descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    storeBytes(this.#store, bytes);
  }

  async tag(root: Descriptor): Promise<void> {
    if (isIndexType(root.mediaType))
      throw new CooperError("unsupported", "The store keeps images, not indexes");
    const store = this.#store;
    const manifestBytes = readBlob(store.root, root.digest);
    const manifest = parseManifest(manifestBytes, `manifest ${root.digest}`);
    const configBytes = readBlob(store.root, manifest.config.digest);
    const config = parseImageConfig(configBytes, `config ${manifest.config.digest}`);
    const layers = await unpackLayers(store, manifest, config.rootfs.diff_ids);
    this.image = recordImage(store, { config, configBytes, manifest, manifestBytes, layers }, this.#names);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function unpackLayers(
  store: StoreFiles,
  manifest: Manifest,
  diffIds: Digest[],
): Promise<(StoredLayer & { size: number })[]> {
  if (manifest.layers.length !== diffIds.length) {
    throw new CooperError(
      "invalid",
      `The manifest has ${manifest.layers.length} layers and the config ${diffIds.length} diff_ids`,
    );
  }
  const layers: (StoredLayer & { size: number })[] = [];
  for (const [index, descriptor] of manifest.layers.entries()) {
    layers.push(await unpackLayer(store, descriptor, diffIds[index]!));
  }
  return layers;
}

/** The snapshot of a layer: one that is there already, or the blob unpacked and checked against its diff_id. */
async function unpackLayer(
  store: StoreFiles,
  descriptor: Descriptor,
  diffId: Digest,
): Promise<StoredLayer & { size: number }> {
  const known = findUnpacked(store.db, diffId);
  if (known !== undefined && holdSnapshots(store, known.stack)) {
    // That a blob holds a layer is proven once.
    if (findLayerBlob(store.db, descriptor.digest)?.diffId !== diffId)
      await proveBlob(store, descriptor, diffId);
    return { diffId, ...known };
  }
  const digester = new Digester();
  const id = await makeSnapshotSlowly(store, async (directory) => {
    await applyLayer(digesting(decompress(streamBlob(store.root, descriptor.digest)), digester), directory);
    requireDiffId(descriptor, digester.digest(), diffId);
  });
  const size = digester.size;
  recordBlob(store, descriptor, diffId);
  addLayer(store.db, [id], { diffId, size }, UNPACKED);
  return { diffId, stack: [id], size };
}

/** Checks that a blob is another packing of a layer that is there already. */
async function proveBlob(store: StoreFiles, descriptor: Descriptor, diffId: Digest): Promise<void> {
  const digester = new Digester();
  for await (const chunk of decompress(streamBlob(store.root, descriptor.digest))) digester.update(chunk);
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
