/**
 * The built-in isolation, for hosts without crun and runc: namespaces by util-linux, and inside them this same program
 * as the first process, which mounts, drops privileges and executes the command (sandbox-init.ts).
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { launch, notStarted } from "./launch.ts";
import { isPrivate, joinedNamespaces } from "./namespaces.ts";
import type { OpenNetwork } from "./network.ts";
import { networkedSandbox, type NetworkPoolOptions } from "./network-pool.ts";
import { type PreparedRun, prepareRun } from "./prepare-run.ts";
import { requireNoRuntime } from "./runtime-only.ts";
import { mountsOf } from "./runtime-spec.ts";
import type { InitSpec } from "./sandbox-init.ts";
import { compileSeccomp } from "./seccomp-bpf.ts";
import { supervisorFor } from "./supervised.ts";
import type { ConnectedRun, RunIo, RunResult, Sandbox } from "./types.ts";

export interface ChrootOptions extends NetworkPoolOptions {
  /** How to start this program; the hidden command `__sandbox-init FILE` is appended. */
  selfCommand: string[];
}

/** A sandbox without a runtime. */
export function chrootSandbox(options: ChrootOptions): Sandbox {
  return networkedSandbox("chroot", options, (spec, network, io) => runChroot(options, spec, network, io));
}

async function runChroot(
  options: ChrootOptions,
  spec: ConnectedRun,
  network: OpenNetwork,
  io: RunIo,
): Promise<RunResult> {
  if (spec.noPivot === true)
    throw new CooperError(
      "unsupported",
      "Cannot run the command with --no-pivot: --isolation chroot does nothing else",
    );
  if (spec.ids !== undefined)
    throw new CooperError(
      "unsupported",
      "Cannot run the command in a user namespace of its own with --isolation chroot",
      { hint: "Install crun or runc, which can" },
    );
  requireNoRuntime(spec);
  const joined = joinedNamespaces(spec);
  const prepared = await prepareRun(spec, options.runtimeDir, network);
  try {
    const { userNamespace, files, rlimits, seccomp, directory } = prepared;
    const init: InitSpec = {
      run: prepared.spec,
      mounts: mountsOf(prepared.spec, { userNamespace, files }),
      rlimits,
      userNamespace,
      report: join(directory, "report"),
      ...(network.namespace === undefined ? {} : { networkNamespace: network.namespace }),
      ...(seccomp === undefined
        ? {}
        : { seccompProgram: Buffer.from(compileSeccomp(seccomp)).toString("base64") }),
      ...(seccomp?.listenerPath === undefined ? {} : { supervisedAt: directory }),
    };
    return await start(options.selfCommand, init, prepared, joined, io);
  } finally {
    const restored = prepared.close();
    io.onRestored?.(restored);
  }
}

async function start(
  selfCommand: string[],
  init: InitSpec,
  { directory, cgroups }: PreparedRun,
  joined: string[],
  io: RunIo,
): Promise<RunResult> {
  const file = join(directory, "init.json");
  writeFileSync(file, JSON.stringify(init));
  writeFileSync(init.report, "");
  const network = init.networkNamespace;
  // A namespace by path is joined before the others are made.
  const enter = network === undefined ? joined : [...joined, `--net=${network}`];
  const own = (["ipc", "uts", "cgroup"] as const).filter((kind) => isPrivate(init.run, kind));
  const unshare = own.map((kind) => `--${kind}`);
  if (init.run.network === "none") unshare.push("--net");
  const exitCode = await launch(
    {
      argv: [...selfCommand, "__sandbox-init", file],
      env: { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
      unshare,
      enter,
      ...supervisorFor(init.run, selfCommand, directory),
      ...(cgroups === undefined ? {} : { cgroups }),
    },
    io,
  );
  return resultOf(init.report, file, exitCode);
}

/** What became of a command, by the report of its first process, which was given `file`. */
export function resultOf(reportFile: string, file: string, exitCode: number): RunResult {
  const report = readFileSync(reportFile, "utf8");
  if (report === "") {
    // The first process takes its instructions away: if they are there, it never was.
    if (existsSync(file)) throw notStarted(exitCode);
    return { exitCode };
  }
  // Exits 126 and 127 are the command's fault and were said on its stderr; the rest is ours.
  const { status, message } = JSON.parse(report) as { status: number; message: string };
  if (status === 126 || status === 127) return { exitCode: status };
  const hint =
    "The outer container's seccomp profile refuses chroot(2), as Podman's does without CAP_SYS_CHROOT: add SYS_CHROOT to its capabilities";
  throw new CooperError("run-failed", `Cannot isolate the command: ${message}`, {
    exitCode: status,
    ...(message.startsWith("EPERM: chroot") ? { hint } : {}),
  });
}
