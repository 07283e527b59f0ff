/** What every isolation needs before a command starts: files, mount points, limits and the seccomp filter. */
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { hasOneId, requireIds } from "../base/process-ids.ts";
import { loadContainersConf } from "./containers-conf.ts";
import type { MappedIds } from "./mapped-ids.ts";
import { commandsHaveMounts } from "./mount-namespace.ts";
import { MountPointNotes } from "./mountpoint-notes.ts";
import { type MountPoint, prepareMountPoints, removeMountPoints } from "./mountpoints.ts";
import { hostsFile, resolvConf } from "./network-files.ts";
import { clampRlimits, type Rlimit, withFileLimit } from "./rlimits.ts";
import { listenForOwners, OWNER_SOCKET } from "./owner-listener.ts";
import { oneIdFiles } from "./one-id-files.ts";
import { readyMounts } from "./ready-mounts.ts";
import { openLimits } from "./resource-limits.ts";
import { makeRunDirectory, removeRunDirectory } from "./run-directory.ts";
import { mountsOf } from "./runtime-spec.ts";
import { defaultSeccomp, type SeccompFilter } from "./seccomp.ts";
import { pretendingIds } from "./seccomp-one-id.ts";
import type { RunIo, RunSpec } from "./types.ts";
import { namespaceState } from "./user-namespace.ts";

/** Facts of the network that a command runs in, as network.ts provides them. */
export interface NetworkFacts {
  /** Where the host can be reached. */
  hostAddress?: string;
  /** A name server of the network's own. */
  forwarder?: string;
}

export interface PreparedRun {
  /** Where the command finds its root; `spec.rootfs`, or where that is shown under other ids. */
  root: string;
  /** Of its own user namespace, if it has one. */
  ids?: MappedIds;
  /** What was asked for, with mounts as they can be made now. */
  spec: RunSpec;
  /** Private to the run. */
  directory: string;
  /** Cgroups that the first process has to enter; see launch(). */
  cgroups?: { directories: string[]; report: string };
  userNamespace: boolean;
  files: { source: string; target: string }[];
  rlimits: Rlimit[];
  seccomp?: SeccompFilter;
  /**
   * Takes everything away again; call it once the command has ended. Returns the directories of the root, as `/etc`, in
   * which there was something to take away and that are now what they were but for their ctime.
   */
  close(): string[];
}

