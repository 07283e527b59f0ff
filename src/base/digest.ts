/** Content digests as the OCI image spec defines them (descriptor.md, "Digests"). Cooper computes SHA-256 only. */
import { CooperError } from "./errors.ts";

/** `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether a text is a digest that Cooper can verify. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** Checks a digest from outside. Throws `unsupported` for other algorithms and `invalid` for anything else. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  if (/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/.test(text) && !text.startsWith("sha256:")) {
    throw new CooperError("unsupported", `Digest algorithm of "${text}" is not supported, only sha256 is`);
  }
  throw new CooperError("invalid", `"${text}" is not a digest (expected sha256: and 64 hexadecimal digits)`);
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** Digest of bytes that are at hand. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** Digest that only those can compute who have the key (HMAC, RFC 2104). */
export function keyedDigest(key: Uint8Array, bytes: Uint8Array | string): Digest {
  return `sha256:${new Bun.CryptoHasher("sha256", key).update(bytes).digest("hex")}`;
}

/** Hashes a stream piece by piece and counts its bytes. */
export class Digester {
  #hash = new Bun.CryptoHasher("sha256");
  /** Bytes seen so far. */
  size = 0;

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.size += chunk.length;
  }

  /** Ends the hash; no update may follow. */
  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}
