/** Flags about how registries are talked to, with Buildah's names. */
import { CooperError } from "../base/errors.ts";
import type { RegistryOptions } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { parseDuration } from "./units.ts";

export const TLS_FLAG = {
  "tls-verify": {
    type: "bool",
    default: true,
    help: "speak TLS and check certificates; false: any certificate will do, or none",
  },
} as const satisfies FlagTable;

export const REGISTRY_FLAGS = {
  ...TLS_FLAG,
  authfile: {
    type: "string",
    placeholder: "file",
    help: "file with credentials",
    env: ["REGISTRY_AUTH_FILE"],
  },
  "cert-dir": { type: "string", placeholder: "dir", help: "directory with *.crt, *.cert and *.key" },
  creds: { type: "string", placeholder: "user[:password]", help: "credentials for the registry" },
} as const satisfies FlagTable;

export const RETRY_FLAGS = {
  retry: { type: "int", default: 3, placeholder: "times", help: "how often a failed request is repeated" },
  "retry-delay": { type: "string", placeholder: "duration", help: "time before the first repetition" },
} as const satisfies FlagTable;

/** What was asked for, as the API takes it; what was not given is left to registries.conf and the defaults. */
export function registryOptions(flags: {
  authfile?: string | undefined;
  "cert-dir"?: string | undefined;
  creds?: string | undefined;
  "tls-verify"?: boolean;
  retry?: number | undefined;
  "retry-delay"?: string | undefined;
}): RegistryOptions {
  const delay = flags["retry-delay"];
  if (flags.retry !== undefined && flags.retry < 0)
    throw new CooperError("usage", "--retry must not be negative");
  return {
    ...(flags.authfile === undefined ? {} : { authFile: flags.authfile }),
    ...(flags["cert-dir"] === undefined ? {} : { certDir: flags["cert-dir"] }),
    ...(flags.creds === undefined ? {} : { creds: flags.creds }),
    ...(flags["tls-verify"] === false ? { tlsVerify: false } : {}),
    ...(flags.retry === undefined ? {} : { retries: flags.retry }),
    ...(delay === undefined ? {} : { retryDelay: parseDuration(delay, "--retry-delay") / 1e6 }),
  };
}
