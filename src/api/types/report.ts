/** What reports hold: plain data, which --report FILE.json and `explore` write as they are. docs/report.md */
import type { Digest } from "../../base/digest.ts";
import type { ErrorCode, Location } from "../../base/errors.ts";
import type { StepMiss } from "../../base/events.ts";
import type { ContainerConfig } from "../../oci/types.ts";

/** An image, layer by layer. Paths are text: bytes that are no UTF-8 are shown as U+FFFD. */
export interface ImageReport {
  kind: "image";
  /** Raised when a field changes its meaning or goes. */
  version: 1;
  /** 64 hexadecimal digits: the digest of the config. */
  id: string;
  /** Of the manifest. */
  digest: Digest;
  names: string[];
  /** ISO 8601. */
  created: string;
  /** `linux/amd64`, `linux/arm/v7`. */
  platform: string;
  author: string;
  /** Bytes of all layers, as uncompressed tars. */
  size: number;
  config: ContainerConfig;
  /** The lowest first. */
  layers: LayerReport[];
  /** Bytes of files that a later layer overwrites or deletes. */
  wastedBytes: number;
  /** What wastes them, the worst first. */
  wastedFiles: WastedFileReport[];
}

export interface LayerReport {
  diffId: Digest;
  /** Bytes of the tar, uncompressed. */
  size: number;
  /** Lines of the history: the steps in it. */
  createdBy: string[];
  /** Of this layer's bytes those that a later one overwrites or deletes. */
  wastedBytes: number;
  added: FileCount;
  changed: FileCount;
  removed: FileCount;
  /** All of them, the largest first; directories are not files. */
  files: LayerFileReport[];
}

export interface FileCount {
  files: number;
  /** Of what was removed: bytes that layers below hold in vain. */
  bytes: number;
}

export interface LayerFileReport {
  kind: "added" | "changed" | "removed";
  /** Absolute. A directory that was removed stands for all in it. */
  path: string;
  size: number;
}

export interface WastedFileReport {
  path: string;
  bytes: number;
  /** Indexes of the layers that hold it, or what was in it, and of those that delete it. */
  layers: number[];
}

/** A build, whether it succeeded or not. */
export interface BuildReport {
  kind: "build";
  version: 1;
  /** ISO 8601. */
  started: string;
  milliseconds: number;
  /** Names that the image was to get. */
  names: string[];
  /** Those that ran, in the order in which they began. */
  stages: StageReport[];
  /** Of the images. Times are milliseconds since the build began. */
  commit?: { start: number; milliseconds: number };
  warnings: { message: string; rule?: string; location?: Location }[];
  /** Why it failed. */
  error?: { code: ErrorCode; message: string; hint?: string; location?: Location; output?: string };
  /** What it made: one for each platform, none where it failed. */
  images: ImageReport[];
}

export interface StageReport {
  /** Its name, or its number as text. */
  name: string;
  /** What it was built for, where the build was for several platforms. */
  platform?: string;
  steps: StepReport[];
}

export interface StepReport {
  /** Within the stage, from 1, which is FROM. */
  number: number;
  /** The instruction, on one line. */
  text: string;
  location?: Location;
  /** Milliseconds since the build began. */
  start: number;
  milliseconds: number;
  /** `base`: FROM. `config`: changes no files. `unfinished`: ended because something else failed, or by the user. */
  outcome: "base" | "config" | "cached" | "run" | "failed" | "unfinished";
  /** The remote cache that had it. */
  from?: string;
  /** The equal step of another stage that was run in this build for both. */
  sharedWith?: { stage: string; number: number };
  /** Why it was run. */
  miss?: StepMiss;
}
