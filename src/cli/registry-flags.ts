/** Flags about how registries are talked to, with Buildah's names. */
import { CooperError } from "../base/errors.ts";
import type { LoginOptions, RegistryOptions } from "../index.ts";
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
  "signature-policy": {
    type: "string",
    placeholder: "file",
    help: "policy.json that images must pass, in place of the user's or the system's",
    hidden: true,
  },
} as const satisfies FlagTable;

/** Of `login` and `logout`. */
export const LOGIN_FILE_FLAGS = {
  authfile: { ...REGISTRY_FLAGS.authfile, help: "file that the credentials are kept in" },
  "compat-auth-file": {
    type: "string",
    placeholder: "file",
    help: "the same, a file of Docker's (config.json)",
  },
} as const satisfies FlagTable;

/** Where `login` and `logout` keep credentials. `given`: names of flags on the command line. */
export function loginFile(
  flags: { authfile: string | undefined; "compat-auth-file": string | undefined },
  given: ReadonlySet<string>,
): Pick<LoginOptions, "authFile" | "dockerFile"> {
  const { authfile, "compat-auth-file": compatible } = flags;
  if (compatible === undefined) return authfile === undefined ? {} : { authFile: authfile };
  if (given.has("authfile"))
    throw new CooperError("usage", "Only one of --authfile and --compat-auth-file can be given");
  return { authFile: compatible, dockerFile: true };
}

export const RETRY_FLAGS = {
  retry: { type: "int", default: 3, placeholder: "times", help: "how often a failed request is repeated" },
  "retry-delay": {
    type: "string",
    placeholder: "duration",
    help: "time before the first repetition; doubled each time (1s)",
  },
} as const satisfies FlagTable;

/**
 * What was asked for, as the API takes it; what was not given is left to registries.conf and the defaults. `given`: names of
 * flags on the command line, so that --tls-verify=true can be told from its default.
 */
export function registryOptions(
  flags: {
    authfile?: string | undefined;
    "cert-dir"?: string | undefined;
    creds?: string | undefined;
    "signature-policy"?: string | undefined;
    "tls-verify"?: boolean;
    retry?: number | undefined;
    "retry-delay"?: string | undefined;
  },
  given?: ReadonlySet<string>,
): RegistryOptions {
  const delay = flags["retry-delay"];
  if (flags.retry !== undefined && flags.retry < 0)
    throw new CooperError("usage", "--retry must not be negative");
  return {
    ...(flags.authfile === undefined ? {} : { authFile: flags.authfile }),
    ...(flags["cert-dir"] === undefined ? {} : { certDir: flags["cert-dir"] }),
    ...(flags.creds === undefined ? {} : { creds: flags.creds }),
    ...(flags["signature-policy"] === undefined ? {} : { signaturePolicy: flags["signature-policy"] }),
    ...(flags["tls-verify"] === false ? { tlsVerify: false } : {}),
    ...(flags["tls-verify"] === true && given?.has("tls-verify") ? { tlsVerify: true } : {}),
    ...(flags.retry === undefined ? {} : { retries: flags.retry }),
    ...(delay === undefined ? {} : { retryDelay: parseDuration(delay, "--retry-delay") / 1e6 }),
  };
}
