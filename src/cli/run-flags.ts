/** Flags that say how commands run in a container, shared by `from`, `run` and `build`. */
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import type { RunSettings } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { parseBytes } from "./units.ts";

/** Of all three commands. */
export const RUN_FLAGS = {
  "cap-add": { type: "commaList", placeholder: "capability", help: "add a capability when running" },
  "cap-drop": { type: "commaList", placeholder: "capability", help: "drop a capability when running" },
  isolation: {
    type: "string",
    placeholder: "type",
    help: "oci (crun, else runc), crun, runc or chroot; by default what the host allows",
    env: ["COOPER_ISOLATION", "BUILDAH_ISOLATION"],
  },
  network: { type: "string", placeholder: "mode", help: "private, host or none" },
  volume: {
    type: "list",
    short: "v",
    placeholder: "host:container[:options]",
    help: "bind mount a file or directory of the host",
  },
} as const satisfies FlagTable;

/** Of `from` and `build`. */
export const HOST_FLAGS = {
  "add-host": { type: "commaList", placeholder: "host:ip", help: "add a line to /etc/hosts" },
  device: { type: "list", placeholder: "device", help: "give a device of the host to the container" },
  dns: { type: "commaList", placeholder: "server", help: "DNS servers in place of the host's" },
  "dns-option": { type: "commaList", placeholder: "option", help: "DNS options in place of the host's" },
  "dns-search": {
    type: "commaList",
    placeholder: "domain",
    help: "DNS search domains in place of the host's",
  },
  "security-opt": {
    type: "list",
    placeholder: "option",
    help: "seccomp=unconfined, seccomp=PROFILE or no-new-privileges",
  },
  "shm-size": { type: "string", placeholder: "number[unit]", help: "size of /dev/shm" },
  ulimit: {
    type: "commaList",
    placeholder: "type=soft[:hard]",
    help: "a resource limit, such as nofile=1024:2048",
  },
} as const satisfies FlagTable;

/** What all three refuse for now. */
export const UNSUPPORTED_RUN_FLAGS = ["cgroupns", "ipc", "pid", "uts"];

/** What `from` and `build` refuse for now. */
export const UNSUPPORTED_HOST_FLAGS = [
  "cgroup-parent",
  "cpu-period",
  "cpu-quota",
  "cpu-shares",
  "cpuset-cpus",
  "cpuset-mems",
  "http-proxy",
  "memory",
  "memory-swap",
  "userns",
  "userns-gid-map",
  "userns-gid-map-group",
  "userns-uid-map",
  "userns-uid-map-user",
];

interface RunFlagValues {
  "cap-add": string[];
  "cap-drop": string[];
  isolation: string | undefined;
  network: string | undefined;
  volume: string[];
  runtime?: string | undefined;
  "add-host"?: string[];
  device?: string[];
  dns?: string[];
  "dns-option"?: string[];
  "dns-search"?: string[];
  "security-opt"?: string[];
  "shm-size"?: string | undefined;
  ulimit?: string[];
}

/** Settings for the API; only what was asked for. Throws `usage` and `unsupported`. */
export function runSettings(flags: RunFlagValues): RunSettings {
  const settings: RunSettings = {};
  const isolation = isolationOf(flags.isolation, flags.runtime);
  if (isolation !== undefined) settings.isolation = isolation;
  const network = networkOf(flags.network);
  if (network !== undefined) settings.network = network;
  if (flags["cap-add"].length > 0) settings.capAdd = flags["cap-add"];
  if (flags["cap-drop"].length > 0) settings.capDrop = flags["cap-drop"];
  if (flags.volume.length > 0) settings.volumes = flags.volume;
  if (flags["add-host"]?.length) settings.addHosts = flags["add-host"];
  if (flags.device?.length) settings.devices = flags.device;
  if (flags.ulimit?.length) settings.ulimits = flags.ulimit;
  if (flags["shm-size"] !== undefined) settings.shmSize = parseBytes(flags["shm-size"], "--shm-size");
  applyDns(settings, flags);
  for (const option of flags["security-opt"] ?? []) applySecurity(settings, option);
  return settings;
}

function applyDns(settings: RunSettings, flags: RunFlagValues): void {
  const dns: NonNullable<RunSettings["dns"]> = {};
  if (flags.dns?.includes("none")) throw new CooperError("unsupported", "--dns=none is not supported yet");
  if (flags.dns?.length) dns.servers = flags.dns;
  if (flags["dns-search"]?.length) dns.search = flags["dns-search"];
  if (flags["dns-option"]?.length) dns.options = flags["dns-option"];
  if (Object.keys(dns).length > 0) settings.dns = dns;
}

function applySecurity(settings: RunSettings, option: string): void {
  const [name, value] = splitOption(option);
  if (name === "seccomp" && value !== undefined && value !== "") {
    settings.seccomp = value;
  } else if (name === "no-new-privileges" && (value === undefined || value === "true")) {
    settings.noNewPrivileges = true;
  } else if (name === "no-new-privileges" && value === "false") {
    settings.noNewPrivileges = false;
  } else {
    throw new CooperError("unsupported", `--security-opt ${option} is not supported`, {
      hint: "use seccomp=unconfined, seccomp=PROFILE or no-new-privileges",
    });
  }
}

/** Docker separates with `=`, older scripts with `:`. */
function splitOption(option: string): [string, string | undefined] {
  const at = option.search(/[=:]/);
  return at === -1 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

function networkOf(mode: string | undefined): RunSettings["network"] {
  switch (mode) {
    case undefined:
    case "":
      return undefined;
    case "host":
    case "none":
    case "private":
      return mode;
    default:
      throw new CooperError("unsupported", `The network ${JSON.stringify(mode)} is not supported`, {
        hint: "use private, host or none",
      });
  }
}

/** `runtime` is --runtime: a name or path of crun or runc, and stronger than --isolation. */
function isolationOf(type: string | undefined, runtime: string | undefined): RunSettings["isolation"] {
  if (runtime !== undefined) {
    if (runtime === "crun" || runtime === "runc") return runtime;
    throw new CooperError("unsupported", `The runtime ${JSON.stringify(runtime)} is not supported`, {
      hint: "use crun or runc",
    });
  }
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
