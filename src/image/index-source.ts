/** Indexes of the store as sources of copies, and content as it goes into an index of the store. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { Descriptor } from "../oci/types.ts";
import { hasBlob, readBlob, streamBlob } from "../store/blobs.ts";
import { holdIndex, type IndexRecord, readIndex, storedInstances } from "../store/indexes.ts";
import { committedLayerTar } from "../store/pack.ts";
import { holdBlob, type StoreFiles, storeBytes, storeStream } from "../store/store.ts";
import type { BlobRef, Source, Target } from "../transport/types.ts";
import { recodedLayers } from "./recoded-layers.ts";

/** An index of the store to copy from, whole or one of its images. */
export function indexSource(store: StoreFiles, record: IndexRecord, name: string): Source {
  if (!holdIndex(store, record.id)) throw new CooperError("not-found", `${name}: no such list in the store`);
  return {
    name,
    recoded: recodedLayers(store),
    resolve: async () => ({
      mediaType: readIndex(store, record).mediaType ?? "application/vnd.oci.image.index.v1+json",
      digest: record.manifest,
      size: readBlob(store.root, record.manifest).length,
    }),
    fetch: async (descriptor) =>
      hasBlob(store.root, descriptor.digest)
        ? streamBlob(store.root, descriptor.digest)
        : packedLayer(store, record, descriptor.digest, name),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** The tar of a layer that was committed here and never was a blob. */
async function* packedLayer(
  store: StoreFiles,
  record: IndexRecord,
  digest: Digest,
  name: string,
): AsyncGenerator<Uint8Array, void> {
  for (const { layers } of storedInstances(store.db, record.id)) {
    const position = layers.findIndex((layer) => layer.diffId === digest);
    if (position === -1) continue;
    const below = layers.slice(0, position).flatMap((lower) => lower.stack);
    yield* committedLayerTar(store, layers[position]!.stack, below, digest);
    return;
  }
  throw new CooperError("not-found", `${name} has no content ${digest}`);
}

/** Content that an index of the store is to keep: blobs as they come, not unpacked. Its root is known after tag(). */
export class BlobTarget implements Target {
  readonly name = "the store";
  readonly demands = { allLayers: true };
  root: Descriptor | undefined;
  readonly #store: StoreFiles;

  constructor(store: StoreFiles) {
    this.#store = store;
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    return holdBlob(this.#store, descriptor.digest);
  }

  push(content: AsyncIterable<Uint8Array>, expected?: BlobRef): Promise<BlobRef> {
    return storeStream(this.#store, content, expected);
  }

  async pushManifest(_descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    storeBytes(this.#store, bytes);
  }

  async tag(root: Descriptor): Promise<void> {
    this.root = root;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
