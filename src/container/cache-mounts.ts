/** Directories that commands keep from one time to the next (--mount=type=cache), in the store's cache-mounts/. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { copyTree } from "../archive/copy-tree.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { type Digest, digestHex, digestOf } from "../base/digest.ts";
import { fileOwnership, giveAway } from "../base/process-ids.ts";
import type { MountOp, Origin } from "../plan/types.ts";
import { lockFile, tryLock } from "../store/locks.ts";
import type { StoreFiles } from "../store/store.ts";

export type CacheMount = Extract<MountOp, { type: "cache" }>;

/** A cache that nobody takes away meanwhile. */
export interface TakenCache {
  /** In cache-mounts/. */
  name: string;
  directory: string;
  /** Not one that was taken because others of the id were in use. */
  isFirst: boolean;
  release(): void;
}

/** As in BuildKit, a cache that begins with files is another one than the cache of the same id that begins empty. */
export function cacheIdentity({ id, source, mode, uid, gid }: CacheMount, origin?: Digest | Origin): string {
  if (origin !== undefined) return JSON.stringify([id, origin, source]);
  if (uid === 0 && gid === 0 && mode === 0o755) return id;
  return JSON.stringify([id, uid, gid, mode]);
}

/** A private cache that a command uses already is left to it: the next one of the id that is free is taken. */
export async function takeCache(
  store: StoreFiles,
  { identity, sharing }: { identity: string; sharing: CacheMount["sharing"] },
  signal?: AbortSignal,
): Promise<TakenCache> {
  const parent = join(store.root, "cache-mounts");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const id = digestHex(digestOf(identity)).slice(0, 32);
  const taken = (name: string, lock: Disposable): TakenCache => ({
    name,
    directory: join(parent, name),
    isFirst: name === id,
    release: () => lock[Symbol.dispose](),
  });
  if (sharing !== "private") {
    const mode = sharing === "shared" ? "shared" : "exclusive";
    return taken(id, await lockFile(join(parent, `${id}.lock`), mode, signal));
  }
  for (let number = 0; ; number++) {
    const name = number === 0 ? id : `${id}.${number}`;
    const lock = tryLock(join(parent, `${name}.lock`), "exclusive");
    if (lock !== undefined) return taken(name, lock);
  }
}

/**
 * Has `fill` make a cache's directory that is not there yet; what it returns is called once the directory is in its place.
 * Filled beside and renamed: several commands may begin to share a cache at once, and any may be killed.
 */
export async function fillCache(
  store: StoreFiles,
  directory: string,
  fill: (filling: string) => Promise<(() => void) | undefined>,
): Promise<void> {
  if (existsSync(directory)) return;
  const filling = store.session.path("cache");
  const done = await fill(filling);
  try {
    renameSync(filling, directory);
    done?.();
  } catch (error) {
    if (!existsSync(directory)) throw error;
    rmSync(filling, { recursive: true, force: true });
  }
}

/** A new cache: copies of what is below `root`, or nothing. */
export function beginCache(filling: string, wanted: CacheMount, root?: string): void {
  if (root !== undefined) {
    copyTree(resolveInRoot(root, wanted.source), filling, { ownership: fileOwnership() });
    return;
  }
  mkdirSync(filling, { mode: wanted.mode });
  ownCache(filling, wanted);
}

/** Gives a cache's directory the mode and owner that are asked for. */
export function ownCache(filling: string, wanted: CacheMount): void {
  chmodSync(filling, wanted.mode);
  giveAway(filling, wanted);
}
