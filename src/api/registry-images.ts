/** Repositories of registries: what is there, and removing from it. */
import type { RegistryOptions } from "../api-types.ts";
import type { Digest } from "../base/digest.ts";
import { deleteReference, type TagList, tagsOf } from "../image/registry-images.ts";
import { registrySettings } from "./registry-options.ts";

type Options = RegistryOptions & { signal?: AbortSignal };

/** The tags of `docker://REPOSITORY`, or the names in `docker-archive:FILE`. Throws `usage`, `not-found`. */
export async function listTags(repository: string, options: Options = {}): Promise<TagList> {
  return await tagsOf(repository, { ...registrySettings(options), signal: options.signal });
}

/** Deletes `docker://NAME` in its registry, by its digest, which is returned. Throws `unsupported` where that is off. */
export async function deleteImage(image: string, options: Options = {}): Promise<Digest> {
  return await deleteReference(image, { ...registrySettings(options), signal: options.signal });
}
