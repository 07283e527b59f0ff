/** Starts an isolated command so that it cannot outlive this process, and ends it completely when asked to. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { findProgram, signalNumber } from "../base/process.ts";
import type { RunIo } from "./types.ts";

export interface Launch {
  /** Program and arguments, run as the first process of a new PID and mount namespace with its own /proc. */
  argv: string[];
  env: Record<string, string>;
  /** More options of unshare(1), such as `--net`. */
  unshare?: string[];
  /** Options of nsenter(1) for namespaces to join first, such as `--net=/proc/1/ns/net`. */
  enter?: string[];
  /** Where there is no PID namespace to end it with: it starts what it is given below a supervisor. */
  supervisor?: (argv: string[]) => string[];
  /** Cgroups to run in, and a file that is written to where they cannot be entered. */
  cgroups?: { directories: string[]; report: string };
}

/**
 * Runs a program below `setpriv --pdeathsig KILL unshare --pid --fork --kill-child`: when we die, however, unshare is
 * killed, with it the first process of the PID namespace, and with that the kernel kills every other. Returns the exit
 * status as a shell has it, after all of them have ended. Errors: `unsupported` without util-linux, `cancelled`.
 */
export async function launch(
  { argv, env, unshare = [], enter = [], supervisor, cgroups }: Launch,
  io: RunIo,
): Promise<number> {
  const isolated = supervisor === undefined ? OWN_PROCESSES : [];
  const command = [...isolated, ...unshare, "--", ...(supervisor?.(argv) ?? argv)];
  const end = supervisor === undefined ? killNamespace : async (pid: number) => void signal(pid, "SIGTERM");
  const status = await runToEnd([...wrapper(enter, cgroups), ...command], env, io, end);
  const refused = cgroups === undefined ? "" : readFileSync(cgroups.report, "utf8").trim();
  if (refused === "") return status;
  throw new CooperError("unsupported", `Cannot put the command into its cgroup: ${refused}`, {
    hint: "Processes may only be moved within what is delegated to their user: start Cooper there too (systemd-run --user --scope)",
  });
}

const OWN_PROCESSES = ["--pid", "--fork", "--kill-child", "--mount-proc"];

/** $1: a report; $2: how many cgroups follow, and then the command. */
const ENTER_CGROUPS = `report=$1 count=$2; shift 2
while [ "$count" -gt 0 ]; do
  { echo $$ >"$1/cgroup.procs"; } 2>>"$report" || exit 125
  shift; count=$((count - 1))
done
exec "$@"`;

/** Runs a program; `end` ends it and everything below it, when the caller asks for that. Error: `cancelled`. */
export async function runToEnd(
  argv: string[],
  env: Record<string, string>,
  io: RunIo,
  end: (pid: number) => Promise<void>,
): Promise<number> {
  io.signal?.throwIfAborted();
  const { stdin, stdout, stderr } = stdioOf(io);
  const child = Bun.spawn(argv, { env, cwd: "/", stdin, stdout, stderr });
  const onAbort = () => void end(child.pid);
  io.signal?.addEventListener("abort", onAbort, { once: true });
  if (io.signal?.aborted) onAbort();
  try {
    await Promise.all([drain(child.stdout, io.onStdout), drain(child.stderr, io.onStderr), child.exited]);
  } finally {
    io.signal?.removeEventListener("abort", onAbort);
    if (child.exitCode === null && child.signalCode === null) {
      await end(child.pid);
      await child.exited;
    }
  }
  if (io.signal?.aborted)
    throw new CooperError("cancelled", "The command was cancelled", { cause: io.signal.reason });
  return child.exitCode ?? 128 + signalNumber(String(child.signalCode));
}

/** The error for a run whose namespaces could not be made; unshare(1) has said why on stderr. */
export function notStarted(exitCode: number): CooperError {
  return new CooperError(
    "unsupported",
    "Cannot isolate the command: this host refuses the namespaces for it",
    {
      exitCode,
      hint: "In an outer container, allow mounts and give it an unmasked /proc",
    },
  );
}

function wrapper(enter: string[], cgroups: Launch["cgroups"]): string[] {
  const namespaces = ["--mount", "--propagation", "slave"];
  const entering =
    cgroups === undefined
      ? []
      : [findProgram("sh") ?? "/bin/sh", "-c", ENTER_CGROUPS, "sh", cgroups.report].concat(
          String(cgroups.directories.length),
          cgroups.directories,
        );
  const nsenter = enter.length === 0 ? [] : [requireProgram("nsenter"), ...enter, "--"];
  return [
    requireProgram("setpriv"),
    "--pdeathsig",
    "KILL",
    "--",
    ...entering,
    ...nsenter,
    requireProgram("unshare"),
    ...namespaces,
  ];
}

function requireProgram(name: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new CooperError("unsupported", `Cannot isolate a command: there is no ${name}`, {
    hint: "Install util-linux",
  });
}

type Output = "inherit" | "pipe" | "ignore";

function stdioOf(io: RunIo): {
  stdin: "inherit" | "ignore" | Uint8Array;
  stdout: Output;
  stderr: Output;
} {
  if (io.inherit) return { stdin: "inherit", stdout: "inherit", stderr: "inherit" };
  const output = (sink: unknown): Output => (sink === undefined ? "ignore" : "pipe");
  return { stdin: io.stdin ?? "ignore", stdout: output(io.onStdout), stderr: output(io.onStderr) };
}

/**
 * Kills the first process of the namespace and, when it is dead, unshare: it dies only after every other one there, so
 * that nothing runs any more when unshare has ended. Unshare is stopped meanwhile: seeing its child die by SIGKILL, it
 * would complain on the command's stderr that this signal cannot be unblocked (util-linux 2.38).
 */
async function killNamespace(unsharePid: number): Promise<void> {
  if (!signal(unsharePid, "SIGSTOP")) return;
  while (!["T", "Z", undefined].includes(processState(unsharePid))) await Bun.sleep(1);
  for (const pid of childrenOf(unsharePid)) {
    if (signal(pid, "SIGKILL")) while (!["Z", undefined].includes(processState(pid))) await Bun.sleep(1);
  }
  signal(unsharePid, "SIGKILL");
}

/** Whether there was such a process. */
function signal(pid: number, name: "SIGSTOP" | "SIGKILL" | "SIGTERM"): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** R, S, T, Z… (proc_pid_stat(5)); undefined when there is no such process. */
function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2];
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1")
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

async function drain(
  stream: ReadableStream<Uint8Array> | number | undefined,
  sink: ((chunk: Uint8Array) => void) | undefined,
): Promise<void> {
  if (stream === undefined || typeof stream === "number" || sink === undefined) return;
  for await (const chunk of stream) sink(chunk);
}
