/** How the API gets at a container: its lock, and its mounted files. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "../api-types.ts";
import { requireReach } from "../container/mounting.ts";
import {
  findContainer,
  mountPointNotes,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { privateMountNamespace } from "../sandbox/mount-namespace.ts";
import { removeNotedMountPoints } from "../sandbox/mountpoint-notes.ts";
import { lockFile } from "../store/locks.ts";
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

/** Runs `action` on the container's mounted root, and unmounts it again unless its user has it mounted. */
export async function withRoot<T>(
  store: Store,
  container: WorkingContainer,
  action: (root: string) => Promise<T>,
): Promise<T> {
  requireReach(store.runRoot, container);
  privateMountNamespace();
  const tree = treeOf(filesOf(store), container);
  const wasMounted = snapshotter(container).isMounted(tree);
  const root = snapshotter(container).mount(tree);
  try {
    return await action(root);
  } finally {
    if (!wasMounted) snapshotter(container).unmount(tree);
  }
}

/** Takes out of a container what a run that was killed could not. */
export async function tidied(store: Store, container: WorkingContainer): Promise<WorkingContainer> {
  const notes = mountPointNotes(container);
  if (existsSync(notes))
    await withRoot(store, container, async (root) => removeNotedMountPoints(notes, root));
  return container;
}
