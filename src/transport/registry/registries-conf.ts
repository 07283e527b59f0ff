/** registries.conf(5), version 2, with its drop-ins. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, messageOf, wrapError } from "../../base/errors.ts";

export interface MirrorEntry {
  location: string;
  insecure: boolean;
  pullFromMirror: "all" | "digest-only" | "tag-only";
}

/** One [[registry]] table. */
export interface RegistryEntry {
  prefix: string;
  /** Empty for a wildcard that leaves names as they are. */
  location: string;
  insecure: boolean;
  blocked: boolean;
  mirrorByDigestOnly: boolean;
  mirrors: MirrorEntry[];
}

export interface RegistriesConf {
  /** undefined when no file says anything. */
  search: string[] | undefined;
  shortNameMode: "enforcing" | "permissive" | "disabled";
  /** Full names without tags by short name. */
  aliases: Map<string, string>;
  registries: RegistryEntry[];
  credentialHelpers: string[];
}

const optionalText = v.optional(v.string(), "");
const flag = v.optional(v.boolean(), false);
const mirror = v.object({
  location: v.string(),
  insecure: flag,
  "pull-from-mirror": v.optional(v.picklist(["", "all", "digest-only", "tag-only"]), "all"),
});
const registry = v.object({
  prefix: optionalText,
  location: optionalText,
  insecure: flag,
  blocked: flag,
  "mirror-by-digest-only": flag,
  mirror: v.optional(v.array(mirror), []),
});
const confFile = v.object({
  "unqualified-search-registries": v.optional(v.array(v.string())),
  "short-name-mode": v.optional(v.picklist(["", "enforcing", "permissive", "disabled"])),
  "credential-helpers": v.optional(v.array(v.string())),
  aliases: v.optional(v.record(v.string(), v.string())),
  registry: v.optional(v.array(registry), []),
  registries: v.optional(v.unknown()),
});
type ConfFile = v.InferOutput<typeof confFile>;

const SYSTEM = "/etc/containers/registries.conf";
const VENDOR = "/usr/share/containers/registries.conf";

/**
 * Reads the configuration: CONTAINERS_REGISTRIES_CONF, else the user's file, else the system's; then every drop-in of
 * COOPER_REGISTRIES_CONF_DIR, else of the system and of the user, each overriding what came before. Throws `invalid`, `not-found` for the variable's file.
 */
export function loadRegistriesConf(): RegistriesConf {
  const home = process.env.HOME ?? homedir();
  const conf: RegistriesConf = {
    search: undefined,
    shortNameMode: "permissive",
    aliases: new Map(),
    registries: [],
    credentialHelpers: ["containers-auth.json"],
  };
  const named = process.env.CONTAINERS_REGISTRIES_CONF || process.env.REGISTRIES_CONFIG_PATH;
  const user = `${home}/.config/containers/registries.conf`;
  const main = named || [user, SYSTEM, VENDOR].find((path) => existsSync(path));
  if (main !== undefined) merge(conf, readConf(main));
  const dropInDirectory = process.env.COOPER_REGISTRIES_CONF_DIR;
  for (const directory of dropInDirectory ? [dropInDirectory] : [`${SYSTEM}.d`, `${user}.d`]) {
    for (const name of dropIns(directory)) merge(conf, readConf(join(directory, name)));
  }
  for (const [short, full] of readAliasCache(home)) conf.aliases.set(short, full);
  return conf;
}

function dropIns(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(".conf"))
      .sort();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "")) return [];
    throw wrapError(`Cannot read ${directory}`, error);
  }
}

/** What Podman noted when a user chose a registry for a short name. */
function readAliasCache(home: string): [string, string][] {
  const usual =
    process.getuid?.() === 0
      ? "/var/cache/containers/short-name-aliases.conf"
      : join(process.env.XDG_CACHE_HOME || `${home}/.cache`, "containers/short-name-aliases.conf");
  const path = process.env.COOPER_SHORT_NAME_ALIAS_CONF || usual;
  return existsSync(path) ? Object.entries(readConf(path).aliases ?? {}) : [];
}

function readConf(path: string): ConfFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw wrapError(`Cannot read ${path}`, error, errnoOf(error) === "ENOENT" ? "not-found" : "system");
  }
  return parseRegistriesConf(text, path);
}

/** Parses one file; `path` names it in errors. Throws `invalid`; `unsupported` for version 1. */
export function parseRegistriesConf(text: string, path: string): ConfFile {
  let toml: unknown;
  try {
    toml = Bun.TOML.parse(text);
  } catch (error) {
    throw new CooperError("invalid", `${path} is not valid TOML: ${messageOf(error)}`, { cause: error });
  }
  const result = v.safeParse(confFile, toml, { abortEarly: true });
  if (!result.success) {
    const field = v.getDotPath(result.issues[0]);
    throw new CooperError("invalid", `${path} is malformed, "${field}": ${result.issues[0].message}`);
  }
  if (result.output.registries !== undefined) {
    throw new CooperError("unsupported", `${path} is in version 1 of its format, which was withdrawn`, {
      hint: "write unqualified-search-registries = […] and [[registry]] tables, see registries.conf(5)",
    });
  }
  return result.output;
}

/** Lets a file override what came before; tables of [[registry]] by their prefix, aliases by their name. */
export function merge(conf: RegistriesConf, file: ConfFile): void {
  const { "unqualified-search-registries": search, "short-name-mode": mode } = file;
  if (search !== undefined) conf.search = search;
  if (mode) conf.shortNameMode = mode;
  if (file["credential-helpers"]?.length) conf.credentialHelpers = file["credential-helpers"];
  for (const [short, full] of Object.entries(file.aliases ?? {})) {
    if (full === "") conf.aliases.delete(short);
    else conf.aliases.set(short, full);
  }
  const entries = new Map(conf.registries.map((entry) => [entry.prefix, entry]));
  for (const table of file.registry) {
    const entry = entryOf(table);
    entries.set(entry.prefix, entry);
  }
  conf.registries = [...entries.values()];
}

function entryOf(table: ConfFile["registry"][number]): RegistryEntry {
  const prefix = trimmed(table.prefix) || trimmed(table.location);
  if (prefix === "")
    throw new CooperError("invalid", "registries.conf has a [[registry]] with neither prefix nor location");
  if (/\*/.test(prefix.replace(/^\*\./, "")) || (prefix.startsWith("*.") && /[/:]/.test(prefix))) {
    throw new CooperError("invalid", `registries.conf has the prefix "${prefix}": a wildcard is *.HOST only`);
  }
  const location = trimmed(table.location);
  return {
    prefix,
    location: location === "" && !prefix.startsWith("*.") ? prefix : location,
    insecure: table.insecure,
    blocked: table.blocked,
    mirrorByDigestOnly: table["mirror-by-digest-only"],
    mirrors: table.mirror.map((one) => ({
      location: trimmed(one.location),
      insecure: one.insecure,
      pullFromMirror: one["pull-from-mirror"] || "all",
    })),
  };
}

function trimmed(location: string): string {
  return location.replace(/^https?:\/\//, "").replace(/\/+$/, "");
}
