/** What an image is, without its layers. */
import { CooperError } from "../base/errors.ts";
import { choosePlatform, formatPlatform, hostPlatform } from "../oci/platform.ts";
import { parseImageConfig, parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor, ImageConfig, ImageIndex, Manifest, Platform } from "../oci/types.ts";
import { isContainerImage } from "../transport/plan-layers.ts";
import type { Source } from "../transport/types.ts";
import { fetchDocument } from "../transport/verified-stream.ts";

const MAX_DEPTH = 4;

export interface Seen {
  /** The manifest or index that the reference stands for, and its bytes. */
  root: Descriptor;
  raw: Uint8Array;
  document: Manifest | ImageIndex;
  isList: boolean;
  /** The image itself: the root, or of a list the one for the platform. */
  image: Descriptor;
  manifest: Manifest;
  /** Bytes of the config; the document where it is that of a container image. */
  rawConfig: Uint8Array;
  config: ImageConfig | undefined;
}

/** Reads manifest and config. Throws `not-found` when a list has no image for the platform. */
export async function lookAt(
  source: Source,
  platform: Platform = hostPlatform(),
  signal?: AbortSignal,
): Promise<Seen> {
  const first = await readDocument(source, await source.resolve(), signal);
  let found = first;
  for (let depth = 0; found.parsed.kind === "index"; depth++) {
    const chosen = choosePlatform(found.parsed.index.manifests, platform);
    if (chosen === undefined || depth > MAX_DEPTH) {
      throw new CooperError("not-found", `${source.name} has no image for ${formatPlatform(platform)}`, {
        hint: "name a platform with --platform, or use --raw to see the list",
      });
    }
    found = await readDocument(source, chosen, signal);
  }
  const { manifest } = found.parsed;
  const rawConfig = await fetchDocument(source, manifest.config, signal);
  return {
    ...rootOf(first),
    image: found.descriptor,
    manifest,
    rawConfig,
    config: isContainerImage(manifest)
      ? parseImageConfig(rawConfig, `The config of ${source.name}`)
      : undefined,
  };
}

/** Reads the manifest or index alone. */
export async function lookAtRoot(
  source: Source,
  signal?: AbortSignal,
): Promise<Pick<Seen, "root" | "raw" | "document" | "isList">> {
  return rootOf(await readDocument(source, await source.resolve(), signal));
}

type Read = Awaited<ReturnType<typeof readDocument>>;

function rootOf({ descriptor, bytes, parsed }: Read): Pick<Seen, "root" | "raw" | "document" | "isList"> {
  const isList = parsed.kind === "index";
  const document = parsed.kind === "index" ? parsed.index : parsed.manifest;
  return { root: descriptor, raw: bytes, document, isList };
}

async function readDocument(source: Source, descriptor: Descriptor, signal: AbortSignal | undefined) {
  const bytes = await fetchDocument(source, descriptor, signal);
  const parsed = parseManifestOrIndex(bytes, `${descriptor.digest} in ${source.name}`, descriptor.mediaType);
  return { descriptor: { ...descriptor, mediaType: parsed.mediaType }, bytes, parsed };
}
