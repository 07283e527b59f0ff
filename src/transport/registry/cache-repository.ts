/** A build cache in a repository of a registry: each entry is an image of its own, tagged by its key, as Buildah has it. */
import { digestOf } from "../../base/digest.ts";
import { CooperError } from "../../base/errors.ts";
import { MEDIA } from "../../oci/media-types.ts";
import { parseReference } from "../../oci/reference.ts";
import type { CachePlace } from "../cache-place.ts";
import { downloadBlob } from "./download.ts";
import { pushEndpoint } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { hasBlob, readManifest } from "./registry-source.ts";
import { putManifest } from "./registry-target.ts";
import { Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";
import { uploadBlob } from "./upload.ts";

/**
 * Opens `registry/repository[:tag]`; with a tag, entries are tagged `tag-KEY`, so that caches can share a repository.
 * One session serves all entries.
 */
export function openCacheRepository(
  reference: string,
  settings: RegistrySettings,
  action: "read" | "write",
): CachePlace {
  const { tag: prefix } = parseReference(reference);
  const tagOf = (tag: string) => (prefix === undefined ? tag : `${prefix}-${tag}`);
  // Mirrors lag behind: a cache is looked up where it is written.
  const endpoint = pushEndpoint(loadRegistriesConf(), reference);
  const session = new Session(endpoint, settings, action === "read" ? "pull" : "pull,push");
  return {
    name: `docker://${reference}`,
    async read(tag) {
      try {
        return (await readManifest(session, tagOf(tag))).bytes;
      } catch (error) {
        if (error instanceof CooperError && error.code === "not-found") return undefined;
        throw error;
      }
    },
    fetch: (blob) => downloadBlob(session, blob),
    exists: ({ digest }) => hasBlob(session, digest),
    push: (content, expected) => uploadBlob(session, content, expected),
    async write(tag, bytes) {
      const descriptor = { mediaType: MEDIA.ociManifest, digest: digestOf(bytes), size: bytes.length };
      await putManifest(session, tagOf(tag), descriptor, bytes);
    },
  };
}
