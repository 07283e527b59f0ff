/** The runtime specification's config.json for a command (opencontainers/runtime-spec, config.md, config-linux.md). */
import { statSync } from "node:fs";
import { CooperError, messageOf } from "../base/errors.ts";
import { splitDevice } from "../base/file-calls.ts";
import { mountOptions } from "../base/file-system.ts";
import { hasOneId } from "../base/process-ids.ts";
import { hasId, type IdMaps, runtimeMappings } from "./command-ids.ts";
import { kernelPaths } from "./kernel-paths.ts";
import { isPrivate } from "./namespaces.ts";
import type { Rlimit } from "./rlimits.ts";
import { apparmorOf } from "./runtime-only.ts";
import type { SeccompFilter } from "./seccomp.ts";
import type { RunMount, RunSpec } from "./types.ts";

/** What the spec needs to know of the host and of this run. */
export interface RuntimeHost {
  /** Where the root is to be found. */
  root: string;
  /** Of the command's own user namespace, and which one that is where it is there already. */
  ids?: { maps: IdMaps; path?: string };
  /** Runs in a user namespace of ours: device nodes and sysfs come from the host. */
  userNamespace: boolean;
  /** Files to bind at their targets, such as /etc/resolv.conf. */
  files: { source: string; target: string }[];
  /** A network namespace to join, unless the runtime is started in it. */
  networkNamespace?: string;
  seccomp?: SeccompFilter;
  /** The same filter compiled, which crun takes instead (run.oci.seccomp_bpf_data in crun(1)). */
  seccompProgram?: Uint8Array;
  rlimits: Rlimit[];
  /** The runtime can map the only id to a user that is not root; runc needs root to be mapped. */
  renamesId?: boolean;
  /** Characters, for a new terminal. */
  terminalSize?: { width: number; height: number };
}

interface Mount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

/** Builds config.json as an object; limits above 2^53 are raw JSON numbers. */
export function runtimeSpec(spec: RunSpec, host: RuntimeHost): object {
  const root = spec.user.uid === 0;
  const usable = root ? spec.capabilities : [];
  const hidden = spec.kernelPaths ?? kernelPaths();
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: spec.terminal,
      ...(host.terminalSize === undefined ? {} : { consoleSize: host.terminalSize }),
      user: userOf(spec, host),
      args: spec.argv,
      env: spec.env,
      cwd: spec.cwd,
      capabilities: {
        bounding: spec.capabilities,
        effective: usable,
        permitted: usable,
        inheritable: [],
        ambient: [],
      },
      rlimits: host.rlimits.map(({ name, soft, hard }) => ({
        type: name,
        soft: limit(soft),
        hard: limit(hard),
      })),
      noNewPrivileges: spec.noNewPrivileges,
      ...apparmorOf(spec),
    },
    root: { path: host.root, readonly: false },
    ...(isPrivate(spec, "uts") ? { hostname: spec.hostname } : {}),
    mounts: mountsOf(spec, host),
    ...(spec.hooks === undefined ? {} : { hooks: spec.hooks }),
    annotations: crunAnnotations(spec, host),
    linux: {
      namespaces: namespacesOf(spec, host),
      ...idMappings(spec.user, host),
      devices: spec.devices.map(deviceOf),
      maskedPaths: hidden.masked,
      readonlyPaths: hidden.readonly,
      ...(host.seccomp === undefined ? {} : { seccomp: host.seccomp }),
    },
  };
}

/** What crun(1) has beside the specification. */
function crunAnnotations({ user }: RunSpec, { seccompProgram }: RuntimeHost): Record<string, string> {
  return {
    ...(seccompProgram === undefined
      ? {}
      : { "run.oci.seccomp_bpf_data": Buffer.from(seccompProgram).toString("base64") }),
    ...(user.keepsGroups === true ? { "run.oci.keep_original_groups": "1" } : {}),
  };
}

/** Where there is one id, everybody is it: root, or by the name of the user that is asked for (see idMappings). */
function userOf(
  { user: { keepsGroups: _, ...user } }: Pick<RunSpec, "user">,
  host: RuntimeHost,
): RunSpec["user"] {
  if (!hasOneId()) return user;
  const { uid, gid } = isRenamed(user, host) ? user : { uid: 0, gid: 0 };
  return { uid, gid, additionalGids: [] };
}

/** The one id there is, seen as another user's in a user namespace of the container's own; or the ids asked for. */
function idMappings(user: RunSpec["user"], host: RuntimeHost): object {
  if (!isRenamed(user, host)) return host.ids === undefined ? {} : runtimeMappings(host.ids.maps);
  const one = (inside: number) => [{ inside, outside: 0, count: 1 }];
  return runtimeMappings({ uids: one(user.uid), gids: one(user.gid) });
}

function isRenamed({ uid, gid }: RunSpec["user"], host: RuntimeHost): boolean {
  return host.renamesId === true && hasOneId() && (uid !== 0 || gid !== 0);
}

