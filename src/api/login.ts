/** Logging in to registries: credentials are tried, then kept where Podman, Skopeo and Buildah look for them too. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { LoginFile, LoginOptions, RegistryOptions } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import {
  removeAllCredentials,
  removeCredentials,
  writeCredentials,
} from "../transport/registry/auth-file.ts";
import {
  checkLogin,
  keptCredentials,
  type LoginKey,
  parseLoginKey,
} from "../transport/registry/check-login.ts";
import { authFiles } from "../transport/registry/credentials.ts";
import { registrySettings } from "./registry-options.ts";

/**
 * Tries a name and a password at a registry (`HOST[:PORT]`, or `HOST[:PORT]/PATH` for some of its repositories) and keeps
 * them. Returns where: the path of the file, or the name of the credential helper. Throws `denied` when the registry does
 * not take them; nothing is kept then.
 */
export async function login(registry: string, options: LoginOptions): Promise<{ kept: string }> {
  const { username, password, signal } = options;
  if (username === "" || username.includes(":"))
    throw new CooperError("usage", `Cannot log in to ${registry}: a user name is not empty and has no colon`);
  const key = parseLoginKey(registry);
  const name = keptName(key, options);
  await checkLogin(key, { ...registrySettings(options), creds: `${username}:${password}`, signal });
  return { kept: await writeCredentials(fileToWrite(options), name, { username, password }) };
}

/**
 * Tries what is kept for a registry. Returns the user's name, or undefined when nothing is kept or the registry does not
 * take it.
 */
export async function loginIsValid(
  registry: string,
  options: RegistryOptions & { signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const key = parseLoginKey(registry);
  const kept = await keptCredentials(key, lookingSettings(options));
  if (kept === undefined || kept.username === "") return undefined;
  const { username, password } = kept;
  try {
    const { signal } = options;
    await checkLogin(key, { ...registrySettings(options), creds: `${username}:${password}`, signal });
    return username;
  } catch (error) {
    if (error instanceof CooperError && error.code === "denied") return undefined;
    throw error;
  }
}

/** Name of the user whose credentials are kept for a registry, or undefined. */
export async function loginName(registry: string, options: LoginFile = {}): Promise<string | undefined> {
  return (await keptCredentials(parseLoginKey(registry), lookingSettings(options)))?.username;
}

/** Forgets what is kept for a registry. Throws `not-found` when nothing is. */
export async function logout(registry: string, options: LoginFile = {}): Promise<void> {
  const key = parseLoginKey(registry);
  const file = fileToWrite(options);
  if (await removeCredentials(file, keptName(key, options))) return;
  const elsewhere = await keptCredentials(key, lookingSettings(options));
  throw new CooperError(
    "not-found",
    `Not logged in to ${key.key}: ${file} has no credentials for it`,
    elsewhere === undefined ? {} : { hint: `those in use come from ${elsewhere.origin}` },
  );
}

/** Forgets everything that is kept in the file. */
export async function logoutAll(options: LoginFile = {}): Promise<void> {
  await removeAllCredentials(fileToWrite(options));
}

/** Docker keeps one entry for a registry, and Docker Hub's under an address of its first version. */
function keptName({ key, registry, path }: LoginKey, { dockerFile = false }: LoginFile): string {
  if (!dockerFile) return key;
  if (path !== "")
    throw new CooperError("usage", `Docker's files have credentials of whole registries, not of ${key}`);
  return registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
}

function fileToWrite({ authFile }: LoginFile): string {
  // The first of the places that are read; one that was named need not exist yet.
  return resolve(authFile ?? authFiles({})[0]!);
}

/** Reading: a file that is not there has no credentials. */
function lookingSettings(options: LoginFile): { authFile?: string } {
  const { authFile } = options;
  if (authFile === undefined) return {};
  return existsSync(authFile) ? { authFile } : { authFile: "/dev/null" };
}
