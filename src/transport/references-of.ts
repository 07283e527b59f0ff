/** What a manifest or index refers to. */
import { CooperError } from "../base/errors.ts";
import { parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";
import { isElsewhere } from "./foreign-layers.ts";

/** Descriptors of all that must be there for a manifest or index to be complete, each digest once. */
export function referencesOf(descriptor: Descriptor, bytes: Uint8Array, where: string): Descriptor[] {
  const root = parseManifestOrIndex(bytes, `${descriptor.digest} in ${where}`, descriptor.mediaType);
  const all = root.kind === "index" ? root.index.manifests : [root.manifest.config, ...root.manifest.layers];
  return [...new Map(all.map((reference) => [reference.digest, reference])).values()];
}

/** Throws `internal` unless everything that a manifest refers to is there. */
export async function requireReferences(
  descriptor: Descriptor,
  bytes: Uint8Array,
  where: string,
  isThere: (reference: Descriptor) => boolean | Promise<boolean>,
): Promise<void> {
  for (const reference of referencesOf(descriptor, bytes, where)) {
    if (isElsewhere(reference) || (await isThere(reference))) continue;
    throw new CooperError(
      "not-found",
      `Cannot write manifest ${descriptor.digest} to ${where}: ${reference.digest}, which it needs, is not there`,
    );
  }
}
