/** Flags about one side of a copy alone, with Skopeo's names. */
import type { RegistryOptions } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { registryOptions } from "./registry-flags.ts";

export const SIDE_FLAGS = {
  "dest-authfile": { type: "string", placeholder: "file", help: "--authfile for the destination" },
  "dest-cert-dir": { type: "string", placeholder: "dir", help: "--cert-dir for the destination" },
  "dest-creds": { type: "string", placeholder: "user[:password]", help: "--creds for the destination" },
  "dest-tls-verify": { type: "bool", default: true, help: "--tls-verify for the destination" },
  "src-authfile": { type: "string", placeholder: "file", help: "--authfile for the source" },
  "src-cert-dir": { type: "string", placeholder: "dir", help: "--cert-dir for the source" },
  "src-creds": { type: "string", placeholder: "user[:password]", help: "--creds for the source" },
  "src-tls-verify": { type: "bool", default: true, help: "--tls-verify for the source" },
} as const satisfies FlagTable;

type SideFlags = {
  [K in `${"src" | "dest"}-${"authfile" | "cert-dir" | "creds"}`]: string | undefined;
} & { [K in `${"src" | "dest"}-tls-verify`]: boolean };

/** What was asked for one side. `given`: names of flags on the command line. */
export function sideOptions(
  flags: SideFlags,
  side: "src" | "dest",
  given: ReadonlySet<string>,
): RegistryOptions {
  const verify = `${side}-tls-verify` as const;
  return registryOptions(
    {
      authfile: flags[`${side}-authfile`],
      "cert-dir": flags[`${side}-cert-dir`],
      creds: flags[`${side}-creds`],
      "tls-verify": flags[verify],
    },
    given.has(verify) ? new Set(["tls-verify"]) : undefined,
  );
}
