/** What a container stands on: the layers of an image of the store, or nothing. */
import { CooperError } from "../base/errors.ts";
import { readManifest } from "../store/images.ts";
import { type ImageRecord, imageLayers, layerSize, namesOf } from "../store/records.ts";
import { holdImage, type StoreFiles } from "../store/store.ts";
import type { ContainerBase } from "./working-container.ts";

/** Layers of an image of the store as a container stands on them, held against deletion for this session. */
export function containerBase(store: StoreFiles, image: ImageRecord): ContainerBase {
  if (!holdImage(store, image.id))
    throw new CooperError("not-found", `Image ${image.id.slice(0, 12)} was removed by another process`);
  const layers = imageLayers(store.db, image.id);
  const { layers: descriptors } = readManifest(store, image);
  return {
    imageId: image.id,
    imageName: namesOf(store.db, image.id)[0],
    manifestDigest: image.manifest,
    layers: layers.map((layer, index) => ({
      ...layer,
      descriptor: descriptors[index]!,
      size: layerSize(store.db, layer) ?? descriptors[index]!.size,
    })),
  };
}

/** Nothing. */
export const scratchBase: ContainerBase = {
  imageId: undefined,
  imageName: undefined,
  manifestDigest: undefined,
  layers: [],
};
