/** Places that images come from and go to. One copy() moves between any two of them (copy.ts). */
import type { Digest } from "../base/digest.ts";
import type { Descriptor } from "../oci/types.ts";

/** A place to read one image (or index) from. Errors name the place. */
export interface Source extends AsyncDisposable {
  /** The reference as a user writes it: `oci:/tmp/x:latest`. */
  readonly name: string;
  /** Descriptor of the root manifest or index. Throws `not-found`. */
  resolve(): Promise<Descriptor>;
  /** Content of a manifest, index, config or layer. copy() verifies it; other callers must. Throws `not-found`. */
  fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>>;
}

/** A place to write one image (or index) to. Nothing is visible under the target's name before tag(). */
export interface Target extends AsyncDisposable {
  readonly name: string;
  /** Whether content with this digest is there already and need not be sent. */
  exists(descriptor: Descriptor): Promise<boolean>;
  /**
   * Stores a blob (a layer or config) while it streams. When `expected` is given, other bytes are an `integrity` error
   * and are not kept; otherwise the digest found out is returned.
   */
  push(content: AsyncIterable<Uint8Array>, expected?: { digest: Digest; size: number }): Promise<{ digest: Digest; size: number }>;
  /** Stores the bytes of a manifest or index. Those that it refers to must be there. */
  pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void>;
  /** Gives the root its name: from here on the image is there. */
  tag(root: Descriptor): Promise<void>;
}
