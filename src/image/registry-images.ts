/** What a registry (or an archive) has under a name, and removing from it. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { formatReference, normaliseDockerName, parseReference } from "../oci/reference.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

export interface TagList {
  /** `docker.io/library/debian`; absent for an archive. */
  repository?: string;
  tags: string[];
}

const PREFIX = "docker://";

/**
 * The tags of `docker://REPOSITORY`, or the names in a `docker-archive:FILE` (`@2` for the third image if it has none).
 * Throws `usage` for other places, and for a repository with a tag or digest.
 */
export async function tagsOf(text: string, settings: RegistrySettings): Promise<TagList> {
  if (text.startsWith(PREFIX)) {
    const repository = parseRepository(text.slice(PREFIX.length));
    const { listTags } = await import("../transport/registry/list-tags.ts");
    return { repository, tags: await listTags(repository, settings) };
  }
  if (text.startsWith("docker-archive:")) {
    const reference = parseTransport(text);
    if (reference.transport === "docker-archive" && reference.reference === undefined) {
      const { listDockerArchive } = await import("../transport/docker-archive.ts");
      const images = await listDockerArchive(reference.path);
      return { tags: images.flatMap((names, i) => (names.length === 0 ? [`@${i}`] : names)) };
    }
  }
  throw new CooperError(
    "usage",
    `Cannot list the tags of ${text}: it is neither a repository nor an archive`,
    {
      hint: "write docker://REGISTRY/REPOSITORY or docker-archive:FILE",
    },
  );
}

/** The full name of a repository. Throws `usage` when there is a tag or digest. */
export function parseRepository(text: string): string {
  const { tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) {
    throw new CooperError("usage", `"${text}" is an image, where a repository is wanted`, {
      hint: `leave ${tag === undefined ? `@${digest}` : `:${tag}`} away`,
    });
  }
  const { registry, repository } = parseReference(normaliseDockerName(text));
  return formatReference({ registry: registry!, repository });
}

/** Deletes `docker://NAME` in its registry. Throws `usage` or `unsupported` for other places. */
export async function deleteReference(text: string, settings: RegistrySettings): Promise<Digest> {
  const reference = parseTransport(text);
  switch (reference.transport) {
    case "docker": {
      const { deleteImage } = await import("../transport/registry/delete-image.ts");
      return await deleteImage(reference.name, settings);
    }
    case "name":
      throw new CooperError("usage", `Cannot delete ${text}: it does not say where`, {
        hint: `write docker://${text} for a registry; cooper rmi removes images of the store`,
      });
    default:
      throw new CooperError(
        "unsupported",
        `Cannot delete ${text}: images can be deleted in registries only`,
        { hint: "delete the file or directory itself" },
      );
  }
}
