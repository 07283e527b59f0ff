/** Images that go from one place to another. */
import type { Digest } from "../../base/digest.ts";
import type { EventSink } from "../../base/events.ts";
import type { SyncedImage } from "../../image/sync.ts";
import type { LayerCompression } from "../../oci/media-types.ts";
import type { ImageFormat } from "../../oci/types.ts";
import type { RegistryOptions } from "./registry.ts";
import type { Store } from "./store.ts";

export type { SyncedImage } from "../../image/sync.ts";
export type { LayerCompression } from "../../oci/media-types.ts";

export type PullPolicy = "always" | "missing" | "never" | "newer";

export interface PullOptions extends RegistryOptions {
  /** Name in the store. Default: the one that the source carries. */
  name?: string;
  /** Default `missing`: an image that the store has under its name is not asked for again. */
  policy?: PullPolicy;
  platform?: string;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface PushOptions extends RegistryOptions {
  compression?: LayerCompression;
  compressionLevel?: number;
  /** Compress layers anew that are compressed otherwise. */
  forceCompression?: boolean;
  format?: ImageFormat;
  /** Which image of a list; default this host's. */
  platform?: string;
  /** Of a list: all of its images and the list itself. */
  all?: boolean;
  /** With `all`: false leaves BuildKit's attestations out. Default true. */
  attestations?: boolean;
  /**
   * With `all`: each platform has an image in each of these compressions, beside the one in `compression`. Those with zstd come
   * last and are marked as such: who knows the mark takes them, all others the first for their platform.
   */
  addCompression?: LayerCompression[];
  /** Also send layers that their publisher keeps elsewhere (non-distributable ones). */
  foreignLayers?: boolean;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface PushResult {
  /** Digest of the manifest as it was written. */
  digest: Digest;
}

export interface ImageCopyOptions extends PushOptions {
  store?: Store;
  /** Of a list: a list of the images for these alone; a single one gives the image itself. */
  platforms?: string[];
  /** Manifests that speak of the image (signatures, SBOMs: OCI referrers), and theirs, travel along. */
  referrers?: boolean;
  /** Throw `unsupported` where a digest would change. */
  preserveDigests?: boolean;
  /** What is different for the source. */
  source?: RegistryOptions;
  /** What is different for the destination. */
  destination?: RegistryOptions;
}

export interface SyncOptions extends Omit<ImageCopyOptions, "store" | "platforms"> {
  /** `docker`: a repository, or one image of it; `dir`: a directory of images; `yaml`: a list (skopeo-sync(1)). */
  from: "docker" | "dir" | "yaml";
  to: "docker" | "dir";
  /** Names at the destination have the whole name of the source. Default: only its last part. */
  scoped?: boolean;
  /** Put behind every name at the destination. */
  appendSuffix?: string;
  /** Failures are told of, and do not keep the others from being copied. */
  keepGoing?: boolean;
  /** Tells what would be copied, and copies nothing. */
  dryRun?: boolean;
  /** Told of every image. */
  onImage?: (image: SyncedImage) => void | Promise<void>;
}

export interface SaveOptions {
  /** Default docker-archive. */
  format?: "docker-archive" | "oci-archive";
  /** Lists with all of their images; only an oci-archive holds them. */
  all?: boolean;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface LoadOptions {
  /** Which image of a list; default this host's. */
  platform?: string;
  onEvent?: EventSink;
  signal?: AbortSignal;
}
