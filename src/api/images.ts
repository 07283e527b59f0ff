/** The images of a store: list, inspect, name, remove, import. */
import type { ImageDetails, ImageInfo, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { requireInstance } from "../image/list-instance.ts";
import { normaliseName } from "../oci/reference.ts";
import { readBlob } from "../store/blobs.ts";
import {
  labelsOf,
  nameAmong,
  readConfig,
  readManifest,
  removeImageByText,
  requireImage,
} from "../store/images.ts";
import { allIndexes, findIndexByText, type IndexRecord, removeIndexByText } from "../store/indexes.ts";
import {
  allImages,
  deleteName,
  type ImageRecord,
  nameHistory,
  namesOf,
  setName,
} from "../store/image-records.ts";
import { withReserve } from "../store/reserve.ts";
import type { StoreFiles } from "../store/store.ts";
import { filesOf } from "./store.ts";

/** What callers see of an image. */
export function imageInfo(files: StoreFiles, image: ImageRecord): ImageInfo {
  return {
    id: image.id,
    names: namesOf(files.db, image.id),
    nameHistory: nameHistory(files.db, image.id),
    digest: image.manifest,
    created: image.created,
    size: image.size,
    labels: labelsOf(files, image),
  };
}

/** What callers see of a list: its own documents are its size. */
function listInfo(files: StoreFiles, record: IndexRecord): ImageInfo {
  return {
    id: record.id,
    names: namesOf(files.db, record.id),
    nameHistory: nameHistory(files.db, record.id),
    digest: record.manifest,
    created: new Date(record.created).toISOString(),
    size: readBlob(files.root, record.manifest).length,
    labels: {},
    isList: true,
  };
}

/** All images and lists of images, newest first. */
export function listImages(store: Store): ImageInfo[] {
  const files = filesOf(store);
  const lists = allIndexes(files.db).map((record) => listInfo(files, record));
  const images = allImages(files.db).map((image) => imageInfo(files, image));
  if (lists.length === 0) return images;
  return [...lists, ...images].sort((a, b) => Date.parse(b.created) - Date.parse(a.created));
}

/** An image by name, id or unique prefix; of a list, the one for this host. Throws `not-found`. */
export async function inspectImage(store: Store, image: string): Promise<ImageDetails> {
  const files = filesOf(store);
  const record =
    findIndexByText(files, image) === undefined
      ? requireImage(files, image)
      : await requireInstance(files, image);
  return {
    ...imageInfo(files, record),
    config: readConfig(files, record),
    manifest: readManifest(files, record),
  };
}

/** Id of an image or list by name, id or unique prefix. Throws `not-found`. */
export function resolveImage(store: Store, image: string): string {
  const files = filesOf(store);
  return (findIndexByText(files, image) ?? requireImage(files, image)).id;
}

/** Gives an image or a list more names. Throws `not-found`, `usage`. */
export async function tagImage(store: Store, image: string, names: string[]): Promise<void> {
  const { db } = filesOf(store);
  const full = names.map(normaliseName);
  // In one transaction, as what follows: the image might be removed, or the name be given to another one, in between.
  db.transaction(() => {
    const id = resolveImage(store, image);
    for (const name of full) setName(db, name, id);
  }).immediate();
}

/** Takes names from an image or a list, all of them when none is given; it stays, if need be without one. */
export async function untagImage(store: Store, image: string, names: string[] = []): Promise<string[]> {
  const { db } = filesOf(store);
  const untag = db.transaction(() => {
    const own = namesOf(db, resolveImage(store, image));
    const wanted = names.length === 0 ? own : names.map((name) => ownName(own, name, image));
    for (const name of wanted) deleteName(db, name);
    return wanted;
  });
  return untag.immediate();
}

function ownName(own: string[], name: string, image: string): string {
  const found = nameAmong(own, name);
  if (found !== undefined) return found;
  throw new CooperError("not-found", `${image} is not named ${name}`, {
    hint: own.length === 0 ? "it has no name" : `its names are ${own.join(", ")}`,
  });
}

/** Removes a name, or an image (or list) with its last name. Returns what was done, in order. */
export async function removeImage(
  store: Store,
  image: string,
  options: { force?: boolean } = {},
): Promise<{ untagged: string[]; deleted: string[] }> {
  const files = filesOf(store);
  return withReserve(
    files.root,
    () => removeIndexByText(files, image) ?? removeImageByText(files, image, options.force ?? false),
  );
}
