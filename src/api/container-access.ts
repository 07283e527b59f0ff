/** How the API gets at a container: its lock, and its mounted files. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "../api-types.ts";
import { canPinRoots } from "../archive/pinned-root.ts";
import { CooperError } from "../base/errors.ts";
import { requireReach } from "../container/mounting.ts";
import {
  findContainer,
  mountPointNotes,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { privateMountNamespace, tryPrivateMountNamespace } from "../sandbox/mount-namespace.ts";
import { processesInside } from "../sandbox/processes-inside.ts";
import { removeNotedMountPoints } from "../sandbox/mountpoint-notes.ts";
import { lockFile } from "../store/locks.ts";
import type { DriverName, StoreFiles } from "../store/store.ts";
import { filesOf } from "./store.ts";

/** Takes the container's lock and reads its state behind it. */
export async function withLock<T>(
  store: Store,
  id: string,
  signal: AbortSignal | undefined,
  action: (container: WorkingContainer) => Promise<T> | T,
): Promise<T> {
  const files = filesOf(store);
  // Before the lock file is made: a container that does not exist must not get a directory.
  findContainer(files, id);
  using _lock = await lockFile(join(store.root, "containers", id, "lock"), "exclusive", signal);
  return await action(findContainer(files, id));
}

/** A namespace for the mounts to come, which a driver that mounts cannot do without. */
export function mountNamespaceFor(driver: DriverName): void {
  if (driver === "overlay") privateMountNamespace();
  else tryPrivateMountNamespace();
}

/**
 * Runs `action` on the container's mounted root, and unmounts it again unless its user has it mounted. Commands of one
 * container wait for each other; what its user starts in a mounted one does not. So an action either changes files only
 * through pinned directories (archive/pinned-root.ts, "pinned"), or is refused while a process runs in there.
 */
export async function withRoot<T>(
  store: Store,
  container: WorkingContainer,
  lookUps: "pinned" | "by-name",
  action: (root: string, wasMounted: boolean) => Promise<T>,
): Promise<T> {
  requireReach(store.runRoot, container);
  mountNamespaceFor(container.driver);
  const tree = treeOf(filesOf(store), container);
  const wasMounted = snapshotter(container).isMounted(tree);
  const root = snapshotter(container).mount(tree);
  const mayBeShared = wasMounted || container.shown || container.driver === "copy";
  if (mayBeShared && !(lookUps === "pinned" && canPinRoots())) requireNobodyInside(container, root);
  try {
    return await action(root, wasMounted);
  } finally {
    if (!wasMounted) snapshotter(container).unmount(tree);
  }
}

/** A process that runs in the root could put a link in the way between two names of a path. */
function requireNobodyInside(container: WorkingContainer, root: string): void {
  const [inside] = processesInside(root);
  if (inside === undefined) return;
  throw new CooperError(
    "in-use",
    `Container ${container.name ?? container.id} is in use: process ${inside} runs in it`,
    {
      hint: "wait for it, or end it: files are not changed while a process could lead the change elsewhere",
    },
  );
}

/** Takes out of a container what a run that was killed could not. */
export async function tidied(store: Store, container: WorkingContainer): Promise<WorkingContainer> {
  if (existsSync(mountPointNotes(container)))
    await withRoot(store, container, "by-name", async (root) => tidy(filesOf(store), container, root));
  return container;
}

/** The same with the container's root mounted. */
export function tidy(files: StoreFiles, container: WorkingContainer, root: string): void {
  const restored = removeNotedMountPoints(mountPointNotes(container), root);
  snapshotter(container).accept(treeOf(files, container), restored);
}
