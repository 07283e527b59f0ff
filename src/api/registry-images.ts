/** Repositories of registries: what is there, and removing from it. */
import type { ExchangeOptions } from "../api-types.ts";
import type { Digest } from "../base/digest.ts";
import { deleteReference, type TagList, tagsOf } from "../image/registry-images.ts";
import { settingsOf } from "./registry-options.ts";

/** The tags of `docker://REPOSITORY`, or the names in `docker-archive:FILE`. Throws `usage`, `not-found`. */
export async function listTags(repository: string, options: ExchangeOptions = {}): Promise<TagList> {
  return await tagsOf(repository, settingsOf(options));
}

/** Deletes `docker://NAME` in its registry, by its digest, which is returned. Throws `unsupported` where that is off. */
export async function deleteImage(image: string, options: ExchangeOptions = {}): Promise<Digest> {
  return await deleteReference(image, settingsOf(options));
}
