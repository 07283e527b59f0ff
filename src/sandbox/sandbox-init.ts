/** First process of the built-in isolation: turns its namespaces into the container and executes the command. */
import { openSync, readFileSync, readlinkSync, unlinkSync, writeSync } from "node:fs";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { chroot } from "../base/mounts.ts";
import {
  becomeUser,
  capset,
  execve,
  loadSeccompFilter,
  loadSupervisedFilter,
  prctl,
  raiseLoopback,
  sethostname,
  setrlimit,
} from "../base/process-calls.ts";
import { connectTo, sendDescriptor } from "../base/seccomp-supervisor.ts";
import { hasOneId } from "../base/process-ids.ts";
import { signalNumber } from "../base/process.ts";
import { CAPABILITY_NAMES, capabilitiesOf, capabilityMask, ownCapabilities } from "./capabilities.ts";
import { kernelPaths } from "./kernel-paths.ts";
import { isPrivate } from "./namespaces.ts";
import { OWNER_SOCKET } from "./owner-listener.ts";
import { type Supervision, supervise } from "./plain-supervisor.ts";
import { RLIMIT_NUMBERS, type Rlimit } from "./rlimits.ts";
import { enterRoot, maskPaths, mountAll, populateDev, type SandboxMount } from "./sandbox-mounts.ts";
import type { RunSpec } from "./types.ts";

/** What chroot.ts hands over, and plain-chroot.ts. */
export interface InitSpec {
  run: RunSpec;
  /** There are no namespaces of its own: everything is in place, and the root is changed by chroot(2). */
  plain?: boolean;
  mounts: SandboxMount[];
  rlimits: Rlimit[];
  userNamespace: boolean;
  networkNamespace?: string;
  /** Classic BPF in base64. */
  seccompProgram?: string;
  /** Directory with the socket at which the program's supervisor waits, if it has one (owner-listener.ts). */
  supervisedAt?: string;
  /** Existing empty file that takes the failure, if any: `{status, message}`. */
  report: string;
}

/**
 * Body of the hidden command `__sandbox-init FILE`. Must be the first process of new PID, mount, UTS and IPC namespaces
 * with its own /proc, unless it is told that there are none. Becomes the command; on failure says why on stderr and in
 * the report, and exits. Or supervises such a process (plain-supervisor.ts), and returns its status.
 */
export async function runSandboxInit(specFile: string): Promise<number> {
  const spec = JSON.parse(readFileSync(specFile, "utf8")) as InitSpec | { supervise: Supervision };
  unlinkSync(specFile);
  return "supervise" in spec ? supervise(spec.supervise) : runInit(spec);
}

function runInit(init: InitSpec): never {
  const report = openSync(init.report, "a");
  try {
    if (init.plain === true) becomePlain(init);
    else become(init);
  } catch (error) {
    const status = error instanceof CooperError ? (error.exitCode ?? 125) : 125;
    writeSync(report, JSON.stringify({ status, message: messageOf(error) }));
    if (status !== 125) writeSync(2, `${messageOf(error)}\n`);
    process.exit(status);
  }
}

function become({ run, mounts, rlimits, userNamespace, ...init }: InitSpec): never {
  const terminal = run.terminal ? readlinkSync("/proc/self/fd/0") : undefined;
  process.umask(0);
  mountAll(run.rootfs, mounts);
  populateDev(run.rootfs, run.devices, {
    bindNodes: userNamespace,
    ...(terminal?.startsWith("/dev/") ? { terminal } : {}),
  });
  maskPaths(run.rootfs, run.kernelPaths ?? kernelPaths());
  const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1"));
  const filter = filterOf(init);
  enterRoot(run.rootfs);
  if (isPrivate(run, "uts")) sethostname(run.hostname);
  if (run.network === "none") raiseLoopback();
  for (const { name, soft, hard } of rlimits) setrlimit(RLIMIT_NUMBERS[name]!, limit(soft), limit(hard));
  enterDirectory(run.cwd);
  process.umask(0o022);
  dropPrivileges(run, last, filter);
  return execute(run);
}

