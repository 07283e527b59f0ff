/** The overlay driver: DIRECTORY/{upper,work,merged}; a freeze is a rename of `upper`. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { copyMetadata, copyTree } from "../archive/copy-tree.ts";
import { CooperError, errnoOf, withHint, wrapError } from "../base/errors.ts";
import { MNT, umount } from "../base/mounts.ts";
import { dropCopies } from "./drop-copies.ts";
import { mappedDirectory, mappedOverlay } from "./mapped-tree.ts";
import { isMountPoint } from "./mount-table.ts";
import { layersOf, mountLayers, renewWork } from "./overlay-mount.ts";
import { replaceJson } from "./replace-json.ts";
import type { Snapshotter, WritableTree } from "./snapshotter.ts";
import { makeRoot } from "./tree-root.ts";

const upper = (tree: WritableTree) => join(tree.directory, "upper");
/** The upper directory to be, while the old one moves away. */
const next = (tree: WritableTree) => join(tree.directory, "next");
/** What accept() was told, as JSON. */
const accepted = (tree: WritableTree) => join(tree.directory, "accepted.json");
const merged = (tree: WritableTree) => join(tree.directory, "merged");

/** A tree on nothing needs no overlay, which wants at least one lower directory: `upper` itself is the root. */
const isPlain = (tree: WritableTree) => tree.lowers.length === 0;

/** Snapshots on overlayfs (Linux 5.11 or later, for `userxattr`). */
export const overlay: Snapshotter = {
  name: "overlay",

  prepare(tree) {
    mkdirSync(tree.directory, { recursive: true, mode: 0o700 });
    makeRoot(upper(tree));
    // Nothing is ever written below the mount point: a tool that comes by without the mount must fail.
    mkdirSync(merged(tree), { mode: 0 });
  },

  path: (tree) => (isPlain(tree) ? upper(tree) : merged(tree)),

  isMounted: (tree) => !isPlain(tree) && isMountPoint(merged(tree)),

  mount(tree) {
    finishFreeze(tree);
    if (!isPlain(tree) && !isMountPoint(merged(tree))) mountOverlay(tree);
    return overlay.path(tree);
  },

  mountMapped(tree, view) {
    if (isPlain(tree)) return mappedDirectory(upper(tree), view);
    // Two overlays on one upper directory would not know of each other's changes.
    overlay.unmount(tree);
    return mappedOverlay(tree, view, () => void overlay.mount(tree));
  },

  unmount(tree, lazy = false) {
    if (!overlay.isMounted(tree)) return;
    try {
      umount(merged(tree), lazy ? MNT.DETACH : 0);
    } catch (error) {
      if (errnoOf(error) !== "EBUSY") throw error;
      throw new CooperError("in-use", `Cannot unmount ${merged(tree)}: a process still uses it`, {
        cause: error,
      });
    }
  },

  freeze(tree, target) {
    finishFreeze(tree);
    for (const path of acceptedPaths(tree)) dropCopies(upper(tree), tree.lowers, path);
    rmSync(accepted(tree), { force: true });
    if (readdirSync(upper(tree)).length === 0) return false;
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    if (!existsSync(next(tree))) makeRoot(next(tree));
    // No layer tells what the root directory is like.
    copyMetadata(upper(tree), next(tree));
    renameSync(upper(tree), target);
    renameSync(next(tree), upper(tree));
    return true;
  },

  // The next mount shows it.
  adopt: finishFreeze,

  copyDiff(tree, target) {
    finishFreeze(tree);
    if (readdirSync(upper(tree)).length === 0) return false;
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    copyTree(upper(tree), target, { ownership: "verbatim", overlayXattrs: true });
    return true;
  },

  // Read by the next freeze: nothing may be taken out of the upper directory while it is mounted.
  accept(tree, paths) {
    if (isPlain(tree) || paths.length === 0) return;
    const known = acceptedPaths(tree);
    replaceJson(accepted(tree), [...new Set([...known, ...paths])]);
  },

  written: upper,

  view(tree) {
    finishFreeze(tree);
    return [...tree.lowers, upper(tree)];
  },

  remove(tree) {
    rmSync(tree.directory, { recursive: true, force: true });
  },
};

function acceptedPaths(tree: WritableTree): string[] {
  return existsSync(accepted(tree)) ? (JSON.parse(readFileSync(accepted(tree), "utf8")) as string[]) : [];
}

/** A freeze that was killed may have got no further than moving the old upper directory away. */
function finishFreeze(tree: WritableTree): void {
  if (!existsSync(upper(tree))) renameSync(next(tree), upper(tree));
}

function mountOverlay(tree: WritableTree): void {
  renewWork(tree);
  try {
    mountLayers(tree, { layers: layersOf(tree), directory: tree.directory, target: merged(tree) });
  } catch (error) {
    throw withHint(
      wrapError("Cannot mount a container with overlay", error),
      "`cooper doctor` tells what overlay lacks here; a new container with --storage-driver copy mounts nothing",
    );
  }
}
