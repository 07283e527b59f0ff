/** Working containers. */
import type { Digest } from "../../base/digest.ts";
import type { EventSink } from "../../base/events.ts";
import type { SbomRequest } from "../../build/sbom-scan.ts";
import type { RunSettings } from "../../container/run-settings.ts";
import type { SecretSource } from "../../container/secret.ts";
import type { ImageConfig, ImageFormat } from "../../oci/types.ts";
import type { RegistryOptions } from "./registry.ts";
import type { PullPolicy } from "./transfer.ts";

export type { SbomRequest } from "../../build/sbom-scan.ts";
export type { RunSettings } from "../../container/run-settings.ts";
export type { SecretSource } from "../../container/secret.ts";
export type { SbomMerge } from "../../oci/merge-sboms.ts";
export type { AutoIds, CommandIds, IdMap } from "../../sandbox/command-ids.ts";
export type {
  ChosenNamespaces,
  Isolation,
  NamespaceChoice,
  NetworkMode,
  ResourceLimits,
} from "../../sandbox/types.ts";

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
   * `type=bind|cache|tmpfs|secret,…` as --mount has it. What is written into a bind mount is discarded; `from` names an image; a cache
   * is the one that Dockerfiles have under the same id.
   */
  mounts?: string[];
  /** Secrets that `mounts` of type secret give to the command. What it leaves in the container is searched for them. */
  secrets?: SecretSource[];
  /** Ids of `secrets` that the command may leave there: see `leaks` of the result. */
  allowSecretLeaks?: string[];
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
  /** Told when the command gets another network than it should, and with `cache` when the store cannot be kept within its limit. */
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface RunResult {
  exitCode: number;
  /** The command was not run: what it gave was in the cache. */
  cached: boolean;
  /** Where the secrets are that the command was allowed to leave. */
  leaks?: string[];
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

/** A scanner, and where to put its account of what is in an image. */
export interface SbomOptions extends Omit<SbomRequest, "pull"> {
  /** When the scanner's image is brought anew. Default: as the build's bases, `missing` for a commit. */
  pull?: PullPolicy;
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
