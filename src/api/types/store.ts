/** Stores: how one is opened, what fills it, how it is checked and emptied. */
import type { Isolation } from "../../sandbox/types.ts";

export type { CheckReport } from "../../store/check/check-store.ts";
export type { StoreFault } from "../../store/check/fault.ts";

/** An open store; close with `await using` or `Symbol.asyncDispose`. Its fields are for reading. */
export interface Store extends AsyncDisposable {
  readonly root: string;
  readonly runRoot: string;
  readonly driver: "overlay" | "copy";
}

export interface StoreOptions {
  /** Default: /var/lib/cooper for root, else $XDG_DATA_HOME/cooper; COOPER_ROOT comes before both. */
  root?: string;
  /** Default: /run/cooper for root, else $XDG_RUNTIME_DIR/cooper. */
  runRoot?: string;
  driver?: "overlay" | "copy";
}

export interface StoreInfo {
  root: string;
  runRoot: string;
  driver: "overlay" | "copy";
  rootless: boolean;
  /** How much this host lets Cooper do, 0 (root) to 4 (docs/rootless.md), and that in words. */
  tier: number;
  tierSummary: string;
  /** Network of commands that ask for none, and what connects it or why there is no other. */
  network: string;
  networkSummary: string;
  isolation: Isolation | undefined;
  /** Ways to run commands, the preferred one first. */
  runtimes: { name: Isolation; program: string | undefined }[];
  /** Lines of the uid map: inside, outside, count. */
  uidMap: [number, number, number][];
  gidMap: [number, number, number][];
  images: number;
  containers: number;
  layers: number;
  kernel: string;
  cores: number;
  memoryBytes: number;
  version: string;
}

export interface CheckOptions {
  /** Unpack again what there is a blob of, forget the rest. */
  repair?: boolean;
  signal?: AbortSignal;
}

export interface PruneOptions {
  /** Every image that no container comes from, not only those without a name. */
  all?: boolean;
  /** Also containers of images that go. */
  force?: boolean;
  /** Only what was made (images) or last used (cache) before this time, in milliseconds since 1970. */
  until?: number;
  /** Only images with these labels, `key` or `key=value`; the build cache stays then. */
  labels?: string[];
  /** Keep the build cache. */
  keepCache?: boolean;
  /** Shrink the build cache to this many bytes instead of emptying it: what was used longest ago goes first. */
  keepCacheBytes?: number;
}

export interface PruneResult {
  untagged: string[];
  /** Ids of images and lists that are gone. */
  images: string[];
  /** Names of containers that are gone. */
  containers: string[];
  /** Cached steps that are forgotten. */
  cacheEntries: number;
  /** Bytes of files that were deleted. */
  reclaimedBytes: number;
}

/** One kind of what a store holds. */
export interface DiskPart {
  count: number;
  /** Allocated bytes. */
  bytes: number;
  /** What pruneImages() with `all` would free of it. */
  reclaimable: number;
}

/** The parts add up to the total: what two of them share belongs to the first. */
export interface DiskUsage {
  images: DiskPart;
  /** What containers wrote. */
  containers: DiskPart;
  /** Steps of builds that are no part of an image or container. */
  cache: DiskPart;
  /** What RUN --mount=type=cache keeps. */
  cacheMounts: DiskPart;
  /** Of builds that failed. */
  logs: DiskPart;
  /** Work in progress, and what was left by processes that were killed. */
  unfinished: DiskPart;
  /** And the room that is kept for changing it on a full disk. */
  database: DiskPart;
  /** Of all these: manifests, configs, and layers as they are in registries. */
  blobBytes: number;
  totalBytes: number;
  /** Of each image all its bytes, and how many of them other images, containers or the cache use too. */
  perImage: { id: string; names: string[]; bytes: number; sharedBytes: number; inUse: boolean }[];
  perContainer: { id: string; name: string; bytes: number }[];
}
