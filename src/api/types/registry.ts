/** Registries, and what is looked at where it lies. */
import type { Digest } from "../../base/digest.ts";
import type { EventSink } from "../../base/events.ts";
import type { ImageConfig, ImageIndex, Manifest } from "../../oci/types.ts";

export type { TagList } from "../../image/registry-images.ts";

/** How registries are talked to; the rest is in registries.conf, auth.json and certs.d. */
export interface RegistryOptions {
  /** `USER[:PASSWORD]`, used instead of the files. */
  creds?: string;
  /** The one file with credentials. Default: REGISTRY_AUTH_FILE, else those of containers-auth.json(5) and Docker. */
  authFile?: string;
  /** false: any certificate will do, and plain HTTP where there is no TLS. Default: as registries.conf says, or true. */
  tlsVerify?: boolean;
  /** Directory with *.crt, *.cert and *.key instead of those in certs.d. */
  certDir?: string;
  /** policy.json that sources must pass, instead of the user's or the system's. */
  signaturePolicy?: string;
  /** How often a request is repeated after a passing failure. Default 3. */
  retries?: number;
  /** Milliseconds before the first repetition; doubled each time. Default 1000. */
  retryDelay?: number;
}

export interface LoginOptions extends RegistryOptions {
  username: string;
  password: string;
  /** authFile is one of Docker's (config.json): one entry for each registry, under Docker's names. */
  dockerFile?: boolean;
  signal?: AbortSignal;
}

/** Which file a login is kept in. */
export type LoginFile = Pick<LoginOptions, "authFile" | "dockerFile">;

/** Of what asks a registry. */
export interface ExchangeOptions extends RegistryOptions {
  /** Told of what is tried again. */
  onEvent?: EventSink;
  signal?: AbortSignal;
}

export interface ReferenceOptions extends ExchangeOptions {
  /** Which image of a list; default this host's. */
  platform?: string;
  /** The manifest or list alone, not the config. */
  rootOnly?: boolean;
}

/** An image or list where it lies. */
export interface ImageReferenceDetails {
  /** The reference as it was resolved. */
  name: string;
  digest: Digest;
  mediaType: string;
  manifest: Manifest | ImageIndex;
  /** Bytes of the manifest or list. */
  raw: Uint8Array;
  isList: boolean;
  /** The image itself, or of a list the one for the platform; absent with `rootOnly`. */
  imageDigest?: Digest;
  imageManifest?: Manifest;
  rawConfig?: Uint8Array;
  /** Absent when it is no container image. */
  config?: ImageConfig;
}
