/** Copying into a working container: from the host, the network, another container, or an image. */
import type { CopyOptions, RegistryOptions, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import { copyIntoContainer } from "../container/copy-in.ts";
import { requireReach } from "../container/mounting.ts";
import { findContainer, type WorkingContainer } from "../container/working-container.ts";
import { tidied, withLock, withRoot } from "./container-access.ts";
import { imageContainer } from "./image-container.ts";
import { filesOf } from "./store.ts";

/** Does what Container.copy() and, with `add`, Container.add() say. */
export async function copyIntoNamed(
  store: Store,
  id: string,
  sources: string[],
  destination: string | undefined,
  options: CopyOptions,
  add: boolean,
): Promise<string> {
  const { from: named, signal, link, ...rest } = options;
  const copyInto =
    link === true ? (await import("../container/linked-layer.ts")).copyAsLayer : copyIntoContainer;
  const source = named === undefined ? undefined : await findCopySource(store, named, options);
  return await withBoth(store, id, source, signal, async (untidy) => {
    const container = await tidied(store, untidy);
    return await withRoot(store, container, "pinned", (root) =>
      withSourceRoot(store, source, { id, root }, (sourceRoot) =>
        copyInto(filesOf(store), container, root, {
          ...rest,
          ...(sourceRoot === undefined ? {} : { sourceRoot }),
          ...(signal === undefined ? {} : { signal }),
          sources,
          destination,
          add,
        }),
      ),
    );
  });
}

/** Files to copy from: those of another container, or of an image. */
type CopySource = { kind: "container"; id: string } | { kind: "image"; container: WorkingContainer };

/** Finds a container by that name, else an image, which is brought if it must. */
async function findCopySource(
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
  return { kind: "image", container: await imageContainer(store, text, options) };
}

/** Holds the locks of both containers; always in the same order, so that two that copy from each other do not wait forever. */
async function withBoth<T>(
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
async function withSourceRoot<T>(
  store: Store,
  source: CopySource | undefined,
  own: { id: string; root: string },
  action: (root: string | undefined) => Promise<T>,
): Promise<T> {
  if (source === undefined) return await action(undefined);
  if (source.kind === "container" && source.id === own.id) return await action(own.root);
  const container = source.kind === "image" ? source.container : findContainer(filesOf(store), source.id);
  requireReachable(store, container);
  return await withRoot(store, container, "pinned", action);
}

/** One container's mounts can be joined or visited: where both are mounted, those of the one that is copied into. */
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
