/** What a command in a container needs, and what every isolation offers. */

export type Isolation = "crun" | "runc" | "chroot";

/** `private`: a network namespace connected by pasta. */
export type NetworkMode = "host" | "none" | "private";

export interface RunUser {
  uid: number;
  gid: number;
  additionalGids: number[];
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
    }
  | { type: "tmpfs"; target: string /** Bytes. */; size?: number; mode?: number };

/** Plain data: everything that a command's environment is made of. */
export interface RunSpec {
  /** Directory that holds the mounted root file system. */
  rootfs: string;
  argv: string[];
  /** `KEY=value`. */
  env: string[];
  /** Absolute path in the container; must exist. */
  cwd: string;
  user: RunUser;
  hostname: string;
  network: NetworkMode;
  mounts: RunMount[];
  /** Lines for /etc/hosts, `name:ip` as in --add-host. */
  addHosts: string[];
  /** Servers, search domains and options that replace the host's in /etc/resolv.conf. Empty: the host's. */
  dns: { servers: string[]; search: string[]; options: string[] };
  /** Names as CAP_CHOWN, the whole bounding set; see defaultCapabilities(). */
  capabilities: string[];
  /** Docker's default profile, none, or a profile file in Docker's JSON format. */
  seccomp: "default" | "unconfined" | { profile: string };
  noNewPrivileges: boolean;
  /** Clamped to what the host allows. `soft` and `hard` as in prlimit, -1 for unlimited. */
  rlimits: { name: string; soft: number; hard: number }[];
  /** Host paths of device nodes to give to the container. */
  devices: string[];
  /** Bytes of /dev/shm. */
  shmSize: number;
  /** File that tells of the run's mount points while it lasts, for removeNotedMountPoints(). */
  mountPointNotes?: string;
  /** Gives the command a pseudo-terminal; the caller's stdin and stdout must be one. */
  terminal: boolean;
}

export interface RunIo {
  /** Leaves stdin, stdout and stderr to the command, for `run` on the command line. */
  inherit?: boolean;
  stdin?: Uint8Array;
  onStdout?: (chunk: Uint8Array) => void;
  onStderr?: (chunk: Uint8Array) => void;
  /**
   * Told, where nothing can be mounted, which paths (`/etc/hosts`) were replaced for the time of the run and are now
   * what they were but for their ctime.
   */
  onRestored?: (paths: string[]) => void;
  /** Aborting ends every process of the container. */
  signal?: AbortSignal;
}

export interface RunResult {
  /** 0…255; 128 + signal number when a signal ended the command; 127 and 126 as a shell has them. */
  exitCode: number;
}

/** One way to isolate a command. When run() returns, or this process dies, no process of the container is left. */
export interface Sandbox {
  readonly isolation: Isolation;
  run(spec: RunSpec, io: RunIo): Promise<RunResult>;
}