/** Prepares a run below the runtime directory. */
export async function prepareRun(
  asked: RunSpec,
  runtimeDir: string,
  network: NetworkFacts = {},
  mapRoot?: RunIo["mapRoot"],
): Promise<PreparedRun> {
  const userNamespace = namespaceState().kind === "mapped";
  const rlimits = withFileLimit(clampRlimits(asked.rlimits));
  const filter = await askedSeccomp(asked);
  const directory = makeRunDirectory(runtimeDir);
  const undo: (() => void)[] = [() => removeRunDirectory(directory)];
  let restored: string[] = [];
  const close = () => {
    for (const action of undo.splice(0).reverse()) action();
    return restored;
  };
  try {
    if (asked.secretEnv === true) undo.push(coverWithMemory(directory));
    const owners = hasOneId() ? await listenForOwners(directory, asked.user) : undefined;
    if (owners !== undefined) undo.push(owners.close);
    const seccomp = hasOneId() ? pretendingIds(filter, owners && OWNER_SOCKET) : filter;
    const ids = await idsOf(asked, directory);
    if (ids !== undefined) undo.push(ids.close);
    const ready = readyMounts(asked, directory, ids ?? { user: asked.user });
    undo.push(ready.close);
    const spec = { ...asked, mounts: ready.mounts };
    const limits = openLimits(spec.limits);
    if (limits !== undefined) undo.push(limits.close);
    const files = writeFiles(spec, directory, network);
    if (ids?.view !== undefined)
      for (const { source } of files) chownSync(source, ids.view.root.uid, ids.view.root.gid);
    const { rootfs, mountPointNotes } = spec;
    const notes = mountPointNotes === undefined ? undefined : new MountPointNotes(mountPointNotes, rootfs);
    const made = prepareMountPoints(rootfs, mountPoints(spec, files), notes);
    const top = resolveInRoot(rootfs, "/");
    undo.push(() => {
      // The root directory itself is in no layer.
      restored = removeMountPoints(made)
        .map((path) => path.slice(top.length))
        .filter((path) => path !== "");
      notes?.close();
    });
    const shown = ids?.view && mapRoot?.(ids.view);
    if (shown !== undefined) undo.push(shown.close);
    return {
      spec,
      root: shown?.root ?? rootfs,
      ...(ids === undefined ? {} : { ids }),
      directory,
      userNamespace,
      files,
      rlimits,
      close,
      ...(seccomp === undefined ? {} : { seccomp }),
      ...(limits === undefined
        ? {}
        : { cgroups: { directories: limits.directories, report: cgroupReport(directory) } }),
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Ids of the command's own user namespace, if it is to have one. Error: `unsupported`, naming one that its user lacks. */
async function idsOf({ ids, user }: RunSpec, directory: string): Promise<MappedIds | undefined> {
  if (ids === undefined) {
    const isRoot = user.uid === 0 && user.gid === 0 && user.additionalGids.length === 0;
    if (!isRoot && !hasOneId()) requireIds("Cannot run the command as", user);
    return undefined;
  }
  // Loaded only for those who need it.
  const { mappedIds } = await import("./mapped-ids.ts");
  return await mappedIds(ids, user, directory);
}

/**
 * Has what is written into a run's directory, a runtime's config.json above all, be in memory, in this process's mounts: gone
 * with it. Without mounts the directory is what it is, and the first process of the run removes the file.
 */
function coverWithMemory(directory: string): () => void {
  if (!commandsHaveMounts()) return () => {};
  mount("tmpfs", directory, "tmpfs", MS.NOSUID | MS.NODEV, "size=16m,mode=700");
  return () => umount(directory, MNT.DETACH);
}

function cgroupReport(directory: string): string {
  const report = join(directory, "cgroup-report");
  writeFileSync(report, "");
  return report;
}

async function askedSeccomp(spec: RunSpec): Promise<SeccompFilter | undefined> {
  if (spec.seccomp === "unconfined") return undefined;
  if (spec.seccomp === "default") return defaultSeccomp(spec.capabilities);
  // Loaded only for those who have a profile: its schemas cost milliseconds.
  const { readSeccompProfile } = await import("./seccomp-file.ts");
  return readSeccompProfile(spec.seccomp.profile, spec.capabilities);
}

function writeFiles(spec: RunSpec, directory: string, network: NetworkFacts): PreparedRun["files"] {
  const { baseHostsFile } = loadContainersConf();
  const base = baseHostsFile?.startsWith("/") ? { baseHosts: baseHostsFile } : {};
  const texts: Record<string, string> = {
    "/etc/resolv.conf": resolvConf(spec, network.forwarder),
    "/etc/hostname": `${spec.hostname}\n`,
    ...(hasOneId() ? oneIdFiles(spec.rootfs) : {}),
  };
  if (baseHostsFile !== "image" && !spec.imageFiles?.includes("hosts"))
    texts["/etc/hosts"] = hostsFile(spec, { ...base, ...network });
  for (const name of spec.imageFiles ?? []) delete texts[`/etc/${name}`];
  return Object.entries(texts).map(([target, text]) => {
    const source = join(directory, basename(target));
    writeFileSync(source, text);
    chmodSync(source, 0o644); // whatever the umask
    return { source, target };
  });
}

const KERNEL_DIRECTORIES = new Set(["/proc", "/sys", "/dev"]);

/** Where the mounts go, in their order. */
function mountPoints(spec: RunSpec, files: PreparedRun["files"]): MountPoint[] {
  return mountsOf(spec, { userNamespace: false, files }).map(({ destination, type, source, options }) => {
    const isFile = type === "bind" && !statSync(source).isDirectory();
    const mode = options.find((option) => option.startsWith("mode="))?.slice(5);
    return {
      target: destination,
      kind: isFile ? "file" : "directory",
      covers: !isFile,
      stays: KERNEL_DIRECTORIES.has(destination),
      ...(mode === undefined || type !== "tmpfs" ? {} : { mode: Number.parseInt(mode, 8) }),
    };
  });
}
