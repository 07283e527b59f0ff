/** Whom to trust and who to be: system CAs and containers-certs.d(5). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CooperError, errnoOf, wrapError } from "../../base/errors.ts";

/** As fetch() takes them. */
export interface TlsSettings {
  rejectUnauthorized: boolean;
  ca?: string[];
  cert?: string;
  key?: string;
}

/** Where distributions keep the CAs that they trust: Debian, Fedora, SUSE, Alpine. */
const SYSTEM_CAS = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * Settings for connections to a registry (`host[:port]`). Throws `not-found` when `certDir` is not there, `invalid` for
 * a certificate without its key.
 */
export function tlsSettings(registry: string, certDir: string | undefined, verify: boolean): TlsSettings {
  const directories = certDir === undefined ? certDirectories(registry) : [certDir];
  const found = directories.map((directory) => readDirectory(directory, certDir !== undefined));
  const cas = [...systemCas(), ...found.flatMap((entry) => entry.cas)];
  const pair = found.find((entry) => entry.pair !== undefined)?.pair;
  return { rejectUnauthorized: verify, ...(cas.length === 0 ? {} : { ca: cas }), ...pair };
}

function certDirectories(registry: string): string[] {
  const home = process.env.HOME ?? homedir();
  return [`${home}/.config/containers/certs.d`, "/etc/containers/certs.d", "/etc/docker/certs.d"].map(
    (directory) => join(directory, registry),
  );
}

function systemCas(): string[] {
  const file = process.env.SSL_CERT_FILE ?? SYSTEM_CAS.find((path) => existsSync(path));
  if (file === undefined) return [];
  try {
    return [readFileSync(file, "utf8")];
  } catch (error) {
    throw wrapError(`Cannot read the trusted certificates in ${file}`, error);
  }
}

interface CertDirectory {
  cas: string[];
  pair: { cert: string; key: string } | undefined;
}

function readDirectory(directory: string, required: boolean): CertDirectory {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    const isAbsent = ["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "");
    if (isAbsent && !required) return { cas: [], pair: undefined };
    throw wrapError(
      `Cannot read certificates in ${directory}`,
      error,
      errnoOf(error) === "ENOENT" ? "not-found" : "system",
    );
  }
  const read = (name: string) => readFileSync(join(directory, name), "utf8");
  const cert = names.find((name) => name.endsWith(".cert"));
  const key = cert?.replace(/\.cert$/, ".key");
  if (key !== undefined && !names.includes(key)) {
    throw new CooperError("invalid", `The certificate ${join(directory, cert!)} has no key ${key} beside it`);
  }
  try {
    return {
      cas: names.filter((name) => name.endsWith(".crt")).map(read),
      pair: cert === undefined ? undefined : { cert: read(cert), key: read(key!) },
    };
  } catch (error) {
    throw wrapError(`Cannot read certificates in ${directory}`, error);
  }
}
