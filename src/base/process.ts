/** Running other programs to their end. */
import { accessSync, constants } from "node:fs";
import { constants as osConstants } from "node:os";
import { CooperError } from "./errors.ts";

export interface ProcessResult {
  argv: string[];
  /** Exit status as a shell gives it: 128 + the signal's number when a signal ended it. */
  exitCode: number;
  /** Name of the signal that ended it ("SIGKILL"), if one did. */
  signal: string | undefined;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

export interface ProcessOptions {
  cwd?: string;
  /** The whole environment; the caller's own when absent. */
  env?: Record<string, string | undefined>;
  stdin?: Uint8Array | "inherit";
  /** Given, output goes there as it comes and the result's buffer stays empty. */
  onStdout?: (chunk: Uint8Array) => void;
  onStderr?: (chunk: Uint8Array) => void;
  /** Leaves stdin, stdout and stderr to the child, for terminals. */
  inherit?: boolean;
  /** Aborting sends SIGTERM, and SIGKILL after two seconds. */
  signal?: AbortSignal;
}

const GRACE_MILLISECONDS = 2000;

/**
 * Runs a program and waits for it. A non-zero status is a result, not an error; not being able to start the program is
 * `not-found`, an aborted signal `cancelled` (after the child has ended).
 */
export async function runProcess(argv: string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  options.signal?.throwIfAborted();
  const child = start(argv, options);
  const { signal } = options;
  let force: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => {
    child.kill("SIGTERM");
    force = setTimeout(() => child.kill("SIGKILL"), GRACE_MILLISECONDS);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const [stdout, stderr] = await Promise.all([
      drain(child.stdout, options.onStdout),
      drain(child.stderr, options.onStderr),
      child.exited,
    ]);
    if (signal?.aborted)
      throw new CooperError("cancelled", `${argv[0]} was cancelled`, { cause: signal.reason });
    return {
      argv,
      exitCode: statusOf(child),
      signal: child.signalCode === null ? undefined : String(child.signalCode),
      stdout,
      stderr,
    };
  } finally {
    clearTimeout(force);
    signal?.removeEventListener("abort", onAbort);
  }
}

function start(argv: string[], options: ProcessOptions) {
  const output = options.inherit ? "inherit" : "pipe";
  const stdin = options.inherit ? "inherit" : (options.stdin ?? "ignore");
  try {
    return Bun.spawn(argv, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      stdin,
      stdout: output,
      stderr: output,
    });
  } catch (error) {
    throw new CooperError("not-found", `Cannot start ${argv[0]}`, { cause: error });
  }
}

function statusOf(child: { exitCode: number | null; signalCode: unknown }): number {
  if (child.exitCode !== null) return child.exitCode;
  return 128 + signalNumber(String(child.signalCode));
}

/** Number of a signal by name. */
export function signalNumber(name: string): number {
  return (osConstants.signals as Record<string, number>)[name] ?? osConstants.signals.SIGKILL;
}

async function drain(
  stream: ReadableStream<Uint8Array> | number | undefined,
  sink: ((chunk: Uint8Array) => void) | undefined,
): Promise<Uint8Array> {
  if (stream === undefined || typeof stream === "number") return new Uint8Array();
  const kept: Uint8Array[] = [];
  for await (const chunk of stream) {
    if (sink === undefined) kept.push(chunk);
    else sink(chunk);
  }
  return kept.length === 1 ? kept[0]! : Buffer.concat(kept);
}

const found = new Map<string, string | undefined>();

/** Absolute path of a program on PATH (and in the system directories that a user's PATH may lack), or undefined. */
export function findProgram(name: string): string | undefined {
  if (found.has(name)) return found.get(name);
  const directories = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
  const path = directories
    .filter((d) => d.startsWith("/"))
    .map((d) => `${d}/${name}`)
    .find(isExecutable);
  found.set(name, path);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
