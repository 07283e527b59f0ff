/** What /sys/fs/cgroup shows to a runtime: crun refuses cgroup v1 hierarchies, runc writes to whatever it finds. */
import { constants, openSync, readFileSync, statfsSync } from "node:fs";
import { CooperError, errnoOf } from "../base/errors.ts";
import { MS, mount } from "../base/mounts.ts";
import { CLONE, unshare } from "../base/process-calls.ts";
import { findProgram } from "../base/process.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import { namespaceState } from "./user-namespace.ts";

const CGROUP = "/sys/fs/cgroup";
const CGROUP2_MAGIC = 0x63677270;

/** The host's cgroups, as they are below our cover. */
export interface CgroupView {
  /** Of the hierarchies as a whole; undefined where nothing is mounted. */
  version: 1 | 2 | undefined;
  /** Path of the directory with the hierarchies, or of the one there is. */
  root: string;
  /** This process's cgroup for each controller of version 1, and for version 2 by the name "". */
  own: Map<string, string>;
}

let uncovered: CgroupView | undefined;

/** The cgroups of the host, also after they were covered. */
export function cgroupView(): CgroupView {
  return uncovered ?? { version: versionOf(fileSystemType()), root: CGROUP, own: ownCgroups() };
}

function versionOf(type: number | undefined): CgroupView["version"] {
  if (type === undefined) return undefined;
  return type === CGROUP2_MAGIC ? 2 : 1;
}

/** Lines as `4:memory:/path` and `0::/path` (cgroups(7)). */
function ownCgroups(): Map<string, string> {
  const own = new Map<string, string>();
  for (const line of readFileSync("/proc/self/cgroup", "latin1").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const name of controllers.split(",")) own.set(name, path);
  }
  return own;
}

/**
 * Covers /sys/fs/cgroup, in our mount namespace only, by a read-only cgroup2 where that is needed: crun takes it for a
 * unified host, and runc (with --rootless=true) skips what it may not write, so that no cgroup of ours is left on the
 * host. Where cgroup2 cannot be mounted an empty tmpfs has to do, which only crun accepts. `keeps`: this process stays in
 * the cgroup namespace in which it is.
 */
export function coverCgroups(runtime: "crun" | "runc", keeps = false): void {
  const type = fileSystemType();
  if (type === undefined) return;
  // crun with its cgroup manager off only looks; but a user's delegated cgroups must not show in a borrowed /sys.
  const looks = runtime === "crun" && namespaceState().kind === "root";
  if (type === CGROUP2_MAGIC && (looks || isReadonly())) return;
  privateMountNamespace();
  // Mounts on it go on being there for who has it open.
  const open = openSync(CGROUP, constants.O_RDONLY | constants.O_DIRECTORY);
  uncovered = { version: versionOf(type), root: `/proc/${process.pid}/fd/${open}`, own: ownCgroups() };
  const plain = MS.NOSUID | MS.NODEV | MS.NOEXEC;
  try {
    if (keeps) coverFromOutside();
    else {
      // In a user namespace, mounting cgroup2 takes a cgroup namespace of its own.
      unshare(CLONE.NEWCGROUP);
      mount("cgroup2", CGROUP, "cgroup2", plain | MS.RDONLY);
    }
  } catch {
    mount("tmpfs", CGROUP, "tmpfs", plain, "mode=755,size=4k");
  }
}

/** The same by a process in a cgroup namespace of its own, and in our mount namespace. */
function coverFromOutside(): void {
  const [unshare, mount] = [findProgram("unshare"), findProgram("mount")];
  const options = ["-t", "cgroup2", "-o", "ro,nosuid,nodev,noexec", "cgroup2", CGROUP];
  const { exitCode } = Bun.spawnSync([unshare ?? "unshare", "--cgroup", mount ?? "mount", ...options], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  if (exitCode !== 0) throw new CooperError("system", "Cannot mount cgroup2");
}

function fileSystemType(): number | undefined {
  try {
    return statfsSync(CGROUP).type;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Whether the mount that is on top there is read-only (proc_pid_mountinfo(5)). */
function isReadonly(): boolean {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const fields = lines.map((line) => line.split(" ")).findLast((parts) => parts[4] === CGROUP);
  return fields?.[5]?.split(",").includes("ro") ?? false;
}
