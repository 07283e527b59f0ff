/** What /sys/fs/cgroup shows to a runtime: crun refuses cgroup v1 hierarchies, runc writes to whatever it finds. */
import { readFileSync, statfsSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { CLONE, MS, mount, unshare } from "../base/libc.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import { namespaceState } from "./user-namespace.ts";

const CGROUP = "/sys/fs/cgroup";
const CGROUP2_MAGIC = 0x63677270;

/**
 * Covers /sys/fs/cgroup, in our mount namespace only, by a read-only cgroup2 where that is needed: crun takes it for a
 * unified host, and runc (with --rootless=true) skips what it may not write, so that no cgroup of ours is left on the
 * host. Where cgroup2 cannot be mounted an empty tmpfs has to do, which only crun accepts.
 */
export function coverCgroups(runtime: "crun" | "runc"): void {
  const type = fileSystemType();
  if (type === undefined) return;
  // crun with its cgroup manager off only looks; but a user's delegated cgroups must not show in a borrowed /sys.
  const looks = runtime === "crun" && namespaceState().kind === "root";
  if (type === CGROUP2_MAGIC && (looks || isReadonly())) return;
  privateMountNamespace();
  const plain = MS.NOSUID | MS.NODEV | MS.NOEXEC;
  try {
    // In a user namespace, mounting cgroup2 takes a cgroup namespace of its own.
    unshare(CLONE.NEWCGROUP);
    mount("cgroup2", CGROUP, "cgroup2", plain | MS.RDONLY);
  } catch {
    mount("tmpfs", CGROUP, "tmpfs", plain, "mode=755,size=4k");
  }
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
