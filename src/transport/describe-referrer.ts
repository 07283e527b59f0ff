import type { Root } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";

/** A manifest as lists of referrers have it (distribution spec v1.1, "Listing Referrers"). */
export function describeReferrer({ descriptor, root }: { descriptor: Descriptor; root: Root }): Descriptor {
  const document = root.kind === "index" ? root.index : root.manifest;
  const artifactType =
    document.artifactType ?? (root.kind === "manifest" ? root.manifest.config.mediaType : undefined);
  const { digest, size } = descriptor;
  return {
    mediaType: root.mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(document.annotations === undefined ? {} : { annotations: document.annotations }),
  };
}
