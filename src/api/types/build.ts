/** Builds of Dockerfiles. */
import type { Digest } from "../../base/digest.ts";
import type { Location } from "../../base/errors.ts";
import type { EventSink } from "../../base/events.ts";
import type { RunSettings } from "../../container/run-settings.ts";
import type { SecretSource } from "../../container/secret.ts";
import type { ImageFormat } from "../../oci/types.ts";
import type { SbomOptions } from "./container.ts";
import type { RegistryOptions } from "./registry.ts";
import type { BuildReport } from "./report.ts";
import type { PullPolicy } from "./transfer.ts";

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
  secrets?: SecretSource[];
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
