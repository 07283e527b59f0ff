/**
 * The copy driver, for hosts that cannot mount: DIRECTORY/tree holds a whole copy of what lies below, and `index-N.json`
 * how each path looked when there were N snapshots below, so that a freeze finds what changed by metadata alone.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { indexTree, type TreeIndex, writeChanges } from "./find-changes.ts";
import { mergeDiff } from "./merge-diff.ts";
import type { Snapshotter, WritableTree } from "./snapshotter.ts";
import { makeRoot } from "./tree-root.ts";

const treeOf = (tree: WritableTree) => join(tree.directory, "tree");
const indexOf = (tree: WritableTree, lowers: number) => join(tree.directory, `index-${lowers}.json`);

/** Snapshots by copying: right everywhere, at the price of the whole tree. */
export const copySnapshotter: Snapshotter = {
  name: "copy",

  prepare(tree) {
    mkdirSync(tree.directory, { recursive: true, mode: 0o700 });
    makeRoot(treeOf(tree));
    for (const lower of tree.lowers) mergeDiff(lower, treeOf(tree));
    saveIndex(tree, tree.lowers.length);
  },

  path: treeOf,
  isMounted: () => false,
  mount: treeOf,
  unmount: () => {},

  freeze(tree, target) {
    if (!copySnapshotter.copyDiff(tree, target)) return false;
    rmSync(indexOf(tree, tree.lowers.length), { force: true });
    return true;
  },

  // Complete before it has its name, and the next index before that: a kill leaves the old state or the new one.
  copyDiff(tree, target) {
    const unfinished = join(tree.directory, "diff");
    rmSync(unfinished, { recursive: true, force: true });
    const index = JSON.parse(readFileSync(indexOf(tree, tree.lowers.length), "utf8")) as TreeIndex;
    if (!writeChanges(treeOf(tree), index, unfinished)) return false;
    saveIndex(tree, tree.lowers.length + 1);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    renameSync(unfinished, target);
    return true;
  },

  view: (tree) => [treeOf(tree)],

  remove(tree) {
    rmSync(tree.directory, { recursive: true, force: true });
  },
};

function saveIndex(tree: WritableTree, lowers: number): void {
  writeFileSync(indexOf(tree, lowers), JSON.stringify(indexTree(treeOf(tree))));
}
