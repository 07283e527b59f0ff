/** The login session in which a user works, as far as systemd knows of it. */
import { findProgram } from "../base/process.ts";
import { cgroupView } from "./cgroup-view.ts";

/** Its cgroup, which logind names (pam_systemd(8)); in the hierarchy of version 2, or systemd's own of version 1. */
const SESSION = /\/session-[^/]+\.scope(\/|$)/;
const HIERARCHIES = ["", "name=systemd"];

const MANAGER = "org.freedesktop.systemd1";

/**
 * Makes a process the user's instead of the session's in which we are: the user's service manager is asked to take it into a
 * scope, StartTransientUnit() of org.freedesktop.systemd1(5), which ends with the manager after the last logout. What stays
 * in a session's scope goes on after that with KillUserProcesses=no (logind.conf(5)), and keeps the user's runtime
 * directory. Nobody waits for the answer: where there is none, the process stays where it is.
 * @param cgroups this process's, by controller; "" for version 2
 * @returns whether the manager was asked; not outside of sessions, nor where that fails
 */
export function leaveLoginSession(pid: number, cgroups?: Map<string, string>): boolean {
  try {
    return isSession(cgroups ?? cgroupView().own) && asksManager(pid);
  } catch {
    return false;
  }
}

const isSession = (cgroups: Map<string, string>): boolean =>
  HIERARCHIES.some((name) => SESSION.test(cgroups.get(name) ?? ""));

function asksManager(pid: number): boolean {
  const busctl = findProgram("busctl");
  const { XDG_RUNTIME_DIR } = process.env;
  if (busctl === undefined || XDG_RUNTIME_DIR === undefined) return false;
  // It sees the container's mounts: it must not be there for long.
  const child = Bun.spawn([busctl, "--user", "--timeout=5", "call", ...startScope(pid)], {
    cwd: "/",
    // Not DBUS_SESSION_BUS_ADDRESS: the bus in this directory is the one that the service manager is on.
    env: { XDG_RUNTIME_DIR },
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  child.unref();
  return true;
}

/** busctl(1)'s words for the call: object, method, signature; the unit's name, mode and properties, and no other units. */
function startScope(pid: number): string[] {
  const properties = [
    ["PIDs", "au", "1", String(pid)],
    ["Description", "s", "A container that Cooper keeps mounted"],
    ["CollectMode", "s", "inactive-or-failed"],
  ];
  return [
    ...[MANAGER, "/org/freedesktop/systemd1", `${MANAGER}.Manager`, "StartTransientUnit", "ssa(sv)a(sa(sv))"],
    ...[`cooper-keeper-${pid}.scope`, "fail", String(properties.length), ...properties.flat(), "0"],
  ];
}
