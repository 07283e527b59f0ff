/** Images of the store. */
import type { Digest } from "../../base/digest.ts";
import type { ImageConfig, ImageFormat, Manifest } from "../../oci/types.ts";

export type { ChangedField, ChangedType, StackChange as FileChange } from "../../archive/compare-stacks.ts";
export type * from "../../oci/types.ts";

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

export interface ImageDetails extends ImageInfo {
  config: ImageConfig;
  manifest: Manifest;
}

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

export interface ImportOptions {
  name?: string;
  /** Config fields of the new image, `ENV A=b` and the like as Dockerfile instructions. */
  changes?: string[];
  message?: string;
  platform?: string;
  format?: ImageFormat;
  signal?: AbortSignal;
}
