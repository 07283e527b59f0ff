/** Who we are to the kernel, and how an ordinary user becomes root of a user namespace. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { execve } from "../base/libc.ts";
import { findProgram } from "../base/process.ts";

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

/** Which of the three this process is: by its effective user and /proc/self/uid_map; the environment only confirms. */
export function namespaceState(): NamespaceState {
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0) return { kind: "unprivileged", uid, gid: process.getegid?.() ?? 0 };
  const outside = outsideUser(readFileSync("/proc/self/uid_map", "latin1"));
  // Without our mark it is somebody else's namespace, such as a rootless container: there we are root.
  if (outside !== 0 && process.env[ROOTLESS_UID] === String(outside)) return { kind: "mapped", uid: outside };
  return { kind: "root" };
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
 * /etc/subuid through newuidmap), or of those that a keeper holds. Call finishEntering() first thing there. Errors:
 * `unsupported` with what the host lacks; `internal` when called from inside.
 */
export function enterUserNamespace(self: SelfCommand, options: { keeperPid?: number } = {}): never {
  const state = namespaceState();
  if (state.kind !== "unprivileged")
    throw new CooperError("internal", "Cannot enter a user namespace: already root");
  refuseLoop(state.uid);
  const entrance = options.keeperPid === undefined ? unshareCommand(state) : joinCommand(options.keeperPid);
  const env = {
    ...self.env,
    [ROOTLESS_UID]: String(state.uid),
    [ROOTLESS_GID]: String(state.gid),
    [ENTERING]: String(process.pid),
    [WORKING_DIRECTORY]: process.cwd(),
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

function unshareCommand(user: { uid: number }): string[] {
  const unshare = requireProgram("unshare", "util-linux");
  requireProgram("newuidmap", "uidmap");
  requireProgram("newgidmap", "uidmap");
  requireRange("/etc/subuid", user.uid, "--add-subuids");
  requireRange("/etc/subgid", user.uid, "--add-subgids");
  requireKernel(unshare);
  // Slave: what the host unmounts must not be kept busy by us.
  return [unshare, "--user", "--map-root-user", "--map-auto", "--mount", "--propagation", "slave"];
}

function joinCommand(pid: number): string[] {
  const nsenter = requireProgram("nsenter", "util-linux");
  return [nsenter, "--preserve-credentials", "-U", "-m", "-t", String(pid), "--"];
}

function requireProgram(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new CooperError("unsupported", `Cannot make a user namespace: there is no ${name}`, {
    hint: `Install the package ${debianPackage} (shadow-utils or util-linux on other distributions)`,
  });
}

/** Login name of a user; Bun's userInfo() takes $USER's word for it. */
function userName(uid: number): string {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , id] = line.split(":");
    if (id === String(uid) && name !== undefined) return name;
  }
  // Directory services answer to id(1).
  const { exitCode, stdout } = Bun.spawnSync(["id", "-un", String(uid)], { stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : String(uid);
}

function requireRange(file: string, uid: number, flag: string): void {
  const user = userName(uid);
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // No file, no ranges.
  }
  const owners = new Set(text.split("\n").map((line) => line.split(":")[0]));
  if (owners.has(user) || owners.has(String(uid))) return;
  throw new CooperError(
    "unsupported",
    `Cannot make a user namespace: ${file} gives the user ${user} no range of ids`,
    {
      hint: `As root: usermod ${flag} 100000-165535 ${user}`,
    },
  );
}

function requireKernel(unshare: string): void {
  const setting = (name: string): string | undefined => {
    try {
      return readFileSync(`/proc/sys/${name}`, "latin1").trim();
    } catch {
      return undefined;
    }
  };
  if (setting("user/max_user_namespaces") === "0")
    throw forbidden("user.max_user_namespaces is 0", "sysctl user.max_user_namespaces=15000");
  if (setting("kernel/unprivileged_userns_clone") === "0") {
    throw forbidden("kernel.unprivileged_userns_clone is 0", "sysctl kernel.unprivileged_userns_clone=1");
  }
  if (setting("kernel/apparmor_restrict_unprivileged_userns") !== "1") return;
  // AppArmor may still allow it for this program: only trying tells.
  const trial = Bun.spawnSync([unshare, "--user", "--map-root-user", "--mount", "true"], {
    stdout: "ignore",
    stderr: "ignore",
  });
  if (trial.exitCode === 0) return;
  throw forbidden(
    "AppArmor forbids it",
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with `userns,`",
  );
}

function forbidden(reason: string, remedy: string): CooperError {
  return new CooperError("unsupported", `Cannot make a user namespace: ${reason}`, {
    hint: `As root: ${remedy}`,
  });
}
