/** Options and results of the public API: plain data. */
import type { BuildReport } from "./api/report-types.ts";
import type { EventSink } from "./base/events.ts";
import type { Location } from "./base/errors.ts";
import type { Digest } from "./base/digest.ts";
import type { LayerCompression } from "./oci/media-types.ts";
import type { ImageConfig, ImageFormat, ImageIndex, Manifest } from "./oci/types.ts";
import type { RunSettings } from "./container/run-settings.ts";
import type { SbomRequest } from "./build/sbom-scan.ts";
import type { SyncedImage } from "./image/sync.ts";
import type { Isolation } from "./sandbox/types.ts";

export type * from "./api/report-types.ts";
export type { RunSettings } from "./container/run-settings.ts";

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

export type PullPolicy = "always" | "missing" | "never" | "newer";

export interface FromOptions extends RegistryOptions {
  /** Default: made from the image's name: `debian-working-container`, `…-1`. */
  name?: string;
  pull?: PullPolicy;
  platform?: string;
  /** Settings that later runs in the container use. */
  run?: RunSettings;
  /** PID of a process: when it has ended, however, the container is removed. */
  removeWith?: number;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface RunOptions extends RunSettings {
  /** `KEY=value`; added to the config's. */
  env?: string[];
  user?: string;
  workingDir?: string;
  hostname?: string;
  /**
   * `type=bind|cache|tmpfs,…` as --mount has it. What is written into a bind mount is discarded; `from` names an image; a cache
   * is the one that Dockerfiles have under the same id.
   */
  mounts?: string[];
  terminal?: boolean;
  /** Leaves stdin, stdout and stderr to the command. */
  inherit?: boolean;
  stdin?: Uint8Array;
  onStdout?: (chunk: Uint8Array) => void;
  onStderr?: (chunk: Uint8Array) => void;
  /**
   * Does not run what was run before, by this or in a Dockerfile, on the same files with the same variables, user, mounts
   * and settings, but takes what it gave. The command gets no input, and the host name of builds unless it is given one;
   * the container may not be mounted. Failing commands are not remembered.
   */
  cache?: boolean;
  /** With `cache`: told when the store cannot be kept within its limit. */
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface RunResult {
  exitCode: number;
  /** The command was not run: what it gave was in the cache. */
  cached: boolean;
  /** Why it may have failed: the container is for another architecture, and no emulator is registered for that. */
  hint?: string;
}

export interface CopyOptions extends RegistryOptions {
  /** `user[:group]`, names looked up in the container. Default 0:0. */
  chown?: string;
  chmod?: string;
  /** Sources are relative to this directory and may not leave it; `.dockerignore` there is honoured. */
  contextDir?: string;
  ignoreFile?: string;
  exclude?: string[];
  /** Container or image whose files are copied instead of the host's. */
  from?: string;
  /** Keep owners of the sources. */
  preserveOwnership?: boolean;
  parents?: boolean;
  /** As a layer of its own, which goes on top of all that is in the container when it is committed; it is not seen in it. */
  link?: boolean;
  /** Seconds since 1970: the time of everything that is copied. */
  timestamp?: number;
  /** For URLs. */
  checksum?: string;
  signal?: AbortSignal;
}

/** A scanner, and where to put its account of what is in an image. */
export interface SbomOptions extends Omit<SbomRequest, "pull"> {
  /** When the scanner's image is brought anew. Default: as the build's bases, `missing` for a commit. */
  pull?: PullPolicy;
}

export interface CommitOptions {
  format?: ImageFormat;
  /** One layer for everything, the base included. */
  squash?: boolean;
  /** Remove the container after. */
  remove?: boolean;
  omitHistory?: boolean;
  /** Also tell the time of creation in the manifest's annotations. */
  createdAnnotation?: boolean;
  /** Files of the host that the image gets on top, as a layer of their own; they are root's, with mode 0644. */
  addFiles?: { source: string; destination: string }[];
  /** Has a scanner look at the image first; registries are talked to as `registry` says. */
  sbom?: SbomOptions;
  registry?: RegistryOptions;
  /** Path of a JSON document with values of a config (`Env`, `Cmd`, `Labels`…), for the image and not the container. */
  configFile?: string;
  /** Seconds since 1970 for created, history and every file. */
  timestamp?: number;
  /** Seconds since 1970 for created, history and every file that is newer; `timestamp` is stronger. */
  sourceDateEpoch?: number;
  /** Whether sourceDateEpoch applies to files. Default true. */
  rewriteTimestamp?: boolean;
  /** Dockerfile instructions that change the image's config, and not the container's. */
  changes?: string[];
  /** Variables that the image does not get. */
  unsetEnv?: string[];
  /** Annotations of the manifest, `key=value`. */
  annotations?: string[];
  unsetAnnotations?: string[];
  /** Value of the label io.buildah.version; absent: none. */
  identityLabel?: string;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface BuildOptions extends RegistryOptions {
  /** A directory, a tar archive, a git repository (`URL#ref:subdirectory`), an http(s) URL, or `-` for stdin. */
  context?: string;
  /**
   * Path of the Dockerfile, `-` for stdin, an http(s) URL; several are read as one. Default: Containerfile, then
   * Dockerfile, in the context.
   */
  file?: string | string[];
  /** Names that the image gets. */
  tags?: string[];
  target?: string;
  /** In place of what the first FROM names. */
  from?: string;
  /** Further arguments of cpp, which Dockerfiles with names in `.in` go through. */
  cppFlags?: string[];
  buildArgs?: Record<string, string>;
  /** By name: what `context` takes, `docker-image://NAME`, `oci-layout://PATH[:TAG|@DIGEST]`. */
  buildContexts?: Record<string, string>;
  /** One layer for each instruction that changes files; otherwise one on top of the base. */
  layers?: boolean;
  /** Only the stages that the target needs are run; false: all that stand above it, too. Default true. */
  skipUnusedStages?: boolean;
  /** What RUN writes below a VOLUME, of the file or of its base, is not kept; what COPY and ADD put there is. */
  compatVolumes?: boolean;
  /** RUN reads this process's standard input, and is run each time: what comes in is in no key. */
  stdin?: boolean;
  squash?: boolean;
  noCache?: boolean;
  /** Stages whose steps are run anew. */
  noCacheFilter?: string[];
  /** Caches of other machines that are asked for steps that this store does not know. */
  cacheFrom?: CachePlaceOptions[];
  /** Where the results of steps are exported to. */
  cacheTo?: CacheExportOptions[];
  /** Seconds: results of steps that were run longer ago are not used; 0 is noCache. */
  cacheTtl?: number;
  format?: ImageFormat;
  platform?: string;
  /**
   * In place of `platform`, several that are built for at once: the names are those of a list of the images. `all`: every
   * platform that all base images of the target have. One platform alone gives an image and no list.
   */
  platforms?: string[] | "all";
  pull?: PullPolicy;
  labels?: string[];
  annotations?: string[];
  unsetEnv?: string[];
  unsetLabels?: string[];
  unsetAnnotations?: string[];
  /** `KEY=value`, for all stages and the image. */
  env?: string[];
  omitHistory?: boolean;
  /** Also tell the time of creation in the manifest's annotations. */
  createdAnnotation?: boolean;
  /** The image gets its base's annotations. Default false. */
  inheritAnnotations?: boolean;
  /** Stages get the labels of what they are FROM. Default true. */
  inheritLabels?: boolean;
  /** `feature` adds one that the operating system must have, `feature-` removes it. */
  osFeatures?: string[];
  osVersion?: string;
  ignoreFile?: string;
  /**
   * With `cacheSalt` a step that mounts the secret is run again when its value changed (true), or when that text did: other
   * machines find what was run with the same text.
   */
  secrets?: { id: string; source: string; kind: "file" | "env"; cacheSalt?: string | true }[];
  /** Ids of `secrets` that the image may hold: where they are is a warning then, and not an error. */
  allowSecretLeaks?: string[];
  /**
   * Agents for RUN --mount=type=ssh: private keys, which one of the build's own holds; or the socket of one (none:
   * SSH_AUTH_SOCK), with public keys if no others of it may be used.
   */
  ssh?: { id: string; sources: string[] }[];
  /** `security.insecure`, `network.host`: lets RUN --security=insecure, RUN --network=host do what they say. */
  allow?: string[];
  /** Where the result goes beside the store. */
  outputs?: BuildOutput[];
  /** Seconds since 1970 for created, history and every file. */
  timestamp?: number;
  /**
   * Seconds since 1970 for created, history and every file that is newer. Default: the build arg SOURCE_DATE_EPOCH, else
   * the variable of that name.
   */
  sourceDateEpoch?: number;
  /** Whether sourceDateEpoch applies to files. Default true. */
  rewriteTimestamp?: boolean;
  /** Stages that may run at once. Default: the cores. */
  jobs?: number;
  identityLabel?: string;
  /** Has a scanner look at the image first. */
  sbom?: SbomOptions;
  /**
   * When a RUN fails, a shell is run in its place on this process's terminal (stdin and stdout must be one), with the files
   * as they were before it; the build fails afterwards.
   */
  debugShell?: boolean;
  run?: RunSettings;
  /** A list of images to which the image is added, or several are; it is made if there is none of that name. */
  manifest?: string;
  onEvent?: EventSink;
  /**
   * Called once when the build has ended, also when it failed. To make the report the layers of the image are walked through,
   * base included.
   */
  onReport?: (report: BuildReport) => void;
  signal?: AbortSignal;
}

/** A build cache that several machines share. */
export type CachePlaceOptions = {
  /** Cache mounts (RUN --mount=type=cache) too. Default false. */
  mounts?: boolean;
} & (
  | {
      type: "registry";
      /** `registry/repository[:tag]`; with a tag, entries are tagged `tag-KEY`. */
      ref: string;
    }
  | { type: "local"; path: string }
);

export type CacheExportOptions = CachePlaceOptions & {
  /** `max` (the default): the steps of all stages; `min`: of the target and the stages that it is FROM. */
  mode?: "min" | "max";
  /** Of layers. Default zstd. */
  compression?: "gzip" | "zstd";
  /** Failures are warnings. Default false. */
  ignoreErrors?: boolean;
};

export interface BuildOutput {
  /** `local`: the files, in a directory; `tar`: the same as an archive; `oci`, `docker`: the image. */
  type: "local" | "tar" | "oci" | "docker";
  /** Path, or `-` for stdout. */
  destination: string;
  /** The image as a layout directory rather than an archive. */
  directory?: boolean;
  /** Name of the image within. Default: the first tag. */
  name?: string;
}

/** A build check that is not met. */
export interface CheckWarning {
  /** BuildKit's name of the rule: `StageNameCasing`. */
  rule: string;
  message: string;
  location: Location;
}

export interface BuildResult {
  /** For several platforms that of the list. */
  imageId: string;
  names: string[];
  /** Digest of the manifest, or of the list. */
  digest: Digest;
  /** For several platforms: what the list was given. */
  images?: { platform: string; imageId: string; digest: Digest }[];
}

/** How registries are talked to; the rest is in registries.conf, auth.json and certs.d. */
export interface RegistryOptions {
  /** `USER[:PASSWORD]`, used instead of the files. */
  creds?: string;
  /** The one file with credentials. Default: REGISTRY_AUTH_FILE, else those of containers-auth.json(5) and Docker. */
  authFile?: string;
  /** false: any certificate will do, and plain HTTP where there is no TLS. Default: as registries.conf says, or true. */
  tlsVerify?: boolean;
  /** Directory with *.crt, *.cert and *.key instead of those in certs.d. */
  certDir?: string;
  /** policy.json that sources must pass, instead of the user's or the system's. */
  signaturePolicy?: string;
  /** How often a request is repeated after a passing failure. Default 3. */
  retries?: number;
  /** Milliseconds before the first repetition; doubled each time. Default 1000. */
  retryDelay?: number;
}

export interface LoginOptions extends RegistryOptions {
  username: string;
  password: string;
  /** authFile is one of Docker's (config.json): one entry for each registry, under Docker's names. */
  dockerFile?: boolean;
  signal?: AbortSignal;
}

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

/** What a list says about one of its images. */
export interface ManifestEntryEdits {
  os?: string;
  arch?: string;
  variant?: string;
  osVersion?: string;
  osFeatures?: string[];
  features?: string[];
  /** `KEY=value` */
  annotations?: string[];
}

export interface ManifestCreateOptions extends RegistryOptions {
  /** What the list has from the start. */
  images?: string[];
  /** Of images that are lists themselves, all that they list. */
  all?: boolean;
  /** Add to a list of that name, if there is one. */
  amend?: boolean;
  /** Take the name from what has it. */
  replace?: boolean;
  /** Of the list itself, `KEY=value`. */
  annotations?: string[];
  onEvent?: EventSink;
  signal?: AbortSignal;
}

/** What `addArtifactToManifest` makes of files. */
export interface ArtifactOptions extends ManifestEntryEdits {
  artifactType?: string;
  /** Path of a file; without one the config is empty. */
  config?: string;
  configType?: string;
  /** Media type of every file. Default: by the end of its name. */
  layerType?: string;
  /** Files keep their names, in annotations. Default true. */
  titles?: boolean;
  /** Of the artifact's manifest, `key=value`; `annotations` are those of its entry. */
  artifactAnnotations?: string[];
  /** The image that it is about. */
  subject?: string;
}

export interface ManifestAddOptions extends ManifestEntryEdits, RegistryOptions {
  /** Of an image that is a list itself, all that it lists. */
  all?: boolean;
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface ManifestAnnotateOptions extends ManifestEntryEdits, RegistryOptions {
  /** The list itself is annotated. */
  index?: boolean;
  /** Image that the list is about (`subject`). */
  subject?: string;
}

export interface ManifestPushOptions extends PushOptions {
  /** Remove the list when it was sent. */
  remove?: boolean;
}

export interface ManifestInfo {
  /** 64 hexadecimal digits; stays when the list changes. */
  id: string;
  names: string[];
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

export interface PushResult {
  /** Digest of the manifest as it was written. */
  digest: Digest;
}

export interface ImportOptions {
  name?: string;
  /** Config fields of the new image, `ENV A=b` and the like as Dockerfile instructions. */
  changes?: string[];
  message?: string;
  platform?: string;
  format?: ImageFormat;
  signal?: AbortSignal;
}

export interface ImageInfo {
  /** 64 hexadecimal digits: the digest of the config. */
  id: string;
  /** Full names with tags: `localhost/hello:latest`. */
  names: string[];
  /** Names that it has or had in this store, the last given first; of more than a hundred the last ones. */
  nameHistory: string[];
  /** Digest of the manifest in the store. */
  digest: Digest;
  /** ISO 8601. */
  created: string;
  /** Bytes of the unpacked layers. */
  size: number;
  labels: Record<string, string>;
  /** It is a list of images; its size is that of the list alone. */
  isList?: boolean;
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

export type { SyncedImage } from "./image/sync.ts";
export type { Fault as StoreFault } from "./store/check/fault.ts";
export type { CheckReport } from "./store/check/check-store.ts";

export interface CheckOptions {
  /** Unpack again what there is a blob of, forget the rest. */
  repair?: boolean;
  signal?: AbortSignal;
}

export type { StackChange as FileChange } from "./archive/compare-stacks.ts";

/** A step of an image's making. */
export interface HistoryItem {
  /** Of the latest step: the image that it gave. */
  imageId?: string;
  names?: string[];
  /** ISO 8601. */
  created: string | undefined;
  createdBy: string;
  author: string;
  comment: string;
  /** Bytes of the layer's tar; 0 where the step made none. */
  size: number;
  diffId: Digest | undefined;
}

export interface ReferenceOptions extends RegistryOptions {
  /** Which image of a list; default this host's. */
  platform?: string;
  /** The manifest or list alone, not the config. */
  rootOnly?: boolean;
  /** Told of what is tried again. */
  onEvent?: EventSink;
  signal?: AbortSignal;
}

/** An image or list where it lies. */
export interface ImageReferenceDetails {
  /** The reference as it was resolved. */
  name: string;
  digest: Digest;
  mediaType: string;
  manifest: Manifest | ImageIndex;
  /** Bytes of the manifest or list. */
  raw: Uint8Array;
  isList: boolean;
  /** The image itself, or of a list the one for the platform; absent with `rootOnly`. */
  imageDigest?: Digest;
  imageManifest?: Manifest;
  rawConfig?: Uint8Array;
  /** Absent when it is no container image. */
  config?: ImageConfig;
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

export interface ImageDetails extends ImageInfo {
  config: ImageConfig;
  manifest: Manifest;
}

export interface ContainerInfo {
  id: string;
  name: string;
  /** Id and name of the base image; undefined for scratch. */
  imageId: string | undefined;
  imageName: string | undefined;
  /** Where it is mounted, if it is. */
  mountPoint: string | undefined;
  created: string;
}

export interface ContainerDetails extends ContainerInfo {
  config: ImageConfig;
  annotations: Record<string, string>;
  /** The base image's manifest digest, if any. */
  baseDigest: Digest | undefined;
  run: RunSettings;
  /** Of its commands: `CAP_CHOWN` and so on. */
  capabilities: string[];
}

export interface StoreInfo {
  root: string;
  runRoot: string;
  driver: "overlay" | "copy";
  rootless: boolean;
  /** How much this host lets Cooper do, 0 (root) to 4 (docs/rootless.md), and that in words. */
  tier: number;
  tierSummary: string;
  /** Network of commands that ask for none. */
  network: string;
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
