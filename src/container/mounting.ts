/**
 * Mounting a container for its user. As root that is a mount of the host. An ordinary user's mount lives in a user and
 * mount namespace that a keeper process holds; the user reaches it through /proc/KEEPER/root, and commands that touch
 * the container join that namespace (see enterFor in index.ts).
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { type Keeper, keeperAlive, startKeeper, stopKeeper } from "../sandbox/keeper.ts";
import { leaveLoginSession } from "../sandbox/login-session.ts";
import { namespaceState, visitedKeeper } from "../sandbox/user-namespace.ts";
import { randomId } from "../store/random-id.ts";
import type { StoreFiles } from "../store/store.ts";
import { saveContainer, snapshotter, treeOf, type WorkingContainer } from "./working-container.ts";

const keepersOf = (runRoot: string): string => join(runRoot, "keepers");

/** The files of a container's keepers: each says which process it is, and is what that process lives as long as. */
function keeperFiles(runRoot: string, id: string): string[] {
  const directory = keepersOf(runRoot);
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.startsWith(`${id}.`));
  return names.map((name) => join(directory, name));
}

/** The keeper of a container, if it lives. */
export function findKeeper(runRoot: string, id: string): Keeper | undefined {
  for (const file of keeperFiles(runRoot, id)) {
    const keeper = readKeeper(file);
    if (keeper === undefined) continue;
    if (keeperAlive(keeper)) return keeper;
    rmSync(file, { force: true });
  }
  return undefined;
}

/** Undefined while its process is being started, or when whoever started it was killed then. */
function readKeeper(file: string): Keeper | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Keeper;
  } catch {
    return undefined;
  }
}

/** Starts a container's only keeper; the caller holds the container's lock. */
function keep(runRoot: string, id: string): Keeper {
  for (const file of keeperFiles(runRoot, id)) rmSync(file, { force: true });
  mkdirSync(keepersOf(runRoot), { recursive: true, mode: 0o700 });
  const file = join(keepersOf(runRoot), `${id}.${randomId()}`);
  writeFileSync(file, "", { mode: 0o600 });
  const keeper = startKeeper(file);
  writeFileSync(file, JSON.stringify(keeper));
  leaveLoginSession(keeper.pid);
  return keeper;
}

/** Whether this process sees what the keeper's user sees. */
function isInside(keeper: Keeper): boolean {
  if (keeper.pid === visitedKeeper()) return true;
  try {
    return readlinkSync("/proc/self/ns/mnt") === readlinkSync(`/proc/${keeper.pid}/ns/mnt`);
  } catch {
    return false;
  }
}

/** Whether the container is not mounted for its user, or where this process reaches it. */
export function isInReach(runRoot: string, container: WorkingContainer): boolean {
  const keeper = findKeeper(runRoot, container.id);
  return keeper === undefined || isInside(keeper);
}

/** Throws `in-use` when the container is mounted where this process cannot reach it. */
export function requireReach(runRoot: string, container: WorkingContainer): void {
  if (isInReach(runRoot, container)) return;
  throw new CooperError(
    "in-use",
    `Container ${container.name ?? container.id} is mounted in another namespace`,
    {
      hint: "Call enterUserNamespace({ container }) at the start of the program",
    },
  );
}

/**
 * Mounts it for the user, who finds it at the path returned until unmountForUser(). A process that entered a namespace of
 * its own before somebody else mounted it gets that one's path: a second overlay on the same directories would break both.
 */
export function mountForUser(store: StoreFiles, runRoot: string, container: WorkingContainer): string {
  const tree = treeOf(store, container);
  const keeper = findKeeper(runRoot, container.id);
  if (keeper !== undefined && !isInside(keeper)) return keptPath(keeper, snapshotter(container).path(tree));
  const path = snapshotter(container).mount(tree);
  if (!snapshotter(container).isMounted(tree)) {
    container.shown = true;
    saveContainer(store, container);
    return path;
  }
  if (namespaceState().kind === "root") return path;
  if (keeper !== undefined) return keptPath(keeper, path);
  return keptPath(keep(runRoot, container.id), path);
}

const keptPath = ({ pid }: Keeper, path: string): string => `/proc/${pid}/root${path}`;

/** Where it is mounted for its user, if it is. */
export function mountPointOf(
  store: StoreFiles,
  runRoot: string,
  container: WorkingContainer,
): string | undefined {
  const tree = treeOf(store, container);
  const keeper = findKeeper(runRoot, container.id);
  if (keeper !== undefined) return keptPath(keeper, snapshotter(container).path(tree));
  const open = container.shown || snapshotter(container).isMounted(tree);
  return open ? snapshotter(container).path(tree) : undefined;
}

/** Whether the user may still be writing into it. */
export function isMountedForUser(store: StoreFiles, container: WorkingContainer): boolean {
  return container.shown || snapshotter(container).isMounted(treeOf(store, container));
}

/** Ends the user's mount; false when there was none. Throws `in-use` when a process still uses it. */
export function unmountForUser(store: StoreFiles, runRoot: string, container: WorkingContainer): boolean {
  const tree = treeOf(store, container);
  const mounted = isMountedForUser(store, container);
  snapshotter(container).unmount(tree);
  if (container.shown) {
    container.shown = false;
    saveContainer(store, container);
  }
  return endKeeper(runRoot, container.id) || mounted;
}

/** Ends the keeper, and with it the mounts of its namespace. */
export function endKeeper(runRoot: string, id: string): boolean {
  const keeper = findKeeper(runRoot, id);
  if (keeper !== undefined) stopKeeper(keeper);
  for (const file of keeperFiles(runRoot, id)) rmSync(file, { force: true });
  return keeper !== undefined;
}