/** The same in the namespaces that there are. */
function becomePlain({ run, rlimits, ...init }: InitSpec): never {
  const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1"));
  const held = capabilitiesOf(ownCapabilities("CapEff"));
  hasOneId(); // It reads /proc, and remembers.
  const capabilities = run.capabilities.filter((name) => held.includes(name));
  const filter = filterOf(init);
  chroot(run.rootfs);
  process.chdir("/");
  for (const { name, soft, hard } of rlimits) setrlimit(RLIMIT_NUMBERS[name]!, limit(soft), limit(hard));
  enterDirectory(run.cwd);
  process.umask(0o022);
  dropPrivileges({ ...run, capabilities }, last, filter);
  // Changing the user forgets it.
  prctl(PR_SET_PDEATHSIG, signalNumber("SIGKILL"));
  return execute(run);
}

/** Loads the filter, when it is time. Prepared before the root is changed, while the host's paths are what they were. */
function filterOf({
  seccompProgram,
  supervisedAt,
}: Pick<InitSpec, "seccompProgram" | "supervisedAt">): (() => void) | undefined {
  if (seccompProgram === undefined) return undefined;
  const program = Buffer.from(seccompProgram, "base64");
  if (supervisedAt === undefined) return () => loadSeccompFilter(program);
  const supervisor = connectTo(supervisedAt, OWNER_SOCKET);
  return () => sendDescriptor(supervisor, loadSupervisedFilter(program));
}

const PR_SET_PDEATHSIG = 1;

const limit = (value: number): bigint => (value === -1 ? 0xffffffffffffffffn : BigInt(value));

function enterDirectory(path: string): void {
  try {
    process.chdir(path);
  } catch (error) {
    throw new CooperError("run-failed", `Cannot enter the working directory ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;

/**
 * The order matters: a filter without no_new_privs needs CAP_SYS_ADMIN, so it comes first; the bounding set needs
 * CAP_SETPCAP, so it goes before the user does.
 */
function dropPrivileges(run: RunSpec, lastCapability: number, loadFilter: (() => void) | undefined): void {
  const oneId = hasOneId();
  if (run.noNewPrivileges) prctl(PR_SET_NO_NEW_PRIVS, 1);
  else loadFilter?.();
  for (let number = 0; number <= lastCapability; number++) {
    if (!run.capabilities.includes(CAPABILITY_NAMES[number] ?? "")) prctl(PR_CAPBSET_DROP, number);
  }
  if (!oneId) becomeUser(run.user.uid, run.user.gid, run.user.additionalGids);
  const usable = run.user.uid === 0 ? capabilityMask(run.capabilities) : 0n;
  capset(usable, usable, 0n);
  if (run.noNewPrivileges) loadFilter?.();
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** execvp(3) with the container's PATH; errors carry 127 when nothing was found and 126 when it cannot be executed. */
function execute({ argv, env: pairs }: RunSpec): never {
  const env = Object.fromEntries(pairs.map((pair) => splitPair(pair)));
  const name = argv[0] ?? "";
  const directories = (env.PATH ?? DEFAULT_PATH).split(":");
  const candidates = name.includes("/")
    ? [name]
    : directories.map((directory) => `${directory || "."}/${name}`);
  let refusal: unknown;
  for (const path of candidates) {
    try {
      execve(path, argv, env);
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) refusal ??= error;
    }
  }
  if (refusal !== undefined)
    throw new CooperError("run-failed", `Cannot execute ${name}: ${messageOf(refusal)}`, { exitCode: 126 });
  const where = name.includes("/") ? "there is no such file" : "it is not in the container's PATH";
  throw new CooperError("run-failed", `Cannot execute ${name}: ${where}`, { exitCode: 127 });
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
}
