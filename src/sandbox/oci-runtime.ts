/** Runs commands through crun or runc: one bundle per run, nothing left of it afterwards. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { restoreTerminal, terminalModes } from "../base/terminals.ts";
import { coverCgroups } from "./cgroup-view.ts";
import { launch, notStarted } from "./launch.ts";
import { joinedNamespaces, namespacePath } from "./namespaces.ts";
import type { OpenNetwork } from "./network.ts";
import { networkedSandbox, type NetworkPoolOptions } from "./network-pool.ts";
import { type PreparedRun, prepareRun } from "./prepare-run.ts";
import { requireNoCrun } from "./runtime-only.ts";
import { runtimeSpec } from "./runtime-spec.ts";
import type { SeccompFilter } from "./seccomp.ts";
import { compileSeccomp } from "./seccomp-bpf.ts";
import { supervisorFor } from "./supervised.ts";
import type { ConnectedRun, RunIo, RunResult, Sandbox } from "./types.ts";

export interface OciRuntimeOptions extends NetworkPoolOptions {
  isolation: "crun" | "runc";
  /** Absolute path of the runtime. */
  program: string;
  /** Global flags that were asked for, with their dashes. */
  flags: string[];
  /** How to start this program, to supervise what has no PID namespace. */
  selfCommand: string[];
}

/** A sandbox that runs every command through an OCI runtime. */
export function ociSandbox(options: OciRuntimeOptions): Sandbox {
  return networkedSandbox(options.isolation, options, (spec, network, io) =>
    runOci(options, spec, network, io),
  );
}

async function runOci(
  options: OciRuntimeOptions,
  spec: ConnectedRun,
  network: OpenNetwork,
  io: RunIo,
): Promise<RunResult> {
  if (options.isolation !== "crun") requireNoCrun(spec, options.isolation);
  const joined = joinedNamespaces(spec);
  const cgroup = spec.namespaces?.cgroup;
  // Into a cgroup outside its own cgroup namespace nobody may move (`nsdelegate`, as systemd mounts cgroup2).
  const keeps = spec.limits !== undefined || (cgroup !== undefined && cgroup !== "private");
  coverCgroups(options.isolation, keeps);
  const prepared = await prepareRun(spec, options.runtimeDir, network, io.mapRoot);
  // A runtime that is killed, and crun now and then by itself, leaves the terminal raw.
  const modes = spec.terminal ? terminalModes(0) : undefined;
  try {
    // A namespace by path is joined outside, where its path still means it; and any before a user namespace that does not
    // own it, which runc would join first.
    const outside = namespacePath(spec.network) ?? (prepared.ids?.path && network.namespace);
    writeConfig(options, prepared, outside === undefined ? network.namespace : undefined);
    const enter = outside === undefined ? joined : [...joined, `--net=${outside}`];
    return await start(options, prepared, enter, io);
  } finally {
    if (modes !== undefined) restoreTerminal(0, modes);
    const restored = prepared.close();
    io.onRestored?.(restored);
  }
}

function writeConfig(
  options: OciRuntimeOptions,
  prepared: PreparedRun,
  networkNamespace: string | undefined,
): void {
  const { spec } = prepared;
  const isCrun = options.isolation === "crun";
  const seccomp = isCrun ? namingListener(prepared) : prepared.seccomp;
  const host = {
    ...prepared,
    ...(seccomp === undefined ? {} : { seccomp }),
    renamesId: isCrun,
    ...(networkNamespace === undefined ? {} : { networkNamespace }),
    ...(spec.terminal ? terminalSize() : {}),
    ...(seccomp !== undefined && isCrun ? { seccompProgram: compiled(seccomp) } : {}),
  };
  writeFileSync(join(prepared.directory, "config.json"), JSON.stringify(runtimeSpec(spec, host)));
}

/** crun wants the whole path; runc, which works in the bundle too, none longer than a socket's address. */
function namingListener({ seccomp, directory }: PreparedRun): SeccompFilter | undefined {
  if (seccomp?.listenerPath === undefined) return seccomp;
  return { ...seccomp, listenerPath: join(directory, seccomp.listenerPath) };
}

/** Asked for only when there is a terminal: to look at `process.stdout` makes a stream, which takes milliseconds. */
function terminalSize(): { terminalSize?: { width: number; height: number } } {
  const { columns, rows } = process.stdout;
  return columns > 0 && rows > 0 ? { terminalSize: { width: columns, height: rows } } : {};
}

let lastCompiled: { key: string; program: Uint8Array } | undefined;

/** Builds run many commands with one filter. */
function compiled(filter: SeccompFilter): Uint8Array {
  const key = JSON.stringify({ ...filter, listenerPath: undefined });
  if (lastCompiled?.key !== key) lastCompiled = { key, program: compileSeccomp(filter) };
  return lastCompiled.program;
}

async function start(
  { isolation, program, selfCommand, flags: asked }: OciRuntimeOptions,
  { directory, spec, cgroups }: PreparedRun,
  enter: string[],
  io: RunIo,
): Promise<RunResult> {
  const log = join(directory, "log");
  const state = join(directory, "state");
  // crun takes what is before a colon for the kind of log.
  const logFlag = isolation === "crun" ? `file:${log}` : log;
  const common = [program, ...asked, "--root", state, "--log", logFlag, "--log-format", "json"];
  const flags = isolation === "crun" ? ["--cgroup-manager=disabled"] : ["--rootless=true"];
  const pivot = spec.noPivot === true ? ["--no-pivot"] : [];
  const pidFile = join(directory, "pid");
  const id = basename(directory);
  const env = { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" };
  const exitCode = await launch(
    {
      argv: [...common, ...flags, "run", ...pivot, "--pid-file", pidFile, "--bundle", directory, id],
      env,
      enter,
      ...supervisorFor(spec, selfCommand, directory, pidFile),
      ...(cgroups === undefined ? {} : { cgroups }),
    },
    io,
  );
  if (exitCode === 0) return { exitCode };
  const result = explainStatus(isolation, exitCode, log);
  // The runtime makes its directory first of all: without it, the status is unshare's.
  if (!existsSync(state)) throw notStarted(exitCode);
  return result;
}

/**
 * Tells a command that could not be started (126, 127) from a runtime that failed, by the runtime's log; what it says
 * of the former is on stderr already.
 */
function explainStatus(runtime: string, exitCode: number, log: string): RunResult {
  const message = firstError(log);
  if (message === undefined) return { exitCode };
  if (/executable file .*not found|exec.*no such file or directory/i.test(message)) return { exitCode: 127 };
  if (
    /open executable|exec.*(permission denied|exec format error|is a directory|not permitted)/i.test(message)
  )
    return { exitCode: 126 };
  throw new CooperError("run-failed", `${runtime} cannot run the command: ${message}`, { exitCode });
}

function firstError(log: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(log, "utf8");
  } catch {
    return undefined;
  }
  for (const line of text.split("\n")) {
    if (line === "") continue;
    try {
      const entry = JSON.parse(line) as { level?: string; msg?: string };
      if (entry.level === "error" || entry.level === "fatal") return entry.msg;
    } catch {
      return line;
    }
  }
  return undefined;
}
