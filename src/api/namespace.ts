/** How an ordinary user's process becomes root of a user namespace, and the one in which a container is mounted. */
import { findKeeper } from "../container/mounting.ts";
import { CooperError } from "../base/errors.ts";
import { haveOneId } from "../base/process-ids.ts";
import {
  enterUserNamespace as enter,
  finishEntering,
  namespaceState,
  unshareAndExecute,
  userNamespaceObstacle,
} from "../sandbox/user-namespace.ts";
import { findContainer } from "../container/working-container.ts";
import { keepsOwnersInNotes } from "../store/owner-notes.ts";
import { openStoreFiles } from "../store/store.ts";
import { storePaths } from "./store.ts";

/**
 * Makes this process root in a user namespace of its own when it is not root already, by executing the program again
 * there (this call then never returns); does nothing where the process is privileged. Where user namespaces are refused
 * the process stays what it is, and everything works but running commands. Call it first in a program that an ordinary
 * user runs. With `container`, joins the namespace in which that container is mounted, if it is; else with `source`, a
 * container whose files are to be read, gets a copy of the mounts that are there.
 */
export function enterUserNamespace(
  options: { root?: string; runRoot?: string; container?: string; source?: string } = {},
): void {
  finishEntering();
  if (namespaceState().kind !== "unprivileged") return;
  if (userNamespaceObstacle() !== undefined) {
    haveOneId();
    return;
  }
  const { container, source } = options;
  const joined = container === undefined ? undefined : keeperOf(container, options);
  const visited = joined !== undefined || source === undefined ? undefined : keeperOf(source, options);
  const keeperPid = joined ?? visited;
  const [execPath, ...rest] = selfCommand();
  const self = {
    execPath: execPath!,
    argv: [execPath!, ...rest, ...process.argv.slice(2)],
    env: process.env,
  };
  // A store whose owners are noted beside its files is read by one id only.
  const oneId = keepsOwnersInNotes(storePaths(options).root);
  enter(self, keeperPid === undefined ? { oneId } : { keeperPid, visits: visited !== undefined });
}

/** The program that runs now: the compiled file, or the runtime and its script. */
export function selfCommand(): string[] {
  const script = process.argv[1];
  const compiled = script === undefined || script.startsWith("/$bunfs/");
  return compiled ? [process.execPath] : [process.execPath, script];
}

function keeperOf(name: string, options: { root?: string; runRoot?: string }): number | undefined {
  const { root, runRoot } = storePaths(options);
  const store = openStoreFiles(root);
  try {
    return findKeeper(runRoot, findContainer(store, name).id)?.pid;
  } catch (error) {
    // A container that does not exist is reported by the command itself.
    if (error instanceof CooperError && error.code === "not-found") return undefined;
    throw error;
  } finally {
    store[Symbol.dispose]();
  }
}

/** Replaces this process by a command (or the user's shell) in a user namespace, for `cooper unshare`. */
export function executeUnshared(
  command: string[],
  env: Record<string, string | undefined> = process.env,
): never {
  unshareAndExecute(command, env);
}
