/** containers.conf(5): the host's defaults for running commands, as far as they bear on us. */
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { capabilityName } from "./capabilities.ts";
import { parseRlimit, type Rlimit } from "./rlimits.ts";
import type { NetworkMode } from "./types.ts";

/** Settings after all files have been merged; what no file sets is absent or empty. */
export interface ContainersConf {
  /** Canonical names. */
  defaultCapabilities?: string[];
  defaultUlimits: Rlimit[];
  dnsServers: string[];
  dnsSearches: string[];
  dnsOptions: string[];
  env: string[];
  /** `unconfined` or a path. */
  seccompProfile?: string;
  /** Bytes. */
  shmSize?: number;
  /** As --volume has them. */
  volumes: string[];
  /** As --device has them. */
  devices: string[];
  network?: NetworkMode;
  /** A path, `image` or `none`. */
  baseHostsFile?: string;
  noHosts: boolean;
  /** Whether the host's proxy variables go to commands; true when no file says otherwise. */
  httpProxy: boolean;
  /** Name or path of the OCI runtime. */
  runtime?: string;
  /** Directories of hooks. */
  hooksDirs: string[];
  /** Paths to try for a runtime's name. */
  runtimes: Record<string, string[]>;
  /** Cooper's own: bytes that a store may take. */
  maxStorage?: number;
}

const Text = v.string();
/** A list; since containers-common 0.58 a table `{append = true}` in it means: after the earlier files' values. */
const List = v.array(v.union([Text, v.object({ append: v.boolean() })]));
const Size = v.union([Text, v.pipe(v.number(), v.integer(), v.minValue(0))]);
const optional = <T extends v.GenericSchema>(schema: T) => v.optional(schema);

const File = v.object({
  containers: optional(
    v.object({
      default_capabilities: optional(List),
      default_ulimits: optional(List),
      dns_servers: optional(List),
      dns_searches: optional(List),
      dns_options: optional(List),
      env: optional(List),
      seccomp_profile: optional(Text),
      shm_size: optional(Size),
      volumes: optional(List),
      devices: optional(List),
      netns: optional(Text),
      base_hosts_file: optional(Text),
      no_hosts: optional(v.boolean()),
      http_proxy: optional(v.boolean()),
    }),
  ),
  engine: optional(
    v.object({
      hooks_dir: optional(List),
      runtime: optional(Text),
      runtimes: optional(v.record(Text, List)),
    }),
  ),
  // Cooper's own table: Podman and Buildah pass over tables that they do not know.
  cooper: optional(v.strictObject({ max_storage: optional(Size) })),
});

type FileData = v.InferOutput<typeof File>;
type ListData = v.InferOutput<typeof List>;

const VENDOR_FILE = "/usr/share/containers/containers.conf";
let loaded: { key: string; conf: ContainersConf } | undefined;

/**
 * Reads and merges the files in containers.conf(5)'s order: the vendor's, /etc/containers, the user's (each with its
 * .d drop-ins), or CONTAINERS_CONF alone, and CONTAINERS_CONF_OVERRIDE on top. Errors: `invalid` with the file's name,
 * `not-found` for a file that a variable names.
 */
export function loadContainersConf(env: Record<string, string | undefined> = process.env): ContainersConf {
  const key = JSON.stringify([
    env.CONTAINERS_CONF,
    env.CONTAINERS_CONF_OVERRIDE,
    env.XDG_CONFIG_HOME,
    env.HOME,
  ]);
  if (loaded?.key === key) return loaded.conf;
  const conf = emptyConf();
  for (const path of configFiles(env)) mergeFile(conf, path, parseFile(path));
  loaded = { key, conf };
  return conf;
}

/** Bytes that a store may take: COOPER_MAX_STORAGE, else `max_storage`; undefined, as of 0, for any number. Throws `invalid`. */
export function storageLimit(env: Record<string, string | undefined> = process.env): number | undefined {
  const value = env.COOPER_MAX_STORAGE;
  return (value ? byteSize("COOPER_MAX_STORAGE", value) : loadContainersConf(env).maxStorage) || undefined;
}

function emptyConf(): ContainersConf {
  return {
    defaultUlimits: [],
    dnsServers: [],
    dnsSearches: [],
    dnsOptions: [],
    env: [],
    volumes: [],
    devices: [],
    hooksDirs: [],
    noHosts: false,
    httpProxy: true,
    runtimes: {},
  };
}

function configFiles(env: Record<string, string | undefined>): string[] {
  const override = env.CONTAINERS_CONF_OVERRIDE;
  const last = override === undefined || override === "" ? [] : [override];
  if (env.CONTAINERS_CONF !== undefined && env.CONTAINERS_CONF !== "") return [env.CONTAINERS_CONF, ...last];
  const userDirectory = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), ".config");
  const places = [
    VENDOR_FILE,
    "/etc/containers/containers.conf",
    join(userDirectory, "containers/containers.conf"),
  ];
  return [...places.flatMap((path) => [path, ...dropIns(`${path}.d`)]), ...last].filter(
    (path) => last.includes(path) || exists(path),
  );
}

