/** What a caller may say about how registries are talked to. */
import type { Digest } from "../../base/digest.ts";
import type { BlobRef } from "../types.ts";

export interface RegistrySettings {
  /** `USER[:PASSWORD]` for the registry that is named; used instead of the files. */
  creds?: string | undefined;
  /** The one file that credentials are read from; it must exist. Default: see credentials.ts. */
  authFile?: string | undefined;
  /** false: any certificate, and plain HTTP where there is no TLS. true: neither, whatever registries.conf says. */
  tlsVerify?: boolean | undefined;
  /** Directory with *.crt (CAs), *.cert and *.key (this client's), instead of certs.d/REGISTRY. */
  certDir?: string | undefined;
  /** The policy that sources must pass; see policy.ts. */
  signaturePolicy?: string | undefined;
  /** How often a request is repeated after a passing failure. Default 3. */
  retries?: number | undefined;
  /** Milliseconds before the first repetition; doubled each time. Default 1000. */
  retryDelay?: number | undefined;
  /** Full names of repositories from which a registry may take blobs that it is sent. */
  mountFrom?: string[] | undefined;
  /** Blobs that a layer was compressed to before: one that the registry has need not be made again. */
  knownBlobs?: ((diffId: Digest, mediaType: string) => BlobRef[]) | undefined;
  /** Told what a layer became. */
  rememberBlob?: ((diffId: Digest, mediaType: string, blob: BlobRef) => void) | undefined;
  /** Told about what is repeated, skipped or odd. */
  onWarning?: ((message: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}
