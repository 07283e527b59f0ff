/**
 * The copy driver, for hosts that cannot mount: DIRECTORY/tree holds a whole copy of what lies below, and `index.json`
 * how each path looked then, so that a freeze finds what changed by metadata alone.
 */
import {
  type BigIntStats,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { copyMetadata, copyNode } from "../archive/copy-tree.ts";
import { link } from "../base/libc.ts";
import { fsPath, readNames } from "../base/path-bytes.ts";
import { lstatIfAny, makeOpaque, makeWhiteout, mergeDiff } from "./merge-diff.ts";
import type { Snapshotter, WritableTree } from "./snapshotter.ts";

/** Path below the tree → stamp(). */
type Index = Record<string, string>;

const treeOf = (tree: WritableTree) => join(tree.directory, "tree");
const indexOf = (tree: WritableTree) => join(tree.directory, "index.json");

/** Snapshots by copying: right everywhere, at the price of the whole tree. */
export const copySnapshotter: Snapshotter = {
  name: "copy",

  prepare(tree) {
    mkdirSync(treeOf(tree), { recursive: true, mode: 0o755 });
    for (const lower of tree.lowers) mergeDiff(lower, treeOf(tree));
    saveIndex(tree);
  },

  path: treeOf,
  isMounted: () => false,
  mount: treeOf,
  unmount: () => {},

  freeze(tree, target) {
    if (!writeChanges(tree, target)) return false;
    saveIndex(tree);
    return true;
  },

  copyDiff: (tree, target) => writeChanges(tree, target),

  remove(tree) {
    rmSync(tree.directory, { recursive: true, force: true });
  },
};

/** Changes with whatever can change a file: no program sets ctime. */
function stamp(stat: BigIntStats): string {
  return `${stat.ino}:${stat.ctimeNs}:${stat.mtimeNs}:${stat.size}`;
}

function saveIndex(tree: WritableTree): void {
  const index: Index = {};
  const visit = (path: string) => {
    for (const name of readNames(join(treeOf(tree), path))) {
      const child = `${path}/${name}`;
      const stat = lstatSync(fsPath(join(treeOf(tree), child)), { bigint: true });
      index[child] = stamp(stat);
      if (stat.isDirectory()) visit(child);
    }
  };
  visit("");
  writeFileSync(indexOf(tree), JSON.stringify(index));
}

/** State of one search for changes. */
interface Search {
  tree: string;
  target: string;
  index: Index;
  seen: Set<string>;
  /** First path in `target` of each inode that has several names. */
  linked: Map<bigint, string>;
}

function writeChanges(tree: WritableTree, target: string): boolean {
  const index = JSON.parse(readFileSync(indexOf(tree), "utf8")) as Index;
  const search: Search = { tree: treeOf(tree), target, index, seen: new Set(), linked: new Map() };
  writeNew(search, "", false);
  writeDeleted(search);
  return existsSync(target);
}

function inodeOf(stamped: string | undefined): string | undefined {
  return stamped?.slice(0, stamped.indexOf(":"));
}

/** `fresh`: the directory is not the one of the index, so all below it is new. */
function writeNew(search: Search, path: string, fresh: boolean): void {
  for (const name of readNames(join(search.tree, path))) {
    const child = `${path}/${name}`;
    const stat = lstatSync(fsPath(join(search.tree, child)), { bigint: true });
    const known = fresh ? undefined : search.index[child];
    search.seen.add(child);
    if (stat.isSocket()) continue;
    const changed = known !== stamp(stat);
    if (!stat.isDirectory()) {
      if (changed) writeLeaf(search, child, stat);
      continue;
    }
    const other = known !== undefined && inodeOf(known) !== String(stat.ino);
    if (changed) makeDirectory(search, child);
    if (other) makeOpaque(join(search.target, child));
    writeNew(search, child, known === undefined || other);
    if (changed) copyMetadata(join(search.tree, child), join(search.target, child));
  }
}

function writeLeaf(search: Search, path: string, stat: BigIntStats): void {
  makeDirectory(search, dirname(path));
  const to = join(search.target, path);
  const twin = stat.nlink > 1n ? search.linked.get(stat.ino) : undefined;
  if (twin === undefined) copyNode(join(search.tree, path), to);
  else link(twin, to);
  if (stat.nlink > 1n && twin === undefined) search.linked.set(stat.ino, to);
  restoreTimes(search, dirname(path));
}

/** Makes a directory of the diff and those above it, each as it is in the tree. */
function makeDirectory(search: Search, path: string): void {
  const to = join(search.target, path);
  if (lstatIfAny(to) !== undefined) return;
  if (path === "" || path === "/") {
    mkdirSync(search.target, { recursive: true, mode: 0o755 });
    return;
  }
  makeDirectory(search, dirname(path));
  mkdirSync(fsPath(to), { mode: 0o700 });
  copyMetadata(join(search.tree, path), to);
}

function restoreTimes(search: Search, path: string): void {
  if (path !== "/" && path !== "") copyMetadata(join(search.tree, path), join(search.target, path));
}

/** A whiteout for each path of the index that is gone, but not for what lay below it. */
function writeDeleted(search: Search): void {
  for (const path of Object.keys(search.index)) {
    if (search.seen.has(path)) continue;
    const parent = dirname(path);
    if (parent !== "/" && !isOldDirectory(search, parent)) continue;
    makeDirectory(search, parent);
    makeWhiteout(join(search.target, path));
    restoreTimes(search, parent);
  }
}

/** Whether a path is still the directory that the index knew. */
function isOldDirectory(search: Search, path: string): boolean {
  const stat = lstatIfAny(join(search.tree, path));
  return stat?.isDirectory() === true && inodeOf(search.index[path]) === String(stat.ino);
}
