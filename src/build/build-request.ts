/** What a build is asked for, with every default decided. */
import type { EventSink } from "../base/events.ts";
import type { RunSettings } from "../container/run-settings.ts";
import type { PullPolicy } from "../image/move-image.ts";
import type { ImageFormat } from "../oci/types.ts";
import type { DriverName } from "../store/store.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

export interface BuildSecret {
  id: string;
  /** Path of a file, or name of an environment variable. */
  source: string;
  kind: "file" | "env";
}

export interface BuildRequest {
  /** Absolute path of the context's directory; undefined when there is none. */
  context: string | undefined;
  /** Text of the Dockerfile, and its name for messages. */
  dockerfile: { text: string | Uint8Array; file: string };
  /** Absolute path of the ignore file, if one applies. */
  ignoreFile: string | undefined;
  /** Full names for the image. */
  names: string[];
  target: string | undefined;
  buildArgs: Record<string, string>;
  /** `--build-context` by name: a directory, or an image with `docker-image://`, `oci-layout://`. */
  buildContexts: Record<string, string>;
  layers: boolean;
  squash: boolean;
  noCache: boolean;
  format: ImageFormat;
  platform: string | undefined;
  pull: PullPolicy;
  /** How registries are talked to. */
  registry: RegistrySettings;
  labels: string[];
  annotations: string[];
  secrets: BuildSecret[];
  timestamp: number | undefined;
  jobs: number;
  identityLabel: string | undefined;
  run: RunSettings;
  driver: DriverName;
  /** For the sandbox's own state. */
  runRoot: string;
  onEvent: EventSink;
  signal: AbortSignal;
}
