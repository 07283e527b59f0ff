/** Decides what becomes of each layer when an image is copied: kept as it is, or written in another compression. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { compressionOf, type LayerCompression, layerMediaType, MEDIA } from "../oci/media-types.ts";
import type { Descriptor, ImageFormat, Manifest } from "../oci/types.ts";
import { foreignMediaType, isElsewhere, isForeign } from "./foreign-layers.ts";

export interface LayerWish {
  format: ImageFormat | "keep";
  compression: LayerCompression | "keep";
  /** Also re-encode layers that are compressed in another way; otherwise only uncompressed ones are compressed. */
  force: boolean;
  /** Foreign layers are copied like others. */
  allLayers: boolean;
}

export type LayerPlan = {
  source: Descriptor;
  /** Media type of the result. */
  mediaType: string;
  diffId: Digest | undefined;
} & (
  | { kind: "keep" }
  | { kind: "foreign" }
  | { kind: "encode"; compression: LayerCompression; diffId: Digest }
);

export function formatOf(manifestMediaType: string): ImageFormat {
  return manifestMediaType === MEDIA.dockerManifest || manifestMediaType === MEDIA.dockerList
    ? "docker"
    : "oci";
}

/** Whether a manifest is that of a container image rather than of another artifact (a chart, an attestation). */
export function isContainerImage(manifest: Manifest): boolean {
  const { mediaType } = manifest.config;
  return (
    manifest.artifactType === undefined && (mediaType === MEDIA.ociConfig || mediaType === MEDIA.dockerConfig)
  );
}

/**
 * A plan for each layer. `diffIds` are those of the config, absent for other artifacts, whose layers are kept. `what`
 * names the image in errors. Throws `unsupported`, or `invalid` when layers and diff_ids do not agree.
 */
export function planLayers(
  manifest: Manifest,
  from: ImageFormat,
  diffIds: Digest[] | undefined,
  wish: LayerWish,
  what: string,
): LayerPlan[] {
  const to = wish.format === "keep" ? from : wish.format;
  if (to === "docker" && wish.compression === "zstd") {
    throw new CooperError(
      "unsupported",
      `Cannot write ${what} in Docker's format with zstd: it has no such layers`,
      {
        hint: "use the OCI format, or gzip",
      },
    );
  }
  if (diffIds !== undefined && diffIds.length !== manifest.layers.length) {
    throw new CooperError(
      "invalid",
      `${what} has ${manifest.layers.length} layers, but its config has ${diffIds.length} diff_ids`,
    );
  }
  return manifest.layers.map((layer, i) => planLayer(layer, from, to, diffIds?.[i], wish, what));
}

function planLayer(
  source: Descriptor,
  from: ImageFormat,
  to: ImageFormat,
  diffId: Digest | undefined,
  wish: LayerWish,
  what: string,
): LayerPlan {
  if (isForeign(source)) {
    if (wish.allLayers && wish.compression === "none" && diffId !== undefined)
      return { kind: "encode", source, mediaType: layerMediaType(to, "none"), diffId, compression: "none" };
    const kind = isElsewhere(source) && !wish.allLayers ? "foreign" : "keep";
    return { kind, source, mediaType: foreignMediaType(source.mediaType, to), diffId };
  }
  const current = compressionOf(source.mediaType);
  if (current === undefined || diffId === undefined) {
    if (from === to && wish.compression !== "none")
      return { kind: "keep", source, mediaType: source.mediaType, diffId };
    throw new CooperError(
      "unsupported",
      `Layer ${source.digest} of ${what} is of type ${source.mediaType}, which cannot be converted`,
    );
  }
  const compression = chooseCompression(current, wish, from !== to && to === "docker");
  const mediaType =
    from === to && compression === current ? source.mediaType : layerMediaType(to, compression);
  if (compression === current) return { kind: "keep", source, mediaType, diffId };
  return { kind: "encode", source, mediaType, diffId, compression };
}

function chooseCompression(current: LayerCompression, wish: LayerWish, toDocker: boolean): LayerCompression {
  const { compression, force } = wish;
  if (compression === "none") return "none";
  if (compression !== "keep" && (current === "none" || force)) return compression;
  // Docker's format has no zstd layers: converting to it is what was asked for, so this is its price.
  return toDocker && current === "zstd" ? "gzip" : current;
}
