/** What a command in a container needs, and what every isolation offers. */

import type { MappedView } from "../base/mapped-mounts.ts";
import type { CommandIds } from "./command-ids.ts";
import type { KernelPaths } from "./kernel-paths.ts";
import type { RuntimeHooks } from "./oci-hooks.ts";

export type Isolation = "crun" | "runc" | "chroot";

/** A namespace of the command's own, the caller's, or the one that a file under /proc/PID/ns or a mount holds. */
export type NamespaceChoice = "private" | "host" | `ns:${string}`;

/** Namespaces that may be chosen beside the network's; `private` where nothing is said. */
export interface ChosenNamespaces {
  ipc?: NamespaceChoice;
  pid?: NamespaceChoice;
  uts?: NamespaceChoice;
  /** What is not said here is left to the isolation: the view of cgroups hardly matters. */
  cgroup?: NamespaceChoice;
}

/**
 * `private`: a network namespace connected by pasta, else by slirp4netns; both can be asked for by name, with options
 * behind a colon. `ns:PATH` is somebody else's.
 */
export type NetworkMode =
  | "host"
  | "none"
  | "private"
  | "pasta"
  | `pasta:${string}`
  | "slirp4netns"
  | `slirp4netns:${string}`
  | `ns:${string}`;

/** Files in /etc that Cooper writes for a command, unless the image's are to stay. */
export type HostFile = "hosts" | "hostname" | "resolv.conf";

export interface RunUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  /** In place of `additionalGids` this process's own, which may have no number in a user namespace; takes crun. */
  keepsGroups?: boolean;
}

export type RunMount =
  /** A file or directory of this mount namespace. `target` is a path in the container. */
  | {
      type: "bind";
      source: string;
      target: string;
      readOnly?: boolean;
      /** The source is nobody else's meanwhile: where nothing can be mounted, it may be moved there and back. */
      lend?: boolean;
      /** Set-uid programs, device nodes, programs at all: without effect there. */
      forbids?: ("nosuid" | "nodev" | "noexec")[];
      /** Its owners are the image's: where the command has other ids, they are shown as root is there. */
      ofImage?: boolean;
      /** The source and all in it is given to the command's user first. */
      chown?: boolean;
      /**
       * The command sees the source and may write, which leaves it as it is. What is written goes when the command ends,
       * or stays in the directories that are named.
       */
      overlay?: { upper?: string; work?: string };
    }
  | {
      type: "tmpfs";
      target: string;
      /** Bytes. */
      size?: number;
      mode?: number;
      /** It begins with what it covers. */
      copyUp?: boolean;
    };

/** Enforced by a cgroup of the run's own; with none of them it stays in the caller's. */
export interface ResourceLimits {
  /** Bytes. */
  memory?: number;
  /** Bytes of memory and swap together; -1 for no limit. Takes `memory`. */
  memorySwap?: number;
  /** Microseconds; default 100,000. */
  cpuPeriod?: number;
  /** Microseconds of each period; 0 or less for no limit. */
  cpuQuota?: number;
  /** Weight against others, 1024 being the usual one. */
  cpuShares?: number;
  /** Processors and memory nodes, as `0-3,7`. */
  cpusetCpus?: string;
  cpusetMems?: string;
  /** Path of the cgroup below which the run's is made. */
  cgroupParent?: string;
}

