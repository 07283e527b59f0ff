/**
 * Moves an image from a source to a target in one pass: streaming, with bounded memory, every byte verified. Digests
 * stay as they are unless another format or compression is asked for or the target needs one.
 */
import { CooperError, wrapError } from "../base/errors.ts";
import { type EventSink, ignoreEvents } from "../base/events.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { choosePlatform, formatPlatform, hostPlatform } from "../oci/platform.ts";
import type { Descriptor, ImageFormat, Platform } from "../oci/types.ts";
import { copyInstances } from "./copy-index.ts";
import { type CopyJob, copyManifest, type FoundRoot, readRoot, requireShallow } from "./copy-manifest.ts";
import { copyReferrers } from "./copy-referrers.ts";
import type { LayerWish } from "./plan-layers.ts";
import type { Source, Target } from "./types.ts";
import { throwIfAborted } from "./verified-stream.ts";

export interface CopyImageOptions {
  /** Which image of an index; default this host's. */
  platform?: Platform;
  /** The whole index, every image in it. */
  all?: boolean;
  /** With `all`: an index of the images for these platforms alone. Throws `not-found` when one is missing. */
  platforms?: Platform[];
  /** `gzip` and `zstd` compress what is not compressed yet. Default `keep`. */
  compression?: LayerCompression | "keep";
  compressionLevel?: number;
  /** Layers that are compressed otherwise are compressed anew. */
  forceCompression?: boolean;
  /** With `all`: each platform has an image in each of these compressions, beside the one that it has otherwise. */
  variants?: readonly LayerCompression[];
  /** Default `keep`. */
  format?: ImageFormat | "keep";
  /** Manifests that speak of what is copied (signatures, SBOMs), and those that speak of these, are copied too. */
  referrers?: boolean;
  /** With `all`: false leaves out BuildKit's attestations. Default true. */
  attestations?: boolean;
  /** Layers that their publisher keeps elsewhere are copied even where the target does without them. */
  foreignLayers?: boolean;
  /** Throws `unsupported` instead of writing something with another digest. */
  preserveDigests?: boolean;
  /** How events call it. Default push. */
  action?: "pull" | "push";
  /** Blobs that are copied at once. Default 4. */
  concurrency?: number;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface CopyResult {
  /** What the target's name now stands for: a manifest, or an index with `all`. */
  root: Descriptor;
  /** The manifest that was copied; of an index, the one for the platform asked for (or the first). */
  manifest: Descriptor;
}

const DEFAULT_CONCURRENCY = 4;

/**
 * Copies an image and gives it the target's name. When it throws, the target's name is as it was before. Throws
 * `integrity` for content that is not what its digest or size says, `not-found` when the source lacks something or has
 * no image for the platform, `unsupported` for what the target cannot hold, `cancelled`.
 */
export async function copyImage(
  source: Source,
  target: Target,
  options: CopyImageOptions = {},
): Promise<CopyResult> {
  const job: CopyJob = {
    source,
    target,
    action: options.action ?? "push",
    level: options.compressionLevel,
    onEvent: options.onEvent ?? ignoreEvents,
    signal: options.signal,
    wish: resolveWish(target, options),
    concurrency: target.demands?.sequential ? 1 : (options.concurrency ?? DEFAULT_CONCURRENCY),
    wantedPlatform: options.platform,
    onlyPlatforms: options.platforms,
    attestations: options.attestations ?? true,
    preserveDigests: options.preserveDigests ?? false,
    variants: options.variants ?? [],
    copied: new Map(),
    compressions: new Map(),
  };
  try {
    const found = await readRoot(job, await source.resolve());
    const result = await copyRoot(job, found, options.all ?? false);
    if (options.referrers) await copyReferrers(job);
    throwIfAborted(options.signal, source.name);
    await target.tag(result.root);
    return result;
  } catch (error) {
    if (error instanceof CooperError) throw error;
    throw wrapError(`Cannot copy ${source.name} to ${target.name}`, error);
  }
}

/** What is asked for and what the target demands. Throws `unsupported` when they contradict each other. */
function resolveWish(target: Target, options: CopyImageOptions): LayerWish {
  const { format = "keep", compression = "keep", forceCompression: force = false } = options;
  const demands = target.demands ?? {};
  const allLayers = demands.allLayers === true || options.foreignLayers === true;
  if (demands.single && options.all) {
    throw new CooperError(
      "unsupported",
      `Cannot copy all images of an index to ${target.name}: it holds one image`,
    );
  }
  if (demands.format !== undefined && format !== "keep" && format !== demands.format) {
    throw new CooperError(
      "unsupported",
      `Cannot write ${target.name} in the ${format} format: it only knows ${demands.format}`,
    );
  }
  // What is usual gives way where the digest matters.
  const usual = options.preserveDigests || options.referrers ? undefined : demands.usualFormat;
  const wanted = format === "keep" ? (usual ?? format) : format;
  return {
    format: demands.format ?? wanted,
    compression: demands.compression ?? compression,
    force,
    allLayers,
  };
}

async function copyRoot(job: CopyJob, found: FoundRoot, all: boolean): Promise<CopyResult> {
  if (found.root.kind === "manifest") {
    const manifest = await copyManifest(job, found, true);
    return { root: manifest, manifest };
  }
  if (all) {
    const { root, instances } = await copyInstances(job, found);
    const chosen = choosePlatform(instances, job.wantedPlatform ?? hostPlatform()) ?? instances[0];
    return { root, manifest: chosen ?? root };
  }
  const manifest = await copyManifest(job, await chooseInstance(job, found), false);
  return { root: manifest, manifest };
}

/** The manifest for the wanted platform, through nested indexes. */
async function chooseInstance(job: CopyJob, found: FoundRoot, depth = 0): Promise<FoundRoot> {
  if (found.root.kind === "manifest") return found;
  requireShallow(job, depth);
  const platform = job.wantedPlatform ?? hostPlatform();
  const { manifests } = found.root.index;
  const chosen = choosePlatform(manifests, platform);
  if (chosen === undefined) {
    const there = manifests.flatMap((m) => (m.platform === undefined ? [] : [formatPlatform(m.platform)]));
    const offered =
      [...new Set(there.filter((p) => !p.startsWith("unknown")))].join(", ") || "none with a platform";
    throw new CooperError(
      "not-found",
      `${job.source.name} has no image for ${formatPlatform(platform)}, it has: ${offered}`,
    );
  }
  return await chooseInstance(job, await readRoot(job, chosen), depth + 1);
}
