/** Flags that say how commands run in a container, shared by `from`, `run` and `build`. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import type { RunSettings } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { LIMIT_FLAGS, type LimitFlagValues, limitsOf } from "./limit-flags.ts";
import { applySecurity } from "./security-opts.ts";
import { commandIds, type MapTexts, USERNS_FLAGS, type UsernsFlagValues } from "./userns-flags.ts";
import { parseBytes } from "./units.ts";

const namespaceFlag = (what: string) =>
  ({
    type: "string",
    placeholder: "private|host|ns:path",
    help: `${what} namespace of commands: their own, the host's, or another one`,
  }) as const;

/** Of all three commands. */
export const RUN_FLAGS = {
  "cap-add": { type: "commaList", placeholder: "capability", help: "add a capability when running" },
  "cap-drop": { type: "commaList", placeholder: "capability", help: "drop a capability when running" },
  cgroupns: namespaceFlag("cgroup"),
  ipc: namespaceFlag("IPC"),
  isolation: {
    type: "string",
    placeholder: "oci|crun|runc|chroot",
    help: "oci (crun, else runc), crun, runc or chroot; by default what the host allows",
    env: ["COOPER_ISOLATION", "BUILDAH_ISOLATION"],
  },
  network: {
    type: "string",
    placeholder: "private|host|none|ns:path",
    help: "private, host, none, ns:PATH, pasta[:options] or slirp4netns[:options]; by default private, or host where that cannot be had",
  },
  pid: {
    type: "string",
    placeholder: "private|host",
    help: "PID namespace of commands: their own, or the host's",
  },
  uts: namespaceFlag("UTS"),
  volume: {
    type: "list",
    short: "v",
    placeholder: "host:container[:options]",
    help: "bind mount a file or directory of the host; options are ro, rw, z, Z, U (give it to the user), O (keep it as it is)",
  },
} as const satisfies FlagTable;

/** Of `from` and `build`. */
export const HOST_FLAGS = {
  "add-host": { type: "commaList", placeholder: "host:ip", help: "add a line to /etc/hosts" },
  device: {
    type: "list",
    placeholder: "host[:container][:rwm]",
    help: "give a device of the host to the container, or all below a directory",
  },
  dns: {
    type: "commaList",
    placeholder: "server",
    help: "DNS servers in place of the host's; none leaves the image's /etc/resolv.conf",
  },
  "dns-option": { type: "commaList", placeholder: "option", help: "DNS options in place of the host's" },
  "dns-search": {
    type: "commaList",
    placeholder: "domain",
    help: "DNS search domains in place of the host's",
  },
  "group-add": {
    type: "commaList",
    placeholder: "group",
    help: "further groups of commands, by the container's name for them or by number; keep-groups: the caller's (crun)",
  },
  "http-proxy": {
    type: "bool",
    default: true,
    help: "give the host's proxy variables to commands",
  },
  ...LIMIT_FLAGS,
  ...USERNS_FLAGS,
  "security-opt": {
    type: "list",
    placeholder: "option",
    help: "seccomp=unconfined|PROFILE, apparmor=unconfined|PROFILE, label=disable, mask=PATH:…, unmask=ALL|PATH:… or no-new-privileges",
  },
  "shm-size": { type: "string", placeholder: "number[unit]", help: "size of /dev/shm" },
  ulimit: {
    type: "commaList",
    placeholder: "type=soft[:hard]",
    help: "a resource limit, such as nofile=1024:2048",
  },
} as const satisfies FlagTable;

/** Of `run` and `build`. */
export const RUNTIME_FLAGS = {
  "no-hostname": { type: "bool", help: "leave the image's /etc/hostname as it is" },
  "no-hosts": { type: "bool", help: "leave the image's /etc/hosts as it is" },
  runtime: {
    type: "string",
    placeholder: "name|path",
    help: "the OCI runtime: crun, runc, or one like them",
    env: ["COOPER_RUNTIME", "BUILDAH_RUNTIME"],
  },
  "runtime-flag": {
    type: "commaList",
    placeholder: "flag[=value]",
    help: "global flag of the runtime, without its dashes: debug",
  },
} as const satisfies FlagTable;

interface RunFlagValues extends LimitFlagValues, UsernsFlagValues {
  "cap-add": string[];
  "cap-drop": string[];
  cgroupns: string | undefined;
  ipc: string | undefined;
  isolation: string | undefined;
  network: string | undefined;
  pid: string | undefined;
  uts: string | undefined;
  volume: string[];
  "http-proxy"?: boolean;
  "no-hostname"?: boolean;
  "no-hosts"?: boolean;
  "no-pivot"?: boolean;
  "runtime-flag"?: string[];
  runtime?: string | undefined;
  "add-host"?: string[];
  device?: string[];
  "group-add"?: string[];
  "hooks-dir"?: string[];
  dns?: string[];
  "dns-option"?: string[];
  "dns-search"?: string[];
  "security-opt"?: string[];
  "shm-size"?: string | undefined;
  ulimit?: string[];
}

/**
 * Settings for the API; only what was asked for. `given`: names of flags on the command line; `defaultMaps`: of ids, for
 * `from` and `build`. Throws `usage` and `unsupported`.
 */
