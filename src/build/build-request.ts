/** What a build is asked for, with every default decided. */
import type { CacheSource, CacheTarget } from "./remote-cache.ts";
import type { DockerfileText } from "./read-dockerfile.ts";
import type { SbomRequest } from "./sbom-scan.ts";
import type { EventSink, StepLabel, StepMiss } from "../base/events.ts";
import type { RunSettings } from "../container/run-settings.ts";
import type { PullPolicy } from "../image/obtain-image.ts";
import type { ImageFormat } from "../oci/types.ts";
import type { ImageTime } from "../container/commit.ts";
import type { SecretSource } from "../container/secret.ts";
import type { DriverName } from "../store/store.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

/** `--ssh`: an agent, or private keys that one of the build's own is to hold. */
export interface BuildSsh {
  id: string;
  /** Paths of private keys; or of a socket, SSH_AUTH_SOCK's where there is none, and of public keys that limit what it is asked. */
  sources: string[];
}

export interface BuildRequest {
  /** What tells this Dockerfile and its context from others, from one build to the next; the platform is not in it. */
  project: string;
  /** Absolute path of the context's directory; undefined when there is none. */
  context: string | undefined;
  /** The Dockerfile, or several that are read as one. */
  dockerfiles: DockerfileText[];
  /** Absolute path of the ignore file, if one applies. */
  ignoreFile: string | undefined;
  /** Full names for the image. */
  names: string[];
  target: string | undefined;
  /** In place of what the first FROM names. */
  from: string | undefined;
  buildArgs: Record<string, string>;
  /** `--build-context` by name: a directory, or an image with `docker-image://`, `oci-layout://`. */
  buildContexts: Record<string, string>;
  layers: boolean;
  skipUnusedStages: boolean;
  /** RUN leaves what is below volumes as it is. */
  compatVolumes: boolean;
  /** RUN reads this process's standard input. */
  stdin: boolean;
  squash: boolean;
  noCache: boolean;
  /** Stages that are run anew, by name, or by number where they have none. */
  noCacheFilter: string[];
  cacheFrom: CacheSource[];
  cacheTo: CacheTarget[];
  /** Results of steps that were run before are not used: milliseconds since 1970. */
  cacheNotBefore: number;
  format: ImageFormat;
  platform: string | undefined;
  pull: PullPolicy;
  /** How registries are talked to. */
  registry: RegistrySettings;
  labels: string[];
  annotations: string[];
  unsetEnv: string[];
  unsetLabels: string[];
  unsetAnnotations: string[];
  /** `KEY=value` for every stage that begins with an image or with nothing, and so for the result. */
  env: string[];
  omitHistory: boolean;
  createdAnnotation: boolean;
  /** Whether stages FROM an image get its annotations, and FROM an image or another stage its labels. */
  inheritAnnotations: boolean;
  inheritLabels: boolean;
  /** `feature` adds, `feature-` removes. */
  osFeatures: string[];
  osVersion: string | undefined;
  secrets: SecretSource[];
  /** Ids of secrets that the image may hold. */
  allowSecretLeaks: string[];
  ssh: BuildSsh[];
  /** `security.insecure`, `network.host`: what RUN flags may ask for. */
  allow: string[];
  timestamp: ImageTime | undefined;
  jobs: number;
  /** Whether a RUN that fails opens a shell on this process's terminal. */
  debugShell: boolean;
  identityLabel: string | undefined;
  sbom: SbomRequest | undefined;
  run: RunSettings;
  driver: DriverName;
  /** For the sandbox's own state. */
  runRoot: string;
  onEvent: EventSink;
  /** Learns of each step that is run why; undefined where nobody wants to know. */
  onMiss: ((step: StepLabel, miss: StepMiss) => void) | undefined;
  /** Gets the values of the secrets that steps ask for, by id. */
  secretValues: Map<string, Buffer>;
  signal: AbortSignal;
}
