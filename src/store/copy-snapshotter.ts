/**
 * The copy driver, for hosts that cannot mount: DIRECTORY/tree holds a whole copy of what lies below, made when it is
 * first mounted (nobody copies a system to change its config), and `index-N.json` how each path looked when there were N
 * snapshots below, so that a freeze finds what changed by metadata alone. Where the file system can, large files share
 * their extents with the snapshots. Hard links to them would save as much anywhere, but a command that writes into a
 * file instead of replacing it would change the snapshot.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fsPath } from "../base/path-bytes.ts";
import {
  indexTree,
  passNewest,
  sameButForCtime,
  stampOf,
  type TreeIndex,
  type TreeState,
  writeChanges,
} from "./find-changes.ts";
import { mappedDirectory } from "./mapped-tree.ts";
import { mergeDiff } from "./merge-diff.ts";
import { replaceJson } from "./replace-json.ts";
import type { Snapshotter, WritableTree } from "./snapshotter.ts";
import { makeRoot } from "./tree-root.ts";

const treeOf = (tree: WritableTree) => join(tree.directory, "tree");
const indexOf = (tree: WritableTree, lowers: number) => join(tree.directory, `index-${lowers}.json`);
/** What accept() added to an index. */
const acceptedOf = (tree: WritableTree, lowers: number) => join(tree.directory, `accepted-${lowers}.json`);
const isFilled = (tree: WritableTree) => existsSync(treeOf(tree));

/** Snapshots by copying: right everywhere, at the price of one whole tree for each container in use. */
export const copySnapshotter: Snapshotter = {
  name: "copy",

  prepare(tree) {
    mkdirSync(tree.directory, { recursive: true, mode: 0o700 });
  },

  path: treeOf,
  isMounted: () => false,

  mount(tree) {
    if (!isFilled(tree)) fill(tree);
    return treeOf(tree);
  },

  mountMapped: (tree, view) => mappedDirectory(copySnapshotter.mount(tree), view),
  unmount: () => {},

  freeze(tree, target) {
    if (!copySnapshotter.copyDiff(tree, target)) return false;
    forgetIndex(tree, tree.lowers.length);
    return true;
  },

  // Killed in between, the tree has some of it as if it had been written there.
  adopt(tree, snapshot) {
    if (!isFilled(tree)) return;
    mergeDiff(snapshot, treeOf(tree));
    forgetIndex(tree, tree.lowers.length + 1);
    saveIndex(tree, tree.lowers.length + 1, indexTree(treeOf(tree)));
  },

  // Complete before it has its name, and the next index before that: a kill leaves the old state or the new one.
  copyDiff(tree, target) {
    if (!isFilled(tree)) return false;
    const unfinished = join(tree.directory, "diff");
    rmSync(unfinished, { recursive: true, force: true });
    const now = writeChanges(treeOf(tree), readIndex(tree), unfinished);
    if (now === undefined) return false;
    forgetIndex(tree, tree.lowers.length + 1);
    saveIndex(tree, tree.lowers.length + 1, now);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    renameSync(unfinished, target);
    return true;
  },

  accept(tree, paths) {
    if (paths.length === 0) return;
    const accepted = readAccepted(tree);
    for (const path of paths)
      accepted[path] = stampOf(lstatSync(fsPath(treeOf(tree) + path), { bigint: true }));
    replaceJson(acceptedOf(tree, tree.lowers.length), accepted);
  },

  written: treeOf,
  view: (tree) => (isFilled(tree) ? [treeOf(tree)] : tree.lowers),

  remove(tree) {
    rmSync(tree.directory, { recursive: true, force: true });
  },
};

/** Makes the copy beside its place, so that one that was killed is none. */
function fill(tree: WritableTree): void {
  const filling = join(tree.directory, "filling");
  rmSync(filling, { recursive: true, force: true });
  makeRoot(filling);
  for (const lower of tree.lowers) mergeDiff(lower, filling);
  forgetIndex(tree, tree.lowers.length);
  saveIndex(tree, tree.lowers.length, indexTree(filling));
  renameSync(filling, treeOf(tree));
}

function saveIndex(tree: WritableTree, lowers: number, state: TreeState): void {
  replaceJson(indexOf(tree, lowers), state.index);
  passNewest(state);
}

function readIndex(tree: WritableTree): TreeIndex {
  const index = JSON.parse(readFileSync(indexOf(tree, tree.lowers.length), "utf8")) as TreeIndex;
  const accepted = Object.entries(readAccepted(tree));
  // What was not there before is new, however it looks.
  for (const [path, stamp] of accepted) if (sameButForCtime(index[path], stamp)) index[path] = stamp;
  return index;
}

function readAccepted(tree: WritableTree): TreeIndex {
  const file = acceptedOf(tree, tree.lowers.length);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as TreeIndex) : {};
}

function forgetIndex(tree: WritableTree, lowers: number): void {
  rmSync(indexOf(tree, lowers), { force: true });
  rmSync(acceptedOf(tree, lowers), { force: true });
}
