/** The tiny process that holds a user and mount namespace open for a container that its user has mounted. */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { CooperError, errnoOf } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";

export interface Keeper {
  pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat: tells this process from a later one of the same PID. */
  startTime: number;
}

/**
 * Starts a keeper in the namespaces of this process (call it after mounting): a session of its own, nothing of ours
 * open, working directory /. Its mounts are at /proc/<pid>/root/…. It lives until stopKeeper(), and where tail is GNU's no
 * longer than `file`. With the user's last login it ends only where nothing holds it in the session: leaveLoginSession().
 */
export function startKeeper(file: string): Keeper {
  const [program, ...args] = waiting(file);
  const child = Bun.spawn([program, ...args], {
    // A multi-call program (busybox) goes by its own name.
    argv0: isPlain(program) ? "cooper-keeper" : program,
    cwd: "/",
    env: {},
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  child.unref();
  const startTime = processStartTime(child.pid);
  if (startTime === undefined)
    throw new CooperError("system", "The process that keeps a container mounted ended at once");
  return { pid: child.pid, startTime };
}

/** A command line that does nothing. Of the tails GNU's alone ends when its file does. */
function waiting(file: string): [program: string, ...args: string[]] {
  const tail = findProgram("tail");
  if (tail !== undefined && isPlain(tail)) return [tail, "--lines=0", "--follow=name", file];
  const sleep = findProgram("sleep");
  if (sleep === undefined)
    throw new CooperError("unsupported", "Cannot keep a container mounted: there is no sleep program");
  return [sleep, "infinity"];
}

const isPlain = (program: string): boolean => basename(realpathSync(program)) === basename(program);

/** Whether this very process still runs. One that was killed gives up its namespaces some time before it is gone. */
export function keeperAlive(keeper: Keeper): boolean {
  return processStartTime(keeper.pid) === keeper.startTime && holdsMounts(keeper.pid);
}

function holdsMounts(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/ns/mnt`);
    return true;
  } catch (error) {
    return !["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "");
  }
}

/** Ends a keeper, and with the last process its namespaces and mounts; nothing when it has ended already. */
export function stopKeeper(keeper: Keeper): void {
  if (!keeperAlive(keeper)) return;
  try {
    process.kill(keeper.pid, "SIGKILL");
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") {
      throw new CooperError("system", `Cannot end the process ${keeper.pid} that keeps a container mounted`, {
        cause: error,
      });
    }
  }
}

/** Start time of a process in clock ticks since boot; undefined when there is none, or only its remains (a zombie). */
export function processStartTime(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The name in parentheses may hold anything: fields count from the last parenthesis, state first.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
}
