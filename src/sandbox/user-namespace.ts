/** Who we are to the kernel, and how an ordinary user becomes root of a user namespace. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { execve } from "../base/process-calls.ts";
import { findProgram } from "../base/process.ts";
import { hasOneId } from "../base/process-ids.ts";
import { holds } from "./capabilities.ts";
import { hasMapAuto, idRanges, startMapper, waiting } from "./id-mapping.ts";
import type { Tier } from "./tier.ts";

export type NamespaceState =
  /** Root of the machine, or of an outer container. */
  | { kind: "root" }
  /** Root of a user namespace that we made; `uid` is the user outside. */
  | { kind: "mapped"; uid: number }
  | { kind: "unprivileged"; uid: number; gid: number };

/** Names the user outside, for information and to tell our own namespaces from an outer container's. */
export const ROOTLESS_UID = "COOPER_ROOTLESS_UID";
/** Group of that user. */
export const ROOTLESS_GID = "COOPER_ROOTLESS_GID";
/** The process that is on its way into a namespace (executing keeps the PID), and where it was. */
const ENTERING = "COOPER_ENTERING";
const WORKING_DIRECTORY = "COOPER_ENTERING_CWD";
const VISITED = "COOPER_ENTERING_VISITED";

let visited: number | undefined;

/** The keeper with a copy of whose mounts this process began: what is mounted there it can read, and not unmount. */
export const visitedKeeper = (): number | undefined => visited;

/** Which of the three this process is: by its effective user and /proc/self/uid_map; the environment only confirms. */
export function namespaceState(): NamespaceState {
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0) return { kind: "unprivileged", uid, gid: process.getegid?.() ?? 0 };
  const outside = outsideUser(readFileSync("/proc/self/uid_map", "latin1"));
  // Without our mark it is somebody else's namespace, such as a rootless container: there we are root.
  if (outside !== 0 && process.env[ROOTLESS_UID] === String(outside)) return { kind: "mapped", uid: outside };
  return { kind: "root" };
}

/**
 * How much this process, or the one that enterUserNamespace() makes of it, can do; with a probe only where a seccomp
 * filter is in force. `why`: what keeps a user from more.
 */
export function expectedTier(): { tier: Tier; why?: string } {
  const state = namespaceState();
  if (state.kind === "unprivileged") {
    const obstacle = userNamespaceObstacle();
    if (obstacle !== undefined) return { tier: 4, why: obstacle };
  } else if (!holds("CAP_SYS_ADMIN")) return { tier: 3, why: "it lacks CAP_SYS_ADMIN" };
  if (hasOneId()) return { tier: 2 };
  if (state.kind !== "unprivileged") return { tier: state.kind === "root" ? 0 : 1 };
  const ranges = idRanges(state.uid);
  return "obstacle" in ranges ? { tier: 2, why: ranges.obstacle } : { tier: 1 };
}

/**
 * Whether a command can have a /proc of its own: in a user namespace the kernel makes none where parts of the present one
 * are hidden, as in containers, since it would show them (mount_namespaces(7)). Asked once, of files alone.
 */
export function canHaveOwnProc(): boolean {
  ownProc ??= isInitialNamespace() || !hidesProc(readFileSync("/proc/self/mountinfo", "latin1"));
  return ownProc;
}

let ownProc: boolean | undefined;

/** A user who is none yet will be in one when it matters. */
function isInitialNamespace(): boolean {
  if (namespaceState().kind !== "root") return false;
  return readFileSync("/proc/self/uid_map", "latin1").trim().split(/\s+/).join(" ") === "0 0 4294967295";
}

function hidesProc(mountinfo: string): boolean {
  const points = mountinfo.split("\n").map((line) => line.split(" ", 5)[4] ?? "");
  // What systemd mounts there hides nothing.
  return points.some((point) => point.startsWith("/proc/") && !point.startsWith("/proc/sys/fs/binfmt_misc"));
}

