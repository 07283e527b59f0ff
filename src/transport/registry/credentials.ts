/**
 * Credentials for a registry, from the places that containers-auth.json(5) and Docker name. Nothing here prints them.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, wrapError } from "../../base/errors.ts";
import { askCredentialHelper } from "./credential-helper.ts";
import type { RegistrySettings } from "./settings.ts";

export interface Credentials {
  username: string;
  password: string;
  /** A refresh token of OAuth 2, which takes the place of the password. */
  identityToken?: string;
  /** Where they come from, for messages. */
  origin: string;
}

const text = v.optional(v.nullable(v.string()));
const entry = v.nullable(v.object({ auth: text, identitytoken: text, username: text, password: text }));
const authFile = v.object({
  auths: v.optional(v.nullable(v.record(v.string(), entry))),
  credHelpers: v.optional(v.nullable(v.record(v.string(), v.string()))),
  credsStore: text,
});
type AuthFile = v.InferOutput<typeof authFile>;

/** Docker Hub goes by several names; its entry is kept under the first one that Docker had. */
const HUB = "docker.io";
const HUB_NAMES = new Set([HUB, "index.docker.io", "registry-1.docker.io"]);

/** `USER[:PASSWORD]` as --creds has it. Throws `usage`. */
export function parseCreds(creds: string): Credentials {
  const colon = creds.indexOf(":");
  const username = colon === -1 ? creds : creds.slice(0, colon);
  if (username === "") throw new CooperError("usage", "The credentials given name no user");
  return { username, password: colon === -1 ? "" : creds.slice(colon + 1), origin: "--creds" };
}

/**
 * Credentials for a repository: the most specific entry of the first file that has one. `helpers` are those of
 * registries.conf, where `containers-auth.json` stands for the files. Throws `invalid` for a malformed file.
 */
export async function findCredentials(
  registry: string,
  repository: string,
  settings: RegistrySettings,
  helpers: string[],
): Promise<Credentials | undefined> {
  for (const helper of helpers) {
    const found =
      helper === "containers-auth.json"
        ? await fromFiles(registry, repository, settings)
        : await askCredentialHelper(helper, registry, true);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function fromFiles(
  registry: string,
  repository: string,
  settings: RegistrySettings,
): Promise<Credentials | undefined> {
  for (const path of authFiles(settings)) {
    const file = readAuthFile(path);
    const found = file === undefined ? undefined : await fromFile(file, path, registry, repository);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Files with credentials, the first to be asked first. Throws `not-found` when a file that was named is not there. */
export function authFiles(settings: RegistrySettings): string[] {
  const { authFile: given } = settings;
  if (given !== undefined) {
    if (existsSync(given)) return [given];
    throw new CooperError("not-found", `Cannot read credentials: ${given} does not exist`);
  }
  const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG, HOME } = process.env;
  if (REGISTRY_AUTH_FILE) return [REGISTRY_AUTH_FILE];
  const home = HOME ?? homedir();
  // Within the user namespace this process is root; the variable tells who it is outside.
  const runtime = XDG_RUNTIME_DIR
    ? `${XDG_RUNTIME_DIR}/containers`
    : `/run/containers/${process.env.COOPER_ROOTLESS_UID ?? process.getuid?.() ?? 0}`;
  return [
    join(runtime, "auth.json"),
    join(XDG_CONFIG_HOME || `${home}/.config`, "containers/auth.json"),
    join(DOCKER_CONFIG || `${home}/.docker`, "config.json"),
  ];
}

function readAuthFile(path: string): AuthFile | undefined {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "")) return undefined;
    throw wrapError(`Cannot read credentials from ${path}`, error);
  }
  if (content.trim() === "") return undefined;
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch {
    // The parser's message would quote the file.
    throw new CooperError("invalid", `Cannot read credentials from ${path}: it is not valid JSON`);
  }
  const result = v.safeParse(authFile, json, { abortEarly: true });
  if (result.success) return result.output;
  const field = v.getDotPath(result.issues[0]);
  throw new CooperError("invalid", `Cannot read credentials from ${path}: "${field}" is malformed`);
}

async function fromFile(
  file: AuthFile,
  path: string,
  registry: string,
  repository: string,
): Promise<Credentials | undefined> {
  const helpers = file.credHelpers ?? {};
  const helper = Object.entries(helpers).find(([key]) => hostOf(key) === canonical(registry))?.[1];
  if (helper !== undefined) return await askCredentialHelper(helper, registry, true);
  const auths = new Map(Object.entries(file.auths ?? {}).map(([key, value]) => [keyOf(key), value]));
  for (const key of keysFor(registry, repository)) {
    const found = auths.get(key);
    const credentials = found ? decodeEntry(found, path, key) : undefined;
    if (credentials !== undefined) return credentials;
  }
  // A store that is not installed here (a configuration that was copied) keeps no secrets either.
  return file.credsStore ? await askCredentialHelper(file.credsStore, registry, false) : undefined;
}

/** `reg/a/b`, `reg/a`, `reg` */
function keysFor(registry: string, repository: string): string[] {
  const parts = repository.split("/");
  const paths = parts.map((_, i) => parts.slice(0, parts.length - i).join("/"));
  return [...paths.map((path) => `${canonical(registry)}/${path}`), canonical(registry)];
}

function canonical(registry: string): string {
  return HUB_NAMES.has(registry) ? HUB : registry;
}

/** Docker writes URLs as keys (`https://reg:5000/v1/`), of which only the host counts. */
function keyOf(key: string): string {
  if (/^https?:\/\//.test(key)) return hostOf(key);
  const slash = key.indexOf("/");
  const rest = slash === -1 ? "" : key.slice(slash).replace(/\/+$/, "");
  return `${hostOf(key)}${rest}`;
}

function hostOf(key: string): string {
  return canonical(key.replace(/^https?:\/\//, "").replace(/\/.*$/, ""));
}

function decodeEntry(
  found: NonNullable<v.InferOutput<typeof entry>>,
  path: string,
  key: string,
): Credentials | undefined {
  const identity = found.identitytoken ? { identityToken: found.identitytoken } : {};
  if (found.auth) {
    const decoded = Buffer.from(found.auth, "base64").toString("utf8");
    const colon = decoded.indexOf(":");
    if (colon < 1) {
      throw new CooperError(
        "invalid",
        `Cannot read credentials from ${path}: the entry of ${key} is malformed`,
      );
    }
    const password = decoded.slice(colon + 1).replace(/\0+$/, "");
    return { username: decoded.slice(0, colon), password, origin: path, ...identity };
  }
  if (found.username)
    return { username: found.username, password: found.password ?? "", origin: path, ...identity };
  return found.identitytoken ? { username: "", password: "", origin: path, ...identity } : undefined;
}
