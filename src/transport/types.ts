/** Places that images come from and go to. One copyImage() moves between any two of them (copy-image.ts). */
import type { Digest } from "../base/digest.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import type { Descriptor, ImageFormat } from "../oci/types.ts";

/** What layers of a source became in other compressions when they were copied before. */
export interface RecodedLayers {
  find(diffId: Digest, compression: LayerCompression, level: number | undefined): BlobRef | undefined;
  add(diffId: Digest, compression: LayerCompression, level: number | undefined, blob: BlobRef): void;
}

/** A place to read one image (or index) from. Errors name the place. */
export interface Source extends AsyncDisposable {
  /** The reference as a user writes it: `oci:/tmp/x:latest`. */
  readonly name: string;
  readonly recoded?: RecodedLayers;
  /**
   * Descriptor of the root manifest or index. Its annotation org.opencontainers.image.ref.name is the name that the
   * image has there, if it has one. Throws `not-found`.
   */
  resolve(): Promise<Descriptor>;
  /**
   * Content of a manifest, index, config or layer. copyImage() verifies it; other callers must (verified-stream.ts).
   * Throws `not-found`. A consumer that stops early must end the iteration (`return()`), as `for await` does. A source
   * that waits for others stops waiting when the signal is aborted, and throws `cancelled`.
   */
  fetch(descriptor: Descriptor, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** Manifests whose subject has this digest; absent where there can be none. Not verified. */
  referrers?(subject: Digest): Promise<Descriptor[]>;
}

export interface BlobRef {
  digest: Digest;
  /** Bytes. */
  size: number;
}

/** What a blob is within its image, for targets that do more with it than keep it. */
export interface BlobRole {
  kind: "layer" | "config" | "other";
  /** As the target's manifest will have it. */
  mediaType: string;
  /** Of a layer, when the config says so: digest of the uncompressed tar. Not verified. */
  diffId?: Digest;
}

/** What a target can hold at all; absent fields are free. */
export interface TargetDemands {
  format?: ImageFormat;
  /** The one format that others look for there: what an image becomes unless a format is asked for. */
  usualFormat?: ImageFormat;
  compression?: LayerCompression;
  /** One image only, no index. */
  single?: boolean;
  /** Blobs come one after the other, in the order of the manifest. */
  sequential?: boolean;
  /** Layers that their publisher keeps elsewhere are needed too. */
  allLayers?: boolean;
}

/** A place to write one image (or index) to. Nothing is visible under the target's name before tag(). */
export interface Target extends AsyncDisposable {
  readonly name: string;
  readonly demands?: TargetDemands;
  /** Whether content with this digest is there already and need not be sent. */
  exists(descriptor: Descriptor, role?: BlobRole): Promise<boolean>;
  /**
   * Stores a blob (a layer or config) while it streams, and returns what it was. When the content throws, nothing is
   * kept and the error passes on. `expected` announces what the content is; a caller that passes it gives a stream
   * that throws before its end when it is something else (verifiedStream() does), so that bytes are hashed once.
   */
  push(content: AsyncIterable<Uint8Array>, expected?: BlobRef, role?: BlobRole): Promise<BlobRef>;
  /** Stores the bytes of a manifest or index, which are verified. Those that it refers to must be there. */
  pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void>;
  /** Notes that a manifest, which was pushed, has this subject; absent where there is no place for that. */
  attach?(subject: Digest, referrer: Descriptor): void;
  /** Gives the root its name: from here on the image is there. */
  tag(root: Descriptor): Promise<void>;
}
