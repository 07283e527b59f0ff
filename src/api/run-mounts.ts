/** The mounts of a run of a working container: what each becomes in this process's mount namespace. */
import type { Store } from "../api-types.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { statusOf } from "../base/path-bytes.ts";
import {
  beginCache,
  cacheIdentity,
  type CacheMount,
  fillCache,
  takeCache,
} from "../container/cache-mounts.ts";
import { parseMount, type RunMountOp } from "../container/mount-text.ts";
import { readSecret, type SecretMount, secretMount, type SecretSource } from "../container/secret.ts";
import { snapshotter, treeOf, type WorkingContainer } from "../container/working-container.ts";
import { imageBind, writableCopy } from "../container/writable-copy.ts";
import { imageKey } from "../plan/cache-key.ts";
import type { Origin } from "../plan/types.ts";
import type { CommandIds } from "../sandbox/command-ids.ts";
import type { RunMount } from "../sandbox/types.ts";
import { mountNamespaceFor } from "./container-access.ts";
import { imageContainer } from "./image-container.ts";
import { filesOf } from "./store.ts";

/** Mounts, written as for --mount, where their secrets are, and the ids of the command that is to have them. */
export interface WantedMounts {
  texts: readonly string[];
  secrets: readonly SecretSource[];
  ids: CommandIds | undefined;
}

export interface OpenMounts {
  mounts: RunMount[];
  /** Secrets asked for as variables, `KEY=value`. */
  env: string[];
  /** Values of the secrets that are mounted, by id. */
  secrets: Map<string, Buffer>;
  close(): void;
}

/** Prepares mounts, pulling the images that they name. Throws as parseMount() does. */
export async function openMounts(
  store: Store,
  wanted: WantedMounts,
  signal?: AbortSignal,
): Promise<OpenMounts> {
  const undo: (() => void)[] = [];
  const close = () => {
    for (const action of undo.splice(0).reverse()) action();
  };
  const open: OpenMounts = { mounts: [], env: [], secrets: new Map(), close };
  try {
    for (const op of wanted.texts.map(parseMount)) {
      if (op.type === "secret") openSecret(store, op, wanted.secrets, open, undo);
      else open.mounts.push(await openMount(store, op, wanted.ids, undo, signal));
    }
    return open;
  } catch (error) {
    close();
    throw error;
  }
}

function openSecret(
  store: Store,
  wanted: SecretMount,
  secrets: readonly SecretSource[],
  open: OpenMounts,
  undo: (() => void)[],
): void {
  const source = secrets.find(({ id }) => id === wanted.id);
  const value = open.secrets.get(wanted.id) ?? (source === undefined ? undefined : readSecret(source));
  if (value !== undefined) open.secrets.set(wanted.id, value);
  mountNamespaceFor(store.driver);
  const { mounts, env } = secretMount(filesOf(store), wanted, value, undo);
  open.mounts.push(...mounts);
  open.env.push(...env);
}

async function openMount(
  store: Store,
  wanted: Exclude<RunMountOp, SecretMount>,
  ids: CommandIds | undefined,
  undo: (() => void)[],
  signal: AbortSignal | undefined,
): Promise<RunMount> {
  const { target } = wanted;
  switch (wanted.type) {
    case "bind": {
      const source = await boundPath(store, wanted, undo, signal);
      const { readOnly } = wanted;
      if (wanted.from.kind === "image")
        return imageBind(filesOf(store), { source, target, readOnly }, ids, undo);
      if (readOnly) return { type: "bind", source, target, readOnly };
      mountNamespaceFor(store.driver);
      return { type: "bind", source: writableCopy(filesOf(store), source, undo), target, lend: true };
    }
    case "cache":
      return await openCache(store, wanted, undo, signal);
    case "tmpfs": {
      const { size, ...rest } = wanted;
      return { ...rest, ...(size === undefined ? {} : { size }) };
    }
  }
}

/** Host path of what a bind mount shows. */
async function boundPath(
  store: Store,
  { from, source }: { from: Origin; source: string },
  undo: (() => void)[],
  signal: AbortSignal | undefined,
): Promise<string> {
  if (from.kind !== "image") return source;
  const { root } = await imageRoot(store, from, undo, signal);
  const path = resolveInRoot(root, source);
  if (statusOf(path) === undefined)
    throw new CooperError("not-found", `The image ${from.reference} has no ${source} to be mounted`);
  return path;
}

async function openCache(
  store: Store,
  wanted: CacheMount,
  undo: (() => void)[],
  signal: AbortSignal | undefined,
): Promise<RunMount> {
  const files = filesOf(store);
  const { from, source, sharing, target, readOnly } = wanted;
  const origin = from === undefined ? undefined : await imageRoot(store, from, undo, signal);
  const identity = cacheIdentity(wanted, origin?.key);
  const { directory, release } = await takeCache(files, { identity, sharing }, signal);
  undo.push(release);
  await fillCache(files, directory, async (filling) => {
    beginCache(filling, wanted, origin?.root);
    return undefined;
  });
  const path = origin === undefined ? resolveInRoot(directory, source) : directory;
  if (statusOf(path) === undefined)
    throw new CooperError("not-found", `The cache "${wanted.id}" has no ${source} to be mounted`);
  return { type: "bind", source: path, target, readOnly, lend: true, ofImage: true };
}

/** An image's files as a directory of this mount namespace, and what names them in keys. */
async function imageRoot(
  store: Store,
  from: Origin,
  undo: (() => void)[],
  signal: AbortSignal | undefined,
): Promise<{ root: string; key: Digest }> {
  const container = await originImage(store, from, signal);
  mountNamespaceFor(container.driver);
  const tree = treeOf(filesOf(store), container);
  const root = snapshotter(container).mount(tree);
  undo.push(() => snapshotter(container).unmount(tree));
  return { root, key: originImageKey(container) };
}

async function originImage(store: Store, from: Origin, signal?: AbortSignal): Promise<WorkingContainer> {
  if (from.kind !== "image") throw new CooperError("internal", `A run takes no files of a ${from.kind}`);
  return await imageContainer(store, from.reference, signal === undefined ? {} : { signal });
}

/** What identifies all files of an image in keys of the build cache, as a Dockerfile's steps have it (build/origins.ts). */
const originImageKey = ({ image }: WorkingContainer): Digest => digestOf(`origin ${imageKey(image)}`);

/** The key of the image that a mount is from; undefined for one that is from nowhere. */
export async function imageInput(
  store: Store,
  from: Origin | undefined,
  signal?: AbortSignal,
): Promise<Digest | undefined> {
  if (from?.kind !== "image") return undefined;
  return originImageKey(await originImage(store, from, signal));
}
