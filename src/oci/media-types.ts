/** Media types of the OCI image spec and of Docker's registry formats. */
import type { ImageFormat } from "./types.ts";

export type LayerCompression = "none" | "gzip" | "zstd";

export const MEDIA = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
} as const;

/** Media type of a layer. Docker's formats have none for zstd; the OCI one stands in, as containerd accepts. */
export function layerMediaType(format: ImageFormat, compression: LayerCompression): string {
  if (compression === "zstd") return MEDIA.ociLayerZstd;
  if (compression === "gzip") return format === "docker" ? MEDIA.dockerLayerGzip : MEDIA.ociLayerGzip;
  return format === "docker" ? MEDIA.dockerLayer : MEDIA.ociLayer;
}

/** Compression that a layer's media type declares, or undefined when the type is no layer that Cooper knows. */
export function compressionOf(mediaType: string): LayerCompression | undefined {
  switch (mediaType) {
    case MEDIA.ociLayer:
    case MEDIA.dockerLayer:
      return "none";
    case MEDIA.ociLayerGzip:
    case MEDIA.dockerLayerGzip:
      return "gzip";
    case MEDIA.ociLayerZstd:
      return "zstd";
    default:
      return undefined;
  }
}

export function isIndexType(mediaType: string): boolean {
  return mediaType === MEDIA.ociIndex || mediaType === MEDIA.dockerList;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === MEDIA.ociManifest || mediaType === MEDIA.dockerManifest;
}
