/** How commands run in a container: what `from` keeps with it, and `run` and `build` may give anew. */
import type { CommandIds } from "../sandbox/command-ids.ts";
import type { ChosenNamespaces, Isolation, NetworkMode, ResourceLimits } from "../sandbox/types.ts";

export interface RunSettings {
  isolation?: Isolation;
  /** Name or path of an OCI runtime, before `isolation`. */
  runtime?: string;
  /** Global flags of the runtime, without their dashes: `debug`, `criu=/path`. */
  runtimeFlags?: string[];
  noPivot?: boolean;
  /** Default containers.conf's `netns`; else `private` where that can be had, and `host` otherwise. */
  network?: NetworkMode;
  namespaces?: ChosenNamespaces;
  /** A user namespace of the command's own: "all" ids that Cooper has, or those of some maps. */
  ids?: CommandIds;
  /** `name:ip` as --add-host has it. */
  addHosts?: string[];
  /** `servers: "none"`: the image's /etc/resolv.conf stays. */
  dns?: { servers?: string[] | "none"; search?: string[]; options?: string[] };
  /** The image's /etc/hosts stays; default containers.conf's `no_hosts`. */
  noHosts?: boolean;
  /** The image's /etc/hostname stays. */
  noHostname?: boolean;
  /** Whether the host's proxy variables reach commands; default containers.conf's `http_proxy`, which is true. */
  httpProxy?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  /** `unconfined` or the path of a profile; default Docker's. */
  seccomp?: string;
  /** `unconfined` or the name of a profile that is loaded; default: what this process has. */
  apparmor?: string;
  /** Paths of /proc and /sys that are hidden beside the usual ones. */
  mask?: string[];
  /** Which of all these are not: paths, patterns (`/proc/*`) or `ALL`, which also makes none of them read-only. */
  unmask?: string[];
  noNewPrivileges?: boolean;
  /** `nofile=1024:2048` as --ulimit has it. */
  ulimits?: string[];
  /** Supplementary groups of every user, by name in the container or by number; or `keep-groups`: the caller's. */
  groups?: string[];
  /** `host[:container][:permissions]` as --device has it. */
  devices?: string[];
  /** Bytes. */
  shmSize?: number;
  limits?: ResourceLimits;
  /** Directories of hooks (oci-hooks(5)), in place of containers.conf's `hooks_dir`; later ones are stronger. */
  hooksDirs?: string[];
  /** `host:container[:options]` as --volume has it. */
  volumes?: string[];
}

const LISTS = [
  "addHosts",
  "capAdd",
  "capDrop",
  "mask",
  "unmask",
  "ulimits",
  "groups",
  "devices",
  "hooksDirs",
  "volumes",
] as const;

/** What one run is asked for on top of what the container keeps: scalars replace, lists add. */
export function mergeRunSettings(kept: RunSettings, asked: RunSettings): RunSettings {
  const merged: RunSettings = { ...kept, ...asked };
  for (const key of LISTS) {
    const both = [...(kept[key] ?? []), ...(asked[key] ?? [])];
    if (both.length > 0) merged[key] = both;
  }
  if (kept.namespaces !== undefined || asked.namespaces !== undefined)
    merged.namespaces = { ...kept.namespaces, ...asked.namespaces };
  return merged;
}

/** Those by which the sandbox is chosen. */
export function sandboxSettings({
  isolation,
  runtime,
  runtimeFlags,
}: RunSettings): Pick<RunSettings, "isolation" | "runtime" | "runtimeFlags"> {
  return {
    ...(isolation === undefined ? {} : { isolation }),
    ...(runtime === undefined ? {} : { runtime }),
    ...(runtimeFlags === undefined ? {} : { runtimeFlags }),
  };
}
