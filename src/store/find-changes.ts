/** What changed in a plain tree since an index of it was made, written as a snapshot in overlayfs's format. */
import { type BigIntStats, lstatSync, mkdirSync } from "node:fs";
import { copyMetadata, copyNode } from "../archive/copy-tree.ts";
import { statExact } from "../archive/diff-stack.ts";
import { link } from "../base/libc.ts";
import { fsPath, readNames } from "../base/path-bytes.ts";
import { makeOpaque, makeWhiteout } from "./merge-diff.ts";

/** Path below the tree, with a slash before it → stamp(). */
export type TreeIndex = Record<string, string>;

/** Changes with whatever can change a file: no program sets ctime. */
function stamp(stat: BigIntStats): string {
  return `${stat.ino}:${stat.ctimeNs}:${stat.mtimeNs}:${stat.size}`;
}

/** How everything in a tree looks now. */
export function indexTree(tree: string): TreeIndex {
  const index: TreeIndex = {};
  const visit = (path: string) => {
    for (const name of readNames(tree + path)) {
      const child = `${path}/${name}`;
      const stat = lstatSync(fsPath(tree + child), { bigint: true });
      index[child] = stamp(stat);
      if (stat.isDirectory()) visit(child);
    }
  };
  visit("");
  return index;
}

/** State of one search for changes. */
interface Search {
  tree: string;
  target: string;
  index: TreeIndex;
  seen: Set<string>;
  /** Directories that are the index's still, as are all above them. */
  kept: Set<string>;
  /** First path in `target` of each inode that has several names. */
  linked: Map<bigint, string>;
  /** Directories of the diff in the order of their making; they get their metadata last, from below. */
  made: string[];
}

/** Writes what changed into `target`, which does not exist; false, and no target, when nothing did. */
export function writeChanges(tree: string, index: TreeIndex, target: string): boolean {
  const search: Search = {
    tree,
    target,
    index,
    seen: new Set(),
    kept: new Set([""]),
    linked: new Map(),
    made: [],
  };
  writeNew(search, "", false);
  writeDeleted(search);
  for (const path of search.made.reverse()) copyMetadata(tree + path, target + path);
  return search.made.length > 0;
}

function inodeOf(stamped: string | undefined): string | undefined {
  return stamped?.slice(0, stamped.indexOf(":"));
}

/** `fresh`: the directory is not the one of the index, so all below it is new. */
function writeNew(search: Search, path: string, fresh: boolean): void {
  for (const name of readNames(search.tree + path)) {
    const child = `${path}/${name}`;
    const stat = lstatSync(fsPath(search.tree + child), { bigint: true });
    search.seen.add(child);
    if (stat.isSocket()) continue;
    const known = fresh ? undefined : search.index[child];
    if (!stat.isDirectory()) {
      if (known !== stamp(stat)) writeLeaf(search, child, stat);
      continue;
    }
    if (known !== stamp(stat)) makeDirectory(search, child);
    const isOther = inodeOf(known) !== String(stat.ino);
    if (known !== undefined && isOther) makeOpaque(search.target + child);
    if (!isOther) search.kept.add(child);
    writeNew(search, child, isOther);
  }
}

function writeLeaf(search: Search, path: string, stat: BigIntStats): void {
  makeDirectory(search, parentOf(path));
  const to = search.target + path;
  const twin = stat.nlink > 1n ? search.linked.get(stat.ino) : undefined;
  if (twin === undefined) copyNode(search.tree + path, to);
  else link(twin, to);
  if (stat.nlink > 1n && twin === undefined) search.linked.set(stat.ino, to);
}

/** The directory of a path, `""` at the top. (node:path loses bytes that are not UTF-8.) */
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

/** Makes a directory of the diff and those above it. */
function makeDirectory(search: Search, path: string): void {
  if (statExact(search.target + path) !== undefined) return;
  if (path !== "") makeDirectory(search, parentOf(path));
  mkdirSync(fsPath(search.target + path), { mode: 0o700 });
  search.made.push(path);
}

/**
 * A whiteout for each path of the index that is gone, but not for what lay below it, nor in a new directory that has the
 * inode of an old one: overlayfs lists a whiteout in a directory that it need not merge.
 */
function writeDeleted(search: Search): void {
  for (const path of Object.keys(search.index)) {
    const parent = parentOf(path);
    if (search.seen.has(path) || !search.kept.has(parent)) continue;
    makeDirectory(search, parent);
    makeWhiteout(search.target + path);
  }
}
