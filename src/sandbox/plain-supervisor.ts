/**
 * Between Cooper and a command without a PID namespace: the process to which everything that the command leaves behind
 * falls (PR_SET_CHILD_SUBREAPER), and which ends it all when the command has ended, or Cooper.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { prctl, reapChildren } from "../base/process-calls.ts";
import { signalNumber } from "../base/process.ts";

/** Plain data, handed over in a file. */
export interface Supervision {
  /** PID of the Cooper that started it. */
  parent: number;
  argv: string[];
  /**
   * File in which the program writes the PID of the command, where it is not the command itself: a runtime, which would
   * wait for everything that the command left.
   */
  pidFile?: string;
}

const PR_SET_PDEATHSIG = 1;
const PR_SET_CHILD_SUBREAPER = 36;

/** Runs the command to its end and returns its status, when no process of it is left. */
export async function supervise({ parent, argv, pidFile }: Supervision): Promise<number> {
  let ended = false;
  const endAll = () => {
    ended = true;
    killDescendants();
  };
  process.on("SIGTERM", endAll);
  // From the terminal: the command's business.
  for (const signal of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) process.on(signal, () => {});
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, signalNumber("SIGTERM"));
  if (process.ppid !== parent) return 128 + signalNumber("SIGTERM");
  const child = Bun.spawn(argv, { stdio: ["inherit", "inherit", "inherit"], cwd: "/" });
  // A signal that came between: the child was not there yet.
  if (ended) killDescendants();
  if (pidFile !== undefined) await commandEnded(child, pidFile);
  await child.exited;
  killDescendants();
  reapChildren();
  return child.exitCode ?? 128 + signalNumber(String(child.signalCode));
}

/** Waits until a runtime's command has ended, or the runtime, and ends what the command left to the runtime. */
async function commandEnded(runtime: Bun.Subprocess, pidFile: string): Promise<void> {
  let pid: number | undefined;
  while (runtime.exitCode === null && runtime.signalCode === null) {
    pid ??= writtenPid(pidFile);
    if (pid !== undefined && parentAndState(pid)?.ended !== false) return killDescendants(runtime.pid);
    await Promise.race([runtime.exited, Bun.sleep(10)]);
  }
}

function writtenPid(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, "latin1"), 10) || undefined;
  } catch {
    return undefined;
  }
}

/** Kills until there is nobody left but `spared`: what forks meanwhile is found the next time round. */
function killDescendants(spared?: number): void {
  for (;;) {
    const left = descendants().filter((pid) => pid !== spared);
    if (left.length === 0) return;
    for (const pid of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    Bun.sleepSync(1);
  }
}

/** Processes below this one that have not ended (proc_pid_stat(5)). */
function descendants(): number[] {
  // A /proc of another PID namespace knows others by our numbers.
  if (ownNumberInProc() !== process.pid) return [];
  const children = new Map<number, { pid: number; ended: boolean }[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const process = parentAndState(pid);
    if (process === undefined) continue;
    const siblings = children.get(process.parent) ?? [];
    children.set(process.parent, [...siblings, { pid, ended: process.ended }]);
  }
  const found: number[] = [];
  const visit = (pid: number) => {
    for (const child of children.get(pid) ?? []) {
      if (!child.ended) found.push(child.pid);
      visit(child.pid);
    }
  };
  visit(process.pid);
  return found;
}

function ownNumberInProc(): number | undefined {
  try {
    return Number(readlinkSync("/proc/self"));
  } catch {
    return undefined;
  }
}

function parentAndState(pid: number): { parent: number; ended: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(parent), ended: state === "Z" || state === "X" };
  } catch {
    return undefined;
  }
}