function dropIns(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(".conf"))
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

const texts = new Map<string, string>();

function exists(path: string): boolean {
  try {
    texts.set(path, readFileSync(path, "utf8"));
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "")) return false;
    throw error;
  }
}

function parseFile(path: string): FileData {
  let text = texts.get(path);
  texts.delete(path);
  try {
    text ??= readFileSync(path, "utf8");
  } catch (error) {
    throw new CooperError("not-found", `Cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
  let data: unknown;
  try {
    data = Bun.TOML.parse(text);
  } catch (error) {
    throw new CooperError("invalid", `Cannot parse ${path}: ${messageOf(error)}`, { cause: error });
  }
  const parsed = v.safeParse(File, data);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new CooperError(
    "invalid",
    `${v.getDotPath(issue) ?? "A value"} in ${path} is malformed: ${issue.message}`,
  );
}

function mergeFile(conf: ContainersConf, path: string, file: FileData): void {
  try {
    mergeContainers(conf, file.containers ?? {}, path === VENDOR_FILE);
    mergeEngine(conf, file.engine ?? {});
    const maxStorage = file.cooper?.max_storage;
    if (maxStorage !== undefined) conf.maxStorage = byteSize("max_storage", maxStorage);
  } catch (error) {
    throw new CooperError("invalid", `Cannot use ${path}: ${messageOf(error)}`, { cause: error });
  }
}

type Containers = NonNullable<FileData["containers"]>;

function mergeContainers(conf: ContainersConf, file: Containers, vendor: boolean): void {
  const list = (now: string[], given: ListData | undefined) =>
    given === undefined ? now : mergeList(now, given);
  // The vendor's file holds Podman's own defaults, fewer than Docker's, which images depend on: only a host's
  // administrator or user narrows ours.
  if (file.default_capabilities !== undefined && !vendor) {
    conf.defaultCapabilities = mergeList(conf.defaultCapabilities ?? [], file.default_capabilities).map(
      capabilityName,
    );
  }
  if (file.default_ulimits !== undefined) {
    const given = mergeList([], file.default_ulimits).map(parseRlimit);
    const replaced = new Set(given.map(({ name }) => name));
    const kept = appends(file.default_ulimits)
      ? conf.defaultUlimits.filter(({ name }) => !replaced.has(name))
      : [];
    conf.defaultUlimits = [...kept, ...given];
  }
  conf.dnsServers = list(conf.dnsServers, file.dns_servers);
  conf.dnsSearches = list(conf.dnsSearches, file.dns_searches);
  conf.dnsOptions = list(conf.dnsOptions, file.dns_options);
  conf.env = list(conf.env, file.env);
  conf.volumes = list(conf.volumes, file.volumes);
  conf.devices = list(conf.devices, file.devices);
  if (file.seccomp_profile) conf.seccompProfile = file.seccomp_profile;
  if (file.shm_size !== undefined) conf.shmSize = byteSize("shm_size", file.shm_size);
  if (file.netns !== undefined) setNetwork(conf, file.netns);
  if (file.base_hosts_file) conf.baseHostsFile = file.base_hosts_file;
  if (file.no_hosts !== undefined) conf.noHosts = file.no_hosts;
  if (file.http_proxy !== undefined) conf.httpProxy = file.http_proxy;
}

function mergeEngine(conf: ContainersConf, file: NonNullable<FileData["engine"]>): void {
  if (file.runtime) conf.runtime = file.runtime;
  if (file.hooks_dir !== undefined) conf.hooksDirs = mergeList(conf.hooksDirs, file.hooks_dir);
  for (const [name, paths] of Object.entries(file.runtimes ?? {})) {
    conf.runtimes[name] = mergeList(conf.runtimes[name] ?? [], paths);
  }
}

const appends = (list: ListData): boolean => list.some((item) => typeof item !== "string" && item.append);

function mergeList(now: string[], given: ListData): string[] {
  const values = given.filter((item) => typeof item === "string");
  return appends(given) ? [...now, ...values] : values;
}

/** Bytes of `65536k`, `64m`, `1g` or a number; `name` is what has this value. Throws `invalid`. */
function byteSize(name: string, value: string | number): number {
  const match = /^(\d+)\s*([bkmgt]?)(?:i?b)?$/i.exec(String(value).trim());
  if (match === null) throw new CooperError("invalid", `${name} ${JSON.stringify(value)} is not a size`);
  return Number(match[1]) * 1024 ** "bkmgt".indexOf((match[2] || "b").toLowerCase());
}

function setNetwork(conf: ContainersConf, netns: string): void {
  if (netns === "host" || netns === "none" || netns === "private") conf.network = netns;
  // Podman's networks (`bridge`, `slirp4netns`…) are not for builds: what they ask for is a namespace.
  else if (netns !== "") conf.network = "private";
}