/** What user 0 is outside, from a uid_map; 0 in the initial namespace. */
function outsideUser(map: string): number {
  for (const line of map.split("\n")) {
    const [inside, outside] = line.trim().split(/\s+/).map(Number);
    if (inside === 0 && outside !== undefined) return outside;
  }
  return 0;
}

/** How to start this program again. */
export interface SelfCommand {
  execPath: string;
  /** With the program's name first. */
  argv: string[];
  env: Record<string, string | undefined>;
}

/**
 * Replaces this process by the same program, as root of a new user and mount namespace (util-linux `unshare`, ranges of
 * /etc/subuid through newuidmap where they can be mapped), or of those that a keeper holds; with `visits`, of that one's user
 * namespace and a copy of its mounts. Call finishEntering() first thing there. Errors:
 * `unsupported` with what the host lacks; `internal` when called from inside.
 */
export function enterUserNamespace(
  self: SelfCommand,
  options: { keeperPid?: number; visits?: boolean; oneId?: boolean } = {},
): never {
  const state = namespaceState();
  if (state.kind !== "unprivileged")
    throw new CooperError("internal", "Cannot enter a user namespace: already root");
  refuseLoop(state.uid);
  const { keeperPid, visits = false } = options;
  const entrance =
    keeperPid === undefined ? unshareCommand(state, options.oneId) : joinCommand(keeperPid, visits);
  const env = {
    ...self.env,
    [ROOTLESS_UID]: String(state.uid),
    [ROOTLESS_GID]: String(state.gid),
    [ENTERING]: String(process.pid),
    [WORKING_DIRECTORY]: process.cwd(),
    ...(visits ? { [VISITED]: String(keeperPid) } : {}),
  };
  execve(entrance[0]!, [...entrance, self.execPath, ...self.argv.slice(1)], env);
}

/** Ends what enterUserNamespace() began: back to the working directory, no marks left for children. */
export function finishEntering(): void {
  if (process.env[ENTERING] !== String(process.pid)) return;
  refuseLoop(process.geteuid?.() ?? 0);
  const directory = process.env[WORKING_DIRECTORY];
  delete process.env[ENTERING];
  delete process.env[WORKING_DIRECTORY];
  if (process.env[VISITED] !== undefined) visited = Number(process.env[VISITED]);
  delete process.env[VISITED];
  // The keeper's namespace has other mounts: the inherited directory is still one of the old namespace.
  if (directory !== undefined) process.chdir(directory);
}

/** Executing keeps the PID: our own mark on a process that is still not root means that entering did nothing. */
function refuseLoop(uid: number): void {
  if (uid === 0 || process.env[ENTERING] !== String(process.pid)) return;
  throw new CooperError(
    "unsupported",
    `Entering a user namespace left this process as user ${uid}, not root`,
    {
      hint: "Check that unshare is util-linux's and that newuidmap works: `unshare --map-root-user --map-auto id`",
    },
  );
}

/**
 * Replaces this process by a command (or the user's shell) inside a namespace, for `cooper unshare`: its exit status is
 * the caller's. As root the command runs as it is. Errors as enterUserNamespace(), and `not-found`.
 */
export function unshareAndExecute(command: string[], env: Record<string, string | undefined>): never {
  const argv = command.length > 0 ? command : [env.SHELL ?? "/bin/sh"];
  const state = namespaceState();
  if (state.kind === "unprivileged") {
    const entrance = unshareCommand(state);
    const inner = { ...env, [ROOTLESS_UID]: String(state.uid), [ROOTLESS_GID]: String(state.gid) };
    execve(entrance[0]!, [...entrance, "--", ...argv], inner);
  }
  const program = argv[0]!.includes("/") ? argv[0]! : findProgram(argv[0]!);
  if (program === undefined)
    throw new CooperError("not-found", `Cannot find the program ${argv[0]}`, { exitCode: 127 });
  execve(program, argv, env);
}

