/** What the store knows that saves sending a layer: repositories that have it, and blobs that it became before. */
import type { Digest } from "../base/digest.ts";
import { requireImage } from "../store/images.ts";
import { findIndexByText, storedInstances } from "../store/indexes.ts";
import { imageLayers, namesWithLayer } from "../store/image-records.ts";
import { addLayerBlob, blobsOfLayer } from "../store/layer-records.ts";
import type { StoreFiles } from "../store/store.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

/** Names of images that share a layer with this one, and the blobs that its layers are known as. */
export function relatedRepositories(
  store: StoreFiles,
  text: string,
  request: { compressionLevel?: number | undefined },
): Pick<RegistrySettings, "mountFrom" | "knownBlobs" | "rememberBlob"> {
  const list = findIndexByText(store, text);
  const image = list === undefined ? requireImage(store, text) : undefined;
  const layers =
    list === undefined
      ? imageLayers(store.db, image!.id)
      : storedInstances(store.db, list.id).flatMap((instance) => instance.layers);
  const own = new Set<Digest>(layers.map((layer) => layer.diffId));
  const names = [...own].flatMap((diffId) => namesWithLayer(store.db, diffId));
  return {
    mountFrom: [...new Set(names)],
    // Another level was asked for because the result should be another one.
    ...(request.compressionLevel === undefined
      ? {
          knownBlobs: (diffId, mediaType) =>
            blobsOfLayer(store.db, diffId).filter((blob) => blob.mediaType === mediaType),
        }
      : {}),
    rememberBlob: (diffId, mediaType, blob) => addLayerBlob(store.db, { ...blob, diffId, mediaType }),
  };
}
