/** The images of a store: list, inspect, name, remove, import. */
import type { ImageDetails, ImageInfo, ImportOptions, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { importRoot } from "../image/import-image.ts";
import { normaliseName } from "../oci/reference.ts";
import type { ContainerConfig } from "../oci/types.ts";
import { readConfig, readManifest, removeImageByText, requireImage } from "../store/images.ts";
import {
  allContainers,
  allImages,
  clearCache,
  type ImageRecord,
  namesOf,
  setName,
} from "../store/records.ts";
import { collectGarbage, type StoreFiles } from "../store/store.ts";
import { configOfChanges } from "../build/config-changes.ts";
import { filesOf } from "./store.ts";

/** What callers see of an image. */
export function imageInfo(files: StoreFiles, image: ImageRecord): ImageInfo {
  return {
    id: image.id,
    names: namesOf(files.db, image.id),
    digest: image.manifest,
    created: image.created,
    size: image.size,
    labels: readConfig(files, image).config?.Labels ?? {},
  };
}

/** All images, newest first. */
export function listImages(store: Store): ImageInfo[] {
  const files = filesOf(store);
  return allImages(files.db).map((image) => imageInfo(files, image));
}

/** An image by name, id or unique prefix. Throws `not-found`. */
export async function inspectImage(store: Store, image: string): Promise<ImageDetails> {
  const files = filesOf(store);
  const record = requireImage(files, image);
  return {
    ...imageInfo(files, record),
    config: readConfig(files, record),
    manifest: readManifest(files, record),
  };
}

/** Gives an image more names. Throws `not-found`, `invalid`. */
export async function tagImage(store: Store, image: string, names: string[]): Promise<void> {
  const files = filesOf(store);
  const record = requireImage(files, image);
  const full = names.map(normaliseName);
  files.db
    .transaction(() => {
      for (const name of full) setName(files.db, name, record.id);
    })
    .immediate();
}

/** Removes a name, or an image with its last name. Returns what was done, in order. */
export async function removeImage(
  store: Store,
  image: string,
  options: { force?: boolean } = {},
): Promise<{ untagged: string[]; deleted: string[] }> {
  return removeImageByText(filesOf(store), image, options.force ?? false);
}

/** Removes every image that no container comes from, and the build cache. Returns the ids. */
export async function pruneImages(store: Store): Promise<string[]> {
  const files = filesOf(store);
  const used = new Set(allContainers(files.db).map((container) => container.imageId));
  const unused = allImages(files.db).filter((image) => !used.has(image.id));
  for (const image of unused) removeImageByText(files, image.id, true);
  files.db.transaction(() => clearCache(files.db)).immediate();
  collectGarbage(files);
  return unused.map((image) => image.id);
}

/** Makes an image of one layer from a root file system: a directory, or a tar (compressed or not; `-` is stdin). */
export async function importImage(
  store: Store,
  source: string,
  options: ImportOptions = {},
): Promise<ImageInfo> {
  const files = filesOf(store);
  const image = await importRoot(files, source, {
    names: options.name === undefined ? [] : [normaliseName(options.name)],
    config: configOf(options.changes ?? []),
    message: options.message,
    platform: options.platform,
    format: options.format ?? "oci",
    signal: options.signal,
  });
  return imageInfo(files, image);
}

function configOf(changes: string[]): ContainerConfig {
  try {
    return configOfChanges(changes);
  } catch (error) {
    if (error instanceof CooperError)
      throw new CooperError("usage", `A change is not valid: ${error.message}`, { cause: error });
    throw error;
  }
}
