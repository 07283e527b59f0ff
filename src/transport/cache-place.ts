/** Places that keep a build cache for several machines: a small manifest for each key, and the blobs that it names. */
import type { Descriptor } from "../oci/types.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import { openCacheDirectory } from "./cache-directory.ts";
import { requireAllowed } from "./policy.ts";
import type { RegistrySettings } from "./registry/settings.ts";
import type { BlobRef } from "./types.ts";

/** Where a cache is. */
export type CacheLocation =
  /** A repository, by its full name; a tag is the beginning of the entries' tags. */
  | { type: "registry"; reference: string }
  /** A directory, by its absolute path. */
  | { type: "local"; path: string };

/**
 * Entries do not know of each other: there is no list of them that two writers could spoil. What is read is not verified
 * here. Errors name the place.
 */
export interface CachePlace {
  /** For messages, and equal for equal places. */
  readonly name: string;
  /** The manifest under a tag (64 hexadecimal digits); undefined when there is none. */
  read(tag: string): Promise<Uint8Array | undefined>;
  fetch(blob: Descriptor): Promise<AsyncIterable<Uint8Array>>;
  exists(blob: Descriptor): Promise<boolean>;
  /** Stores a blob. With `expected` the content fails before its end when it is something else. */
  push(content: AsyncIterable<Uint8Array>, expected?: BlobRef): Promise<BlobRef>;
  /** Gives a manifest, of which all blobs are there, its tag, away from the one that had it. */
  write(tag: string, manifest: Uint8Array): Promise<void>;
}

/** Opens a place; nothing is asked or made before it is used. Throws `denied` where policy or registries.conf forbid it. */
export async function openCachePlace(
  location: CacheLocation,
  settings: RegistrySettings,
  action: "read" | "write",
): Promise<CachePlace> {
  if (location.type === "local") return openCacheDirectory(location.path);
  if (action === "read")
    requireAllowed(parseTransport(`docker://${location.reference}`), settings.signaturePolicy);
  const { openCacheRepository } = await import("./registry/cache-repository.ts");
  return openCacheRepository(location.reference, settings, action);
}