function limit(value: number): unknown {
  // -1 is 2^64 - 1 on the wire.
  return value === -1 ? rawJson("18446744073709551615") : value;
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

function namespacesOf(spec: RunSpec, host: RuntimeHost): { type: string; path?: string }[] {
  const chosen = (["pid", "ipc", "uts", "cgroup"] as const).filter((kind) => isPrivate(spec, kind));
  const namespaces: { type: string; path?: string }[] = [...chosen, "mount"].map((type) => ({ type }));
  const path = host.ids?.path;
  if (path !== undefined) namespaces.push({ type: "user", path });
  else if (isRenamed(spec.user, host) || host.ids !== undefined) namespaces.push({ type: "user" });
  if (host.networkNamespace !== undefined) namespaces.push({ type: "network", path: host.networkNamespace });
  else if (spec.network === "none") namespaces.push({ type: "network" });
  return namespaces;
}

/** All mounts of a container in their order; a mount of the caller's replaces ours of the same target. */
export function mountsOf(spec: RunSpec, host: Pick<RuntimeHost, "userNamespace" | "files" | "ids">): Mount[] {
  const userNamespace = host.userNamespace || spec.ids !== undefined;
  const taken = new Set(spec.mounts.map(({ target }) => target));
  const files = host.files.map(({ source, target }) => ({
    destination: target,
    type: "bind",
    source,
    options: ["bind", "rprivate"],
  }));
  const ours = [...systemMounts(spec, userNamespace, host.ids), ...files].filter(
    ({ destination }) => !taken.has(destination),
  );
  return [...ours, ...spec.mounts.map((mount) => userMount(mount, userNamespace))];
}

function systemMounts(spec: RunSpec, userNamespace: boolean, ids: RuntimeHost["ids"]): Mount[] {
  const plain = ["nosuid", "noexec", "nodev"];
  // The kernel gives a new sysfs only to the owner of the network namespace.
  const isOthers = spec.network === "host" || (spec.ids !== undefined && spec.network !== "none");
  const borrowed = userNamespace && isOthers;
  return [
    // The kernel shows the host's processes to a user namespace in mounts that are there already.
    userNamespace && !isPrivate(spec, "pid")
      ? { destination: "/proc", type: "bind", source: "/proc", options: ["rbind", "rprivate", ...plain] }
      : { destination: "/proc", type: "proc", source: "proc", options: plain },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      // Group 5 (tty) need not exist.
      options: [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        ...(hasOneId() || (ids !== undefined && !hasId(ids.maps.gids, 5)) ? [] : ["gid=5"]),
      ],
    },
    borrowed
      ? { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", "rprivate", ...plain, "ro"] }
      : { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, "ro"] },
    ...ipcMounts(spec),
  ];
}

/** Where the host's IPC is shared, its shared memory is. */
function ipcMounts(spec: RunSpec): Mount[] {
  const plain = ["nosuid", "noexec", "nodev"];
  if (spec.namespaces?.ipc === "host") {
    return ["/dev/mqueue", "/dev/shm"]
      .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())
      .map((path) => ({
        destination: path,
        type: "bind",
        source: path,
        options: ["rbind", "rprivate", ...plain],
      }));
  }
  return [
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: plain },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...plain, "mode=1777", `size=${spec.shmSize}`],
    },
  ];
}

function userMount(mount: RunMount, userNamespace: boolean): Mount {
  if (mount.type === "bind") {
    const asked = [...(mount.forbids ?? []), ...(mount.readOnly ? ["ro"] : [])];
    // What is locked has to be asked for, too, where anything is: runc sets it all anew.
    const locked = userNamespace && asked.length > 0 ? mountOptions(mount.source) : [];
    const options = ["rbind", "rprivate", ...new Set([...asked, ...locked])];
    return { destination: mount.target, type: "bind", source: mount.source, options };
  }
  const options = ["nosuid", "nodev", `mode=${(mount.mode ?? 0o1777).toString(8)}`];
  if (mount.size !== undefined) options.push(`size=${mount.size}`);
  return { destination: mount.target, type: "tmpfs", source: "tmpfs", options };
}

function deviceOf(path: string): object {
  const stat = statDevice(path);
  const type = stat.isBlockDevice() ? "b" : "c";
  const { major, minor } = splitDevice(BigInt(stat.rdev));
  return { path, type, major, minor, fileMode: stat.mode & 0o777, uid: stat.uid, gid: stat.gid };
}

function statDevice(path: string) {
  try {
    const stat = statSync(path);
    if (stat.isBlockDevice() || stat.isCharacterDevice()) return stat;
  } catch (error) {
    throw new CooperError(
      "not-found",
      `Cannot give the device ${path} to the container: ${messageOf(error)}`,
      { cause: error },
    );
  }
  throw new CooperError("usage", `Cannot give ${path} to the container: it is not a device`);
}
