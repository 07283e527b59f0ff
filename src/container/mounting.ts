/**
 * Mounting a container for its user. As root that is a mount of the host. An ordinary user's mount lives in a user and
 * mount namespace that a keeper process holds; the user reaches it through /proc/KEEPER/root, and commands that touch
 * the container join that namespace (see enterFor in index.ts).
 */
import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { type Keeper, keeperAlive, startKeeper, stopKeeper } from "../sandbox/keeper.ts";
import { namespaceState } from "../sandbox/user-namespace.ts";
import type { StoreFiles } from "../store/store.ts";
import { saveContainer, snapshotter, treeOf, type WorkingContainer } from "./working-container.ts";

function keeperFile(runRoot: string, id: string): string {
  return join(runRoot, "keepers", `${id}.json`);
}

/** The keeper of a container, if it lives. */
export function findKeeper(runRoot: string, id: string): Keeper | undefined {
  let keeper: Keeper;
  try {
    keeper = JSON.parse(readFileSync(keeperFile(runRoot, id), "utf8")) as Keeper;
  } catch {
    return undefined;
  }
  if (keeperAlive(keeper)) return keeper;
  rmSync(keeperFile(runRoot, id), { force: true });
  return undefined;
}

function saveKeeper(runRoot: string, id: string, keeper: Keeper): void {
  mkdirSync(join(runRoot, "keepers"), { recursive: true, mode: 0o700 });
  writeFileSync(keeperFile(runRoot, id), JSON.stringify(keeper), { mode: 0o600 });
}

/** Whether this process sees what the keeper's user sees. */
function isInside(keeper: Keeper): boolean {
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
  const started = startKeeper();
  saveKeeper(runRoot, container.id, started);
  return keptPath(started, path);
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
  if (keeper === undefined) return false;
  stopKeeper(keeper);
  rmSync(keeperFile(runRoot, id), { force: true });
  return true;
}
