/** How the API gets at a container: its lock, its mounted files, and the files that it is to copy from. */
import { join } from "node:path";
import type { RegistryOptions, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { containerBase } from "../container/container-base.ts";
import { requireReach } from "../container/mounting.ts";
import {
  createBuildContainer,
  findContainer,
  snapshotter,
  treeOf,
  type WorkingContainer,
} from "../container/working-container.ts";
import { obtainImage } from "../image/move-image.ts";
import { privateMountNamespace } from "../sandbox/mount-namespace.ts";
import { readConfig } from "../store/images.ts";
import { lockFile } from "../store/locks.ts";
import { registrySettings } from "./registry-options.ts";
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

/** Files to copy from: those of another container, or of an image. */
export type CopySource = { kind: "container"; id: string } | { kind: "image"; container: WorkingContainer };

/** Finds a container by that name, else an image, which is brought if it must. */
export async function findCopySource(
  store: Store,
  text: string,
  options: RegistryOptions & { signal?: AbortSignal },
): Promise<CopySource> {
  const files = filesOf(store);
  try {
    return { kind: "container", id: findContainer(files, text).id };
  } catch (error) {
    if (!(error instanceof CooperError) || error.code !== "not-found") throw error;
  }
  const image = await obtainImage(files, text, "missing", {
    platform: undefined,
    registry: registrySettings(options),
    onEvent: undefined,
    signal: options.signal,
  });
  const parts = {
    driver: store.driver,
    base: containerBase(files, image),
    frozen: [],
    image: readConfig(files, image),
    annotations: {},
    run: {},
  };
  // It goes with the session.
  return { kind: "image", container: createBuildContainer(files, parts) };
}

/** Holds the locks of both containers; always in the same order, so that two that copy from each other do not wait forever. */
export async function withBoth<T>(
  store: Store,
  id: string,
  source: CopySource | undefined,
  signal: AbortSignal | undefined,
  action: (container: WorkingContainer) => Promise<T>,
): Promise<T> {
  if (source?.kind !== "container" || source.id === id) return await withLock(store, id, signal, action);
  const { id: other } = source;
  if (other < id) return await withLock(store, other, signal, () => withLock(store, id, signal, action));
  return await withLock(store, id, signal, (own) => withLock(store, other, signal, () => action(own)));
}

/** Runs `action` on the root that a source has; `own` is that of the container that is copied into. */
export async function withSourceRoot<T>(
  store: Store,
  source: CopySource | undefined,
  own: { id: string; root: string },
  action: (root: string | undefined) => Promise<T>,
): Promise<T> {
  if (source === undefined) return await action(undefined);
  if (source.kind === "container" && source.id === own.id) return await action(own.root);
  const container = source.kind === "image" ? source.container : findContainer(filesOf(store), source.id);
  requireReachable(store, container);
  return await withRoot(store, container, action);
}

/** Only one container's mount can be joined, and that is the one that is copied into. */
function requireReachable(store: Store, container: WorkingContainer): void {
  try {
    requireReach(store.runRoot, container);
  } catch (cause) {
    throw new CooperError("in-use", `Cannot copy from ${container.name}: it is mounted`, {
      cause,
      hint: `unmount it first: cooper umount ${container.name}; or copy from the path that mount printed`,
    });
  }
}
