/**
 * The built-in isolation where neither mounts nor namespaces are to be had: root of an ordinary container. The command
 * is confined to its root directory, its user and its capabilities, and sees no /proc; the rest is the outer container's.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyNode } from "../archive/copy-tree.ts";
import { CooperError } from "../base/errors.ts";
import { hasOneId } from "../base/process-ids.ts";
import { holds } from "./capabilities.ts";
import { type ChrootOptions, resultOf } from "./chroot.ts";
import { runToEnd } from "./launch.ts";
import { MountPointNotes } from "./mountpoint-notes.ts";
import { requireNothingIsolated } from "./plain-isolation.ts";
import { makePlainDev } from "./plain-dev.ts";
import { standForMount } from "./plain-mounts.ts";
import type { Supervision } from "./plain-supervisor.ts";
import { type PreparedRun, prepareRun } from "./prepare-run.ts";
import { requireNoRuntime } from "./runtime-only.ts";
import type { InitSpec } from "./sandbox-init.ts";
import { compileSeccomp } from "./seccomp-bpf.ts";
import { StandIns } from "./stand-ins.ts";
import type { RunIo, RunResult, RunSpec, Sandbox } from "./types.ts";
import { statusOf } from "../base/path-bytes.ts";

/** A sandbox for a root that may not mount. */
export function plainChrootSandbox(options: ChrootOptions): Sandbox {
  return {
    isolation: "chroot",
    expect: () => {},
    run: (spec, io) =>
      runPlain(options, spec.network === "default" ? { ...spec, network: "host" } : spec, io),
    close: async () => {},
  };
}

async function runPlain(options: ChrootOptions, spec: RunSpec, io: RunIo): Promise<RunResult> {
  io.signal?.throwIfAborted();
  requireWhatIsAsked(spec);
  requireNothingIsolated(spec);
  requireNoRuntime(spec);
  const prepared = await prepareRun(spec, options.runtimeDir);
  let untouched: string[] = [];
  try {
    const notes = spec.mountPointNotes;
    const observer = notes === undefined ? undefined : new MountPointNotes(notes, spec.rootfs);
    const standIns = new StandIns(spec.rootfs, observer);
    let endDev = () => {};
    try {
      standIns.place("/dev", (path) => {
        endDev = makePlainDev(path, spec.devices);
      });
      for (const { source, target } of prepared.files)
        if (spec.mounts.every((mount) => mount.target !== target))
          standIns.place(target, (path) => copyNode(source, path));
      for (const mount of spec.mounts) standForMount(standIns, mount);
      standIns.seal();
      return await start(options.selfCommand, spec, prepared, io);
    } finally {
      endDev();
      untouched = standIns.restore();
    }
  } finally {
    const restored = prepared.close();
    const isThere = (path: string) => statusOf(`${spec.rootfs}${path}`) !== undefined;
    io.onRestored?.([...untouched.filter(isThere), ...restored]);
  }
}

/** What would have to be dropped silently is refused. */
function requireWhatIsAsked({ network, seccomp, noNewPrivileges }: RunSpec): void {
  const refuse = (what: string, hint: string) => {
    throw new CooperError("unsupported", `Cannot run the command ${what}: this host refuses namespaces`, {
      hint,
    });
  };
  if (!holds("CAP_SYS_CHROOT")) {
    throw new CooperError(
      "unsupported",
      "Cannot run the command: this root has neither CAP_SYS_ADMIN, to mount, nor CAP_SYS_CHROOT, to change the root directory",
      { hint: "Give the outer container CAP_SYS_CHROOT, which is among the defaults of Docker and Podman" },
    );
  }
  if (network !== "host")
    refuse(
      network === "none" ? "without a network" : "in a private network",
      "Use --network host: it is the outer container's",
    );
  if (typeof seccomp === "object" && !noNewPrivileges)
    refuse(
      `under the profile ${seccomp.profile}`,
      "Loading it takes --security-opt no-new-privileges here; the outer container's own profile is in force anyway",
    );
}

async function start(
  selfCommand: string[],
  spec: RunSpec,
  prepared: PreparedRun,
  io: RunIo,
): Promise<RunResult> {
  const { directory, rlimits, seccomp } = prepared;
  // Without CAP_SYS_ADMIN a filter takes no_new_privs, which is no loss where there is nobody to become.
  const noNewPrivileges = spec.noNewPrivileges || hasOneId();
  const loads = seccomp !== undefined && noNewPrivileges;
  const init: InitSpec = {
    run: { ...spec, noNewPrivileges },
    plain: true,
    mounts: [],
    rlimits,
    userNamespace: false,
    report: join(directory, "report"),
    ...(loads ? { seccompProgram: Buffer.from(compileSeccomp(seccomp)).toString("base64") } : {}),
    ...(loads && seccomp.listenerPath !== undefined ? { supervisedAt: directory } : {}),
  };
  const file = join(directory, "init.json");
  writeFileSync(file, JSON.stringify(init));
  writeFileSync(init.report, "");
  const supervision: Supervision = { parent: process.pid, argv: [...selfCommand, "__sandbox-init", file] };
  const supervised = join(directory, "supervise.json");
  writeFileSync(supervised, JSON.stringify({ supervise: supervision }));
  const env = { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" };
  const exitCode = await runToEnd([...selfCommand, "__sandbox-init", supervised], env, io, async (pid) => {
    process.kill(pid, "SIGTERM");
  });
  return resultOf(init.report, file, exitCode);
}
