/** Lists of images. */
import type { EventSink } from "../../base/events.ts";
import type { RegistryOptions } from "./registry.ts";
import type { PushOptions } from "./transfer.ts";

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
