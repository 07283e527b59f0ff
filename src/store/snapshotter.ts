/**
 * Snapshots are what containers are made of: immutable directories in overlayfs's format (whiteouts are character
 * devices 0:0, opaque directories carry user.overlay.opaque), stacked lowest first.
 *
 * Life of a writable tree: prepare → mount → (write) → unmount → freeze → mount … → remove. After freeze() the tree
 * looks as before, but what was written since prepare (or the last freeze) is a snapshot of its own, never written
 * again. Both drivers pass one suite (test/store/snapshotter-suite.ts).
 */
import type { MappedView } from "../base/mapped-mounts.ts";

/** A writable tree on top of snapshots. Plain data, kept in the container's state. */
export interface WritableTree {
  /** The driver's own directory. */
  directory: string;
  /** Directories of the snapshots below, lowest first. */
  lowers: string[];
}

export interface Snapshotter {
  readonly name: "overlay" | "copy";
  /** Makes the tree's directory. */
  prepare(tree: WritableTree): void;
  /** Makes the tree usable and returns its root. Idempotent. */
  mount(tree: WritableTree): string;
  /**
   * Shows a tree that mount() made usable under the ids of a user namespace, in this mount namespace, until close(). It is at
   * its usual path only before and after. Errors: `in-use` when processes use it there, `unsupported`.
   */
  mountMapped(tree: WritableTree, view: MappedView): { root: string; close(): void };
  /** Path that mount() gives, whether mounted or not. */
  path(tree: WritableTree): string;
  /** Whether mount() left something that unmount() must undo. */
  isMounted(tree: WritableTree): boolean;
  /** Idempotent. Throws `in-use` when processes still use it, unless `lazy`: then it goes when they have ended. */
  unmount(tree: WritableTree, lazy?: boolean): void;
  /**
   * Moves what was written into `target` (a path that does not exist, on the same file system) and says whether there
   * was anything. The tree must not be mounted; the caller adds `target` to the lowers before it is mounted again.
   */
  freeze(tree: WritableTree, target: string): boolean;
  /**
   * Has the next freeze take paths of a mounted tree (`/etc/hosts`) for unchanged, as far as they look as they do in the
   * lowers: somebody put back what was there before, of which ctime, or a copy in the upper directory, tells all the same.
   */
  accept(tree: WritableTree, paths: readonly string[]): void;
  /**
   * Has the tree show a snapshot on top, which the caller then adds to the lowers. The tree must not be mounted, and
   * nothing have been written since the last freeze.
   */
  adopt(tree: WritableTree, snapshot: string): void;
  /** Like freeze(), for a tree that stays in use: copies what was written, the tree keeps its own. */
  copyDiff(tree: WritableTree, target: string): boolean;
  /** Directory of a mounted tree in which everything is that was written since the last freeze, and maybe more. */
  written(tree: WritableTree): string;
  /**
   * Directories in overlayfs's format that together are the tree as it is now, lowest first, whether it is mounted or
   * not. They may still be written to.
   */
  view(tree: WritableTree): string[];
  /** Deletes an unmounted tree. */
  remove(tree: WritableTree): void;
}
