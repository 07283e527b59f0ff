/** What a container stands on: the layers of an image of the store, or nothing. */
import { imageRemoved, readManifest } from "../store/images.ts";
import { type ImageRecord, namesOf } from "../store/image-records.ts";
import { layerSize } from "../store/layer-records.ts";
import { holdImage, type StoreFiles } from "../store/store.ts";
import type { ContainerBase } from "./working-container.ts";

/** Layers of an image of the store as a container stands on them, held against deletion for this session. */
export function containerBase(store: StoreFiles, image: Pick<ImageRecord, "id">): ContainerBase {
  return annotatedBase(store, image).base;
}

/** The same, and the annotations of the image's manifest. */
export function annotatedBase(
  store: StoreFiles,
  { id }: Pick<ImageRecord, "id">,
): { base: ContainerBase; annotations: Record<string, string> } {
  const held = holdImage(store, id);
  if (held === undefined) throw imageRemoved(id);
  const { image, layers } = held;
  const { layers: descriptors, annotations = {} } = readManifest(store, image);
  const base = {
    imageId: image.id,
    imageName: namesOf(store.db, image.id)[0],
    manifestDigest: image.manifest,
    layers: layers.map((layer, index) => ({
      ...layer,
      descriptor: descriptors[index]!,
      size: layerSize(store.db, layer) ?? descriptors[index]!.size,
    })),
  };
  return { base, annotations };
}

/** Nothing. */
export const scratchBase: ContainerBase = {
  imageId: undefined,
  imageName: undefined,
  manifestDigest: undefined,
  layers: [],
};
