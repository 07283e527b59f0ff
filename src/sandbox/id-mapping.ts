/** Whether a user's range of ids can be mapped, and the program's arguments that map it. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { getXattr } from "../base/xattrs.ts";
import { findProgram } from "../base/process.ts";
import { capabilityMask } from "./capabilities.ts";
import { type IdRange, loginName, subordinateRanges } from "../base/subordinate-ids.ts";

/** Ranges of users and of groups. */
export interface IdRanges {
  uids: IdRange[];
  gids: IdRange[];
}

/**
 * The ranges that an ordinary user can map with newuidmap and newgidmap, or why none can. Looks at files only, which
 * costs a fraction of a millisecond; that the kernel agrees is seen when it is done.
 */
export function idRanges(uid: number): IdRanges | { obstacle: string } {
  for (const name of ["newuidmap", "newgidmap"] as const) {
    const path = findProgram(name);
    if (path === undefined) return { obstacle: `${name} is not installed` };
    if (!isPrivileged(path))
      return { obstacle: `${path} has neither the set-uid bit of root nor a file capability` };
    if (lacksCapability(path))
      return {
        obstacle: `${path} is set-uid root, and this container's root lacks CAP_SYS_ADMIN; with a file capability it would work`,
      };
  }
  if (hasNoNewPrivileges()) return { obstacle: "no_new_privs keeps newuidmap from gaining privileges" };
  const user = { uid, name: loginName(uid) };
  const uids = subordinateRanges("/etc/subuid", user);
  const gids = subordinateRanges("/etc/subgid", user);
  if (uids.length === 0) return { obstacle: `/etc/subuid gives the user ${user.name} no range of ids` };
  if (gids.length === 0) return { obstacle: `/etc/subgid gives the user ${user.name} no range of ids` };
  return { uids, gids };
}

/** Whether a program runs with root's rights or a capability of its own. */
export function isPrivileged(path: string): boolean {
  const stat = statSync(path);
  if ((stat.mode & 0o4000) !== 0 && stat.uid === 0) return true;
  return getXattr(realpathSync(path), "security.capability") !== undefined;
}

/**
 * Whether a set-uid newuidmap would be refused ("write to uid_map failed: Operation not permitted"): the kernel lets map
 * ids either the namespace's owner, whom one with a file capability still is, or who has CAP_SYS_ADMIN, which root of an
 * ordinary container has not (user_namespaces(7)).
 */
export function lacksCapability(path: string, proc = "/proc"): boolean {
  if (getXattr(realpathSync(path), "security.capability") !== undefined) return false;
  const bounds = /^CapBnd:\s*([0-9a-f]+)$/m.exec(statusOf(proc))?.[1];
  return bounds !== undefined && (BigInt(`0x${bounds}`) & capabilityMask(["CAP_SYS_ADMIN"])) === 0n;
}

/** Whether set-uid programs have no effect for this process (PR_SET_NO_NEW_PRIVS). */
export function hasNoNewPrivileges(proc = "/proc"): boolean {
  return /^NoNewPrivs:\s*1$/m.test(statusOf(proc));
}

function statusOf(proc: string): string {
  try {
    return readFileSync(`${proc}/self/status`, "latin1");
  } catch {
    return "";
  }
}

/** Whether this unshare(1) has --map-auto (util-linux 2.38): its options are in the file, and starting it costs more. */
export function hasMapAuto(unshare: string): boolean {
  return readFileSync(unshare).includes("map-auto");
}

/**
 * Waits in the background until the process that starts it is in a new user namespace, and maps ids there. Arguments:
 * the process, newuidmap, newgidmap, and their arguments, separated by `--`. When mapping fails it ends that process.
 */
const MAPPER = `pid=$1 user=$2 group=$3; shift 3
(
  own=$(readlink /proc/self/ns/user)
  tries=0
  while there=$(readlink "/proc/$pid/ns/user") && [ "$there" = "$own" ]; do
    tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 1
  done
  uids=; while [ "$1" != -- ]; do uids="$uids $1"; shift; done; shift
  "$user" "$pid" $uids && "$group" "$pid" "$@" || kill -KILL "$pid"
) >/dev/null &`;

/** Started inside the unmapped namespace: waits for both maps, and executes the rest, which makes it root there. */
const WAITER = `tries=0
until read -r line < /proc/self/uid_map && read -r line < /proc/self/gid_map; do
  tries=$((tries + 1)); [ $tries -lt 100000 ] || { echo "Error: newuidmap did not map the ids in time" >&2; exit 125; }
done
exec "$@"`;

/** Starts the mapper for this process, which must now execute `waiting()`'s command line. */
export function startMapper(uid: number, gid: number, ranges: IdRanges): void {
  const [user, group] = [findProgram("newuidmap")!, findProgram("newgidmap")!];
  const argv = [...mapArguments(uid, ranges.uids), "--", ...mapArguments(gid, ranges.gids)];
  Bun.spawnSync(["sh", "-c", MAPPER, "sh", String(process.pid), user, group, ...argv], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
}

/** Command line that enters the namespace which the mapper waits for, and then a mount namespace of its root's. */
export function waiting(unshare: string): string[] {
  const shell = findProgram("sh") ?? "/bin/sh";
  return [unshare, "--user", "--", shell, "-c", WAITER, "sh", unshare, "--mount", "--propagation", "slave"];
}

/** Arguments of newuidmap(1) after the process: root is the user, the ranges follow in their order. */
function mapArguments(own: number, ranges: readonly IdRange[]): string[] {
  const args = ["0", String(own), "1"];
  let next = 1;
  for (const { first, count } of ranges) {
    args.push(String(next), String(first), String(count));
    next += count;
  }
  return args;
}