/** Slave: what the host unmounts must not be kept busy by us. */
const OWN_MOUNTS = ["--mount", "--propagation", "slave"];

/**
 * How a user becomes root: with a range of ids where one can be mapped, else as the only one there is. `oneId`: in any
 * case the latter, for a store whose owners are kept beside the files.
 */
function unshareCommand(user: { uid: number; gid: number }, oneId = false): string[] {
  const unshare = requireProgram("unshare", "util-linux");
  requireKernel(unshare);
  const ranges = oneId ? undefined : idRanges(user.uid);
  if (ranges === undefined || "obstacle" in ranges)
    return [unshare, "--user", "--map-root-user", ...OWN_MOUNTS];
  const isSimple = ranges.uids.length === 1 && ranges.gids.length === 1;
  if (isSimple && hasMapAuto(unshare))
    return [unshare, "--user", "--map-root-user", "--map-auto", ...OWN_MOUNTS];
  startMapper(user.uid, user.gid, ranges);
  return waiting(unshare);
}

function joinCommand(pid: number, visits: boolean): string[] {
  const nsenter = requireProgram("nsenter", "util-linux");
  const join = [nsenter, "--preserve-credentials", "-U", "-m", "-t", String(pid), "--"];
  return visits ? [...join, requireProgram("unshare", "util-linux"), ...OWN_MOUNTS] : join;
}

function requireProgram(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new CooperError("unsupported", `Cannot make a user namespace: there is no ${name}`, {
    hint: `Install the package ${debianPackage} (shadow-utils or util-linux on other distributions)`,
  });
}

/** Why this user cannot have a user namespace; undefined where nothing speaks against it. Asked once. */
export function userNamespaceObstacle(): string | undefined {
  if (asked === undefined) {
    const unshare = findProgram("unshare");
    asked = { obstacle: unshare === undefined ? "there is no unshare" : kernelObstacle(unshare)?.reason };
  }
  return asked.obstacle;
}

let asked: { obstacle: string | undefined } | undefined;

function requireKernel(unshare: string): void {
  const found = kernelObstacle(unshare);
  if (found === undefined) return;
  throw new CooperError("unsupported", `Cannot make a user namespace: ${found.reason}`, {
    hint: found.remedy,
  });
}

/** Settings are read; only where a filter or AppArmor may be in the way, trying tells. */
function kernelObstacle(unshare: string): { reason: string; remedy: string } | undefined {
  const setting = (name: string): string | undefined => {
    try {
      return readFileSync(`/proc/sys/${name}`, "latin1").trim();
    } catch {
      return undefined;
    }
  };
  const forbidden = (reason: string, remedy: string) => ({ reason, remedy: `As root: ${remedy}` });
  if (setting("user/max_user_namespaces") === "0")
    return forbidden("user.max_user_namespaces is 0", "sysctl user.max_user_namespaces=15000");
  if (setting("kernel/unprivileged_userns_clone") === "0") {
    return forbidden("kernel.unprivileged_userns_clone is 0", "sysctl kernel.unprivileged_userns_clone=1");
  }
  const isRestricted = setting("kernel/apparmor_restrict_unprivileged_userns") === "1";
  if (!isRestricted && !isFiltered()) return undefined;
  const trial = Bun.spawnSync([unshare, "--user", "--map-root-user", "--mount", "true"], {
    stdout: "ignore",
    stderr: "ignore",
  });
  if (trial.exitCode === 0) return undefined;
  if (!isRestricted) {
    return {
      reason: "the seccomp filter in force refuses user namespaces",
      remedy: "In an outer container, use a seccomp profile that allows unshare and mount",
    };
  }
  return forbidden(
    "AppArmor forbids user namespaces",
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with `userns,`",
  );
}

/** Whether a seccomp filter is in force, as in every container. */
function isFiltered(): boolean {
  try {
    return /^Seccomp:\s*2$/m.test(readFileSync("/proc/self/status", "latin1"));
  } catch {
    return false;
  }
}
