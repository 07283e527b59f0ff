/** The store as a source and target of copies: images by name or id, layers as blobs or packed on the way out. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { isIndexType } from "../oci/media-types.ts";
import { parseImageConfig, parseManifest } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";
import { hasBlob, readBlob, streamBlob } from "../store/blobs.ts";
import { readManifest, recordImage, requireImage } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { committedLayerTar } from "../store/pack.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoredLayer } from "../store/layer-records.ts";
import { holdBlob, holdImage, type StoreFiles, storeBytes, storeStream } from "../store/store.ts";
import type { BlobRef, BlobRole, Source, Target } from "../transport/types.ts";
import { indexSource } from "./index-source.ts";
import { recodedLayers } from "./recoded-layers.ts";
import { storeLayer, unpackLayers } from "./unpack-layers.ts";

/** An image or a list of the store to copy from. Throws `not-found`. */
export function storeSource(store: StoreFiles, text: string): Source {
  const index = findIndexByText(store, text);
  if (index !== undefined) return indexSource(store, index, text);
  // Whoever removes it meanwhile does not take it from us.
  const held = holdImage(store, requireImage(store, text).id);
  if (held === undefined) throw new CooperError("not-found", `${text}: no such image in the store`);
  const { image, layers } = held;
  return {
    name: text,
    recoded: recodedLayers(store),
    resolve: async () => ({
      mediaType: readManifest(store, image).mediaType ?? "application/vnd.oci.image.manifest.v1+json",
      digest: image.manifest,
      size: readBlob(store.root, image.manifest).length,
    }),
    fetch: async (descriptor) =>
      hasBlob(store.root, descriptor.digest)
        ? streamBlob(store.root, descriptor.digest)
        : toAsync(packedLayer(store, layers, text, descriptor.digest)),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A committed layer has no blob: its tar is made again from its snapshots, and checked. */
function packedLayer(
  store: StoreFiles,
  layers: StoredLayer[],
  name: string,
  digest: Digest,
): Iterable<Uint8Array> {
  const position = layers.findIndex((layer) => layer.diffId === digest);
  const layer = layers[position];
  if (layer === undefined) throw new CooperError("not-found", `Image ${name} has no layer ${digest}`);
  const below = layers.slice(0, position).flatMap((lower) => lower.stack);
  return committedLayerTar(store, layer.stack, below, digest);
}

async function* toAsync(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

/** The store as the place where an image goes; `names` are given to it by tag(). */
export class StoreTarget implements Target {
  readonly name = "the store";
  readonly demands = { allLayers: true };
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

  async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef, role?: BlobRole): Promise<BlobRef> {
    if (expected !== undefined && role?.kind === "layer")
      return await storeLayer(this.#store, content, expected, role);
    return await storeStream(this.#store, content, expected);
  }

  async pushManifest(_descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    storeBytes(this.#store, bytes);
  }

  async tag(root: Descriptor): Promise<void> {
    if (isIndexType(root.mediaType))
      throw new CooperError("unsupported", "The store keeps images, not indexes");
    const store = this.#store;
    const manifestBytes = readBlob(store.root, root.digest);
    const manifest = parseManifest(manifestBytes, `The manifest ${root.digest}`);
    const configBytes = readBlob(store.root, manifest.config.digest);
    const config = parseImageConfig(configBytes, `The config ${manifest.config.digest}`);
    const layers = await unpackLayers(store, manifest, config.rootfs.diff_ids);
    this.image = recordImage(store, { config, configBytes, manifest, manifestBytes, layers }, this.#names);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
