/** Documents of the OCI image spec v1.1 and their Docker schema 2 twins, as Cooper holds them after the schema check. */
import type { Digest } from "../base/digest.ts";

/** descriptor.md */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes of the stored content. */
  size: number;
  annotations?: Record<string, string>;
  platform?: Platform;
  artifactType?: string;
  urls?: string[];
  data?: string;
}

/** image-index.md, "platform"; the names are Go's. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
  "os.version"?: string;
  "os.features"?: string[];
}

/** manifest.md, and Docker's manifest v2 schema 2, which has the same shape. */
export interface Manifest {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  config: Descriptor;
  layers: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/** image-index.md, and Docker's manifest list. */
export interface ImageIndex {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  manifests: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/** config.md: the whole document. */
export interface ImageConfig {
  created?: string;
  author?: string;
  /** Docker's format only. */
  comment?: string;
  architecture: string;
  os: string;
  variant?: string;
  "os.version"?: string;
  "os.features"?: string[];
  config?: ContainerConfig;
  rootfs: { type: "layers"; diff_ids: Digest[] };
  history?: HistoryEntry[];
}

/** config.md, "config", with Docker's extensions (Healthcheck, OnBuild, Shell), kept in the OCI format too. */
export interface ContainerConfig {
  User?: string;
  ExposedPorts?: Record<string, Record<string, never>>;
  /** `KEY=value`, in order. */
  Env?: string[];
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Volumes?: Record<string, Record<string, never>>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  ArgsEscaped?: boolean;
  Healthcheck?: Healthcheck;
  Shell?: string[];
  OnBuild?: string[];
  Hostname?: string;
  Domainname?: string;
}

/** Durations in nanoseconds, as Docker stores them. */
export interface Healthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

export interface HistoryEntry {
  created?: string;
  created_by?: string;
  author?: string;
  comment?: string;
  empty_layer?: boolean;
}

/** Which family of media types an image is written in. */
export type ImageFormat = "oci" | "docker";
