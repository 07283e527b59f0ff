/** Layers that their publisher keeps elsewhere (OCI: non-distributable; layer.md, and Docker's foreign layers). */
import type { Descriptor, ImageFormat } from "../oci/types.ts";

const DOCKER = "application/vnd.docker.image.rootfs.foreign.diff.tar";
const OCI = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const FOREIGN = new Set([DOCKER, `${DOCKER}.gzip`, OCI, `${OCI}+gzip`, `${OCI}+zstd`]);

export function isForeign({ mediaType }: Descriptor): boolean {
  return FOREIGN.has(mediaType);
}

/** Whether a layer can be had elsewhere, so that an image is complete without it. */
export function isElsewhere(layer: Descriptor): boolean {
  return isForeign(layer) && (layer.urls?.length ?? 0) > 0;
}

/** A foreign layer's type in a format; Docker's has none for zstd, for which the OCI one stands in. */
export function foreignMediaType(mediaType: string, to: ImageFormat): string {
  const end = /[.+](gzip|zstd)$/.exec(mediaType)?.[1];
  if (to === "oci" || end === "zstd") return end === undefined ? OCI : `${OCI}+${end}`;
  return end === undefined ? DOCKER : `${DOCKER}.${end}`;
}