export function runSettings(
  flags: RunFlagValues,
  given: ReadonlySet<string>,
  defaultMaps: MapTexts = { uids: [], gids: [] },
): RunSettings {
  const settings: RunSettings = {};
  const isolation = isolationOf(flags.isolation);
  if (isolation !== undefined) settings.isolation = isolation;
  if (flags.runtime) settings.runtime = flags.runtime;
  if (flags["runtime-flag"]?.length) settings.runtimeFlags = flags["runtime-flag"];
  if (flags["no-pivot"]) settings.noPivot = true;
  const network = networkOf(flags.network);
  if (network !== undefined) settings.network = network;
  if (flags["cap-add"].length > 0) settings.capAdd = flags["cap-add"];
  if (flags["cap-drop"].length > 0) settings.capDrop = flags["cap-drop"];
  if (flags.volume.length > 0) settings.volumes = flags.volume;
  if (flags["add-host"]?.length) settings.addHosts = flags["add-host"];
  if (flags.device?.length) settings.devices = flags.device;
  if (flags["group-add"]?.length) settings.groups = groupsOf(flags["group-add"]);
  if (flags["hooks-dir"]?.length) settings.hooksDirs = flags["hooks-dir"].map(existingDirectory);
  if (flags.ulimit?.length) settings.ulimits = flags.ulimit;
  if (flags["shm-size"] !== undefined) settings.shmSize = parseBytes(flags["shm-size"], "--shm-size");
  const limits = limitsOf(flags);
  if (limits !== undefined) settings.limits = limits;
  if (given.has("http-proxy")) settings.httpProxy = flags["http-proxy"] ?? true;
  if (given.has("no-hosts")) settings.noHosts = flags["no-hosts"] ?? true;
  if (flags["no-hostname"]) settings.noHostname = true;
  const ids = commandIds(flags, defaultMaps);
  if (ids !== undefined) settings.ids = ids;
  applyNamespaces(settings, flags);
  applyDns(settings, flags);
  for (const option of flags["security-opt"] ?? []) applySecurity(settings, option);
  return settings;
}

function groupsOf(groups: string[]): string[] {
  if (groups.includes("keep-groups") && groups.length > 1)
    throw new CooperError("usage", "--group-add keep-groups goes with no other group");
  return groups;
}

function existingDirectory(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return resolve(path);
  throw new CooperError("not-found", `There is no directory of hooks ${path}`);
}

function applyNamespaces(settings: RunSettings, flags: RunFlagValues): void {
  const { ipc, pid, uts, cgroupns: cgroup } = flags;
  const asked = Object.entries({ ipc, pid, uts, cgroup }).flatMap(([kind, text]) =>
    text === undefined || text === "" ? [] : [[kind, namespaceOf(kind, text)] as const],
  );
  if (asked.length > 0) settings.namespaces = Object.fromEntries(asked);
}

/** Buildah's older names for a namespace of its own, and paths without `ns:`, are taken too. */
function namespaceOf(kind: string, text: string): "private" | "host" | `ns:${string}` {
  const path = text.startsWith("ns:") ? text.slice(3) : text;
  if (path.startsWith("/")) return `ns:${path}`;
  if (text === "host") return "host";
  if (text === "private" || text === "container") return "private";
  const flag = kind === "cgroup" ? "cgroupns" : kind;
  throw new CooperError("usage", `Unknown namespace ${JSON.stringify(text)} for --${flag}`, {
    hint: "use private, host or ns:/path",
  });
}

function applyDns(settings: RunSettings, flags: RunFlagValues): void {
  const dns: NonNullable<RunSettings["dns"]> = {};
  const { dns: servers = [] } = flags;
  if (servers.includes("none") && servers.length > 1)
    throw new CooperError("usage", "--dns none goes with no other server");
  if (servers.length > 0) dns.servers = servers[0] === "none" ? "none" : servers;
  if (flags["dns-search"]?.length) dns.search = flags["dns-search"];
  if (flags["dns-option"]?.length) dns.options = flags["dns-option"];
  if (Object.keys(dns).length > 0) settings.dns = dns;
}

function networkOf(mode: string | undefined): RunSettings["network"] {
  if (mode === undefined || mode === "") return undefined;
  const path = mode.startsWith("ns:") ? mode.slice(3) : mode;
  if (path.startsWith("/")) return `ns:${path}`;
  if (/^(?:pasta|slirp4netns)(?::|$)/.test(mode)) return mode as `pasta:${string}`;
  switch (mode) {
    case "host":
    case "none":
    case "private":
      return mode;
    case "container":
      return "private";
    default:
      throw new CooperError("unsupported", `The network ${JSON.stringify(mode)} is not supported`, {
        hint: "use private, host, none, ns:/path, pasta or slirp4netns",
      });
  }
}

function isolationOf(type: string | undefined): RunSettings["isolation"] {
  switch (type) {
    case undefined:
      return undefined;
    case "crun":
    case "runc":
    case "chroot":
      return type;
    case "oci":
    case "rootless":
      return findProgram("crun") === undefined && findProgram("runc") !== undefined ? "runc" : "crun";
    default:
      throw new CooperError("usage", `Unknown isolation ${JSON.stringify(type)}`, {
        hint: "use oci, crun, runc or chroot",
      });
  }
}
