/** Whether a registry takes credentials: its front door is asked, as the distribution spec's "Determining Support" has it. */
import { CooperError } from "../../base/errors.ts";
import { type Credentials, findCredentials } from "./credentials.ts";
import { type Endpoint, findEntry } from "./endpoints.ts";
import { loadRegistriesConf } from "./registries-conf.ts";
import { discard, Session } from "./session.ts";
import type { RegistrySettings } from "./settings.ts";

/** What credentials are for: a whole registry, or the repositories below a path of it. */
export interface LoginKey {
  /** As it stands in auth.json. */
  key: string;
  registry: string;
  /** Empty for the whole registry. */
  path: string;
}

/** Reads `[https://]HOST[:PORT][/PATH]`. Throws `usage`. */
export function parseLoginKey(text: string): LoginKey {
  const key = text.replace(/^https?:\/\//, "").replace(/\/+$/, "");
  const slash = key.indexOf("/");
  const registry = slash === -1 ? key : key.slice(0, slash);
  const path = slash === -1 ? "" : key.slice(slash + 1);
  if (!/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d+)?$/.test(registry) || /[:@?#\s]|\/\//.test(path)) {
    throw new CooperError("usage", `${JSON.stringify(text)} is not the name of a registry`, {
      hint: "write HOST[:PORT], or HOST[:PORT]/PATH for some of its repositories",
    });
  }
  return { key, registry, path };
}

/** Asks the registry whether `settings.creds` are good there. Throws `denied` when they are not. */
export async function checkLogin({ key, registry }: LoginKey, settings: RegistrySettings): Promise<void> {
  const conf = loadRegistriesConf();
  const endpoint: Endpoint = {
    registry,
    repository: "",
    insecure: findEntry(conf, `${key}/`)?.insecure ?? false,
    isMirror: false,
    credentialHelpers: conf.credentialHelpers,
  };
  const session = new Session(endpoint, settings, "pull");
  await discard(await session.send({ method: "GET", to: "", doing: "Cannot log in", accept: [200] }));
}

/** What is kept for a key already, in the files or with helpers. */
export async function keptCredentials(
  { registry, path }: LoginKey,
  settings: RegistrySettings,
): Promise<Credentials | undefined> {
  return await findCredentials(registry, path, settings, loadRegistriesConf().credentialHelpers);
}
