/** Processes whose end takes something along: how they are known again, and who waits for it. */
import { readFileSync, readlinkSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import { processStartTime } from "./keeper.ts";

/** One process for good: a PID alone is given to others later, in another boot, or in another container. */
export interface Owner {
  pid: number;
  /** Clock ticks since boot. */
  startTime: number;
  boot: string;
  pidNamespace: string;
}

/** Throws `not-found` when there is no such process. */
export function ownerOf(pid: number): Owner {
  const startTime = processStartTime(pid);
  if (startTime === undefined)
    throw new CooperError("not-found", `There is no process ${pid} that the container could go with`);
  return { pid, startTime, ...here() };
}

/** Whether that process has ended. Of one that this process could not see it is not known, so no. */
export function ownerEnded(owner: Owner): boolean {
  const { boot, pidNamespace } = here();
  if (boot !== owner.boot) return true;
  return pidNamespace === owner.pidNamespace && processStartTime(owner.pid) !== owner.startTime;
}

function here(): Pick<Owner, "boot" | "pidNamespace"> {
  return {
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    pidNamespace: readlinkSync("/proc/self/ns/pid"),
  };
}

/**
 * $1: the PID; then what is executed when that process has ended. Its directory in /proc is of this very process, whoever
 * gets the PID next. Built-ins only, but for the sleep.
 */
const WATCH = `cd "/proc/$1" && shift && {
  alive() {
    while read -r key value _; do
      [ "$key" = State: ] && { case $value in [ZX]) return 1 ;; *) return 0 ;; esac; }
    done <status
    return 1
  } 2>/dev/null
  while alive; do sleep 1; done
  cd / && exec "$@"
}`;

/**
 * Has a command executed within about a second of the process's end, however that comes, by a shell that waits for it: in
 * a session of its own, so that neither a closed terminal nor Ctrl-C reaches it. It takes about a megabyte of memory.
 */
export function whenEnded(owner: Owner, argv: string[]): void {
  const sh = findProgram("sh");
  if (sh === undefined || findProgram("sleep") === undefined)
    throw new CooperError("unsupported", "Cannot wait for a process to end: there is no sh or no sleep");
  const child = Bun.spawn([sh, "-c", WATCH, "cooper-watch", String(owner.pid), ...argv], {
    cwd: "/",
    env: process.env,
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  child.unref();
}
