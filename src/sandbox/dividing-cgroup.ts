/** The cgroup of version 2 below which a limited command gets its own (Documentation/admin-guide/cgroup-v2.rst). */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "../base/errors.ts";
import { getXattr } from "../base/xattrs.ts";
import { namespaceState } from "./user-namespace.ts";

/** Why a cgroup cannot have one below it with controllers. */
export interface Obstacle {
  reason: string;
  /** It is for the processes in it, and nothing else. */
  busy?: boolean;
  hint?: string;
}

/**
 * The path of the nearest cgroup of those from `own` upwards (below the mount `root`) that can have one below it with the
 * controllers, which are switched on where they are not; or what stands in the way of the nearest.
 *
 * A cgroup with processes in it cannot pass controllers on. One that is ours, a user's or one that was delegated, has them
 * moved to a leaf, as its owner is to do (https://systemd.io/CGROUP_DELEGATION/): those above it are systemd's, which takes
 * back what it did not switch on itself. Others are left as they are, unless there is no other way.
 */
export function dividingCgroup(
  { root, own }: { root: string; own: string },
  needed: string[],
  isUsers = namespaceState().kind !== "root",
): string | Obstacle {
  const [first = root, ...above] = ancestors(own).map((path) => join(root, path));
  const nearest = obstacleTo(first, needed);
  if (nearest === undefined) return first;
  const may = nearest.busy === true;
  const mayFirst = may && (isUsers || isDelegated(first));
  const left = mayFirst ? vacate(first, needed) : nearest;
  if (left === undefined) return first;
  const other = above.find((path) => obstacleTo(path, needed) === undefined);
  if (other !== undefined) return other;
  return may && !mayFirst ? (vacate(first, needed) ?? first) : left;
}

/** Why a cgroup cannot have one below it with these controllers; switches them on where it can. */
export function obstacleTo(parent: string, needed: string[]): Obstacle | undefined {
  try {
    accessSync(parent, constants.W_OK | constants.X_OK);
    accessSync(join(parent, "cgroup.procs"), constants.W_OK);
  } catch (error) {
    const isMissing = errnoOf(error) === "ENOENT";
    return { reason: isMissing ? "the cgroup does not exist" : "no cgroup is delegated to this user" };
  }
  const words = (file: string) => readFileSync(join(parent, file), "latin1").split(/\s+/).filter(Boolean);
  const missing = needed.filter((name) => !words("cgroup.controllers").includes(name));
  if (missing.length > 0)
    return { reason: `the cgroup has no controller ${missing.join(", ")}`, hint: MORE_CONTROLLERS };
  // The kernel lets cpu and cpuset pass all the same, to threads: no process could enter the new cgroup. The root alone,
  // which has no type, may hold processes beside it.
  const isOccupied = existsSync(join(parent, "cgroup.type")) && words("cgroup.procs").length > 0;
  if (isOccupied)
    return { reason: "there are processes in the cgroup, which therefore cannot be divided", busy: true };
  const off = needed.filter((name) => !words("cgroup.subtree_control").includes(name));
  if (off.length === 0) return undefined;
  try {
    writeFileSync(join(parent, "cgroup.subtree_control"), off.map((name) => `+${name}`).join(" "));
    return undefined;
  } catch (error) {
    const reason = `the controllers ${off.join(", ")} cannot be passed on (${messageOf(error)})`;
    return { reason, busy: errnoOf(error) === "EBUSY" };
  }
}

const MORE_CONTROLLERS =
  "root gives users more than memory and pids: systemctl edit user@.service, [Service] Delegate=cpu cpuset io memory pids, and log in anew";

/** How often processes may come that were not there at the last look. */
const LOOKS = 20;

/** Moves all processes of a cgroup, this one among them, to one below it. */
function vacate(path: string, needed: string[]): Obstacle | undefined {
  const leaf = join(path, "cooper-others");
  try {
    mkdirSync(leaf, { recursive: true });
    for (let look = 0; look < LOOKS; look++) {
      for (const pid of readFileSync(join(path, "cgroup.procs"), "latin1").split("\n").filter(Boolean))
        moveTo(leaf, pid);
      const obstacle = obstacleTo(path, needed);
      if (obstacle?.busy !== true) return obstacle;
    }
    return { reason: "processes come into the cgroup faster than they can be moved" };
  } catch (error) {
    return { reason: `the processes in the cgroup cannot be moved (${messageOf(error)})` };
  }
}

function moveTo(cgroup: string, pid: string): void {
  try {
    writeFileSync(join(cgroup, "cgroup.procs"), pid);
  } catch (error) {
    // It has ended meanwhile.
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** By systemd's mark, which root finds on services and scopes of the system; on a user's own there is none. */
function isDelegated(path: string): boolean {
  return ["trusted.delegate", "user.delegate"].some((name) => getXattr(path, name)?.toString() === "1");
}

/** A path and those above it, nearest first. */
function ancestors(path: string): string[] {
  const found = [path];
  while (path !== "/" && path !== ".") {
    path = dirname(path);
    found.push(path);
  }
  return found;
}