/** Plain data: everything that a command's environment is made of. */
export interface RunSpec {
  /** Directory that holds the mounted root file system. */
  rootfs: string;
  argv: string[];
  /** `KEY=value`. */
  env: string[];
  /** There are secrets among these variables: they are in no file that outlives the run, or a kill. */
  secretEnv?: boolean;
  /** Absolute path in the container; must exist. */
  cwd: string;
  user: RunUser;
  hostname: string;
  /** Somebody asked for that name: where it cannot be given that is an error. */
  hostnameAsked?: boolean;
  /** `default`: one of its own where that can be had, else the host's (network-choice.ts). */
  network: NetworkMode | "default";
  /** TCP ports of the host's loopback that a private network has as well: of proxies that the command is to use. */
  proxyPorts?: number[];
  namespaces?: ChosenNamespaces;
  /** A user namespace of its own, with these ids. */
  ids?: CommandIds;
  mounts: RunMount[];
  /** Lines for /etc/hosts, `name:ip` as in --add-host. */
  addHosts: string[];
  /** Servers, search domains and options that replace the host's in /etc/resolv.conf. Empty: the host's. */
  dns: { servers: string[]; search: string[]; options: string[] };
  /** Files that stay the image's own. */
  imageFiles?: HostFile[];
  /** Names as CAP_CHOWN, the whole bounding set; see defaultCapabilities(). */
  capabilities: string[];
  /** Docker's default profile, none, or a profile file in Docker's JSON format. */
  seccomp: "default" | "unconfined" | { profile: string };
  /** Name of a profile; absent: the caller's. */
  apparmor?: string;
  /** Absent: the usual ones. */
  kernelPaths?: KernelPaths;
  /** Somebody asked for other ones: where they cannot be had that is an error. */
  kernelPathsAsked?: boolean;
  noNewPrivileges: boolean;
  /** Clamped to what the host allows. `soft` and `hard` as in prlimit, -1 for unlimited. */
  rlimits: { name: string; soft: number; hard: number }[];
  /** Host paths of device nodes to give to the container. */
  devices: string[];
  /** Bytes of /dev/shm. */
  shmSize: number;
  /** The same for the size. */
  shmSizeAsked?: boolean;
  limits?: ResourceLimits;
  /** Programs of the host around it; only an OCI runtime has any. */
  hooks?: RuntimeHooks;
  /** The root is changed by moving mounts and chroot(2): for roots on a ramdisk, where pivot_root(2) fails. */
  noPivot?: boolean;
  /** File that tells of the run's mount points while it lasts, for removeNotedMountPoints(). */
  mountPointNotes?: string;
  /** Gives the command a pseudo-terminal; the caller's stdin and stdout must be one. */
  terminal: boolean;
}

export interface RunIo {
  /** Leaves stdin, stdout and stderr to the command, for `run` on the command line. */
  inherit?: boolean;
  /** What it reads; `inherit`: this process's own. Default: nothing. */
  stdin?: Uint8Array | "inherit";
  onStdout?: (chunk: Uint8Array) => void;
  onStderr?: (chunk: Uint8Array) => void;
  /**
   * Told which paths (`/etc/hosts`) were replaced, or had something in them, for the time of the run and are now what
   * they were but for their ctime.
   */
  onRestored?: (paths: string[]) => void;
  /**
   * Shows the root file system under other ids, at another place and not at its own, until close(): asked for when all is
   * ready for a command whose user namespace has such.
   */
  mapRoot?: (view: MappedView) => { root: string; close(): void };
  /** Aborting ends every process of the container. */
  signal?: AbortSignal;
}

export interface RunResult {
  /** 0…255; 128 + signal number when a signal ended the command; 127 and 126 as a shell has them. */
  exitCode: number;
  /** The network that it had. */
  network?: NetworkMode;
}

/** A command whose network is settled. */
export type ConnectedRun = RunSpec & { network: NetworkMode };

/** What decides about a command's network. */
export type NetworkNeed = Pick<RunSpec, "network" | "proxyPorts" | "addHosts">;

/**
 * One way to isolate a command. When run() returns, or this process dies, no process of the container is left. What
 * connects networks stays for the next command until close().
 */
export interface Sandbox {
  readonly isolation: Isolation;
  /** Begins to open the network of a command to come, so that it waits less. */
  expect(need: NetworkNeed): void;
  run(spec: RunSpec, io: RunIo): Promise<RunResult>;
  close(): Promise<void>;
}
