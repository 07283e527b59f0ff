/** An image from a root file system that came from elsewhere. */
import type { ImageInfo, ImportOptions, Store } from "../api-types.ts";
import { importRoot } from "../image/import-image.ts";
import { normaliseName } from "../oci/reference.ts";
import { changedConfig } from "./changed-config.ts";
import { imageInfo } from "./images.ts";
import { filesOf } from "./store.ts";

/** Makes an image of one layer from a root file system: a directory, or a tar (compressed or not; `-` is stdin). */
export async function importImage(
  store: Store,
  source: string,
  options: ImportOptions = {},
): Promise<ImageInfo> {
  const files = filesOf(store);
  const image = await importRoot(files, source, {
    names: options.name === undefined ? [] : [normaliseName(options.name)],
    config: changedConfig(options.changes ?? []),
    message: options.message,
    platform: options.platform,
    format: options.format ?? "oci",
    signal: options.signal,
  });
  return imageInfo(files, image);
}
