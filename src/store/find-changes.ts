/** What changed in a plain tree since an index of it was made, written as a snapshot in overlayfs's format. */
import { type BigIntStats, lstatSync, mkdirSync } from "node:fs";
import { copyMetadata, copyNode } from "../archive/copy-tree.ts";
import { makeOpaque, makeWhiteout } from "../archive/whiteouts.ts";
import { link } from "../base/file-calls.ts";
import { fsPath, readNames, statusOf } from "../base/path-bytes.ts";

/** Path below the tree, with a slash before it → stampOf(). */
export type TreeIndex = Record<string, string>;

/**
 * Changes with whatever can change a file: no program sets ctime, and none chooses an inode's number and time of birth,
 * which together tell a directory from one that was made in its place (ext4 gives a number away again at once).
 */
export function stampOf(stat: BigIntStats): string {
  const { ino, birthtimeNs, ctimeNs, mtimeNs, size, mode, uid, gid } = stat;
  return `${ino}.${birthtimeNs}:${ctimeNs}:${mtimeNs}:${size}:${mode}:${uid}:${gid}`;
}

/** Whether two stamps tell of one file that was not changed but for its name, or by who put it back. */
export function sameButForCtime(a: string | undefined, b: string): boolean {
  const parts = (stamp: string) => stamp.split(":").toSpliced(1, 1).join(":");
  return a !== undefined && parts(a) === parts(b);
}

function inodeOf(stamp: string | undefined): string | undefined {
  return stamp?.slice(0, stamp.indexOf(":"));
}

/** What a search found. */
export interface TreeState {
  /** How everything in the tree looked. */
  index: TreeIndex;
  /** Latest ctime, in nanoseconds since 1970. */
  newest: bigint;
}

/** How everything in a tree looks now. */
export function indexTree(tree: string): TreeState {
  const state: TreeState = { index: {}, newest: 0n };
  const visit = (path: string) => {
    for (const name of readNames(tree + path)) {
      const child = `${path}/${name}`;
      const stat = lstatSync(fsPath(tree + child), { bigint: true });
      note(state, child, stat);
      if (stat.isDirectory()) visit(child);
    }
  };
  visit("");
  return state;
}

/** Returns the stamp. */
function note(state: TreeState, path: string, stat: BigIntStats): string {
  const stamp = stampOf(stat);
  state.index[path] = stamp;
  if (stat.ctimeNs > state.newest) state.newest = stat.ctimeNs;
  return stamp;
}

/** A kernel's tick at 100 Hz, twice: what ctime may lie behind the clock (without multigrain timestamps, Linux 6.13). */
const CLOCK_STEP = 20;

/** Waits until whatever is written from now on gets another ctime than what a search has seen. Milliseconds, if at all. */
export function passNewest({ newest }: TreeState): void {
  const age = Date.now() - Number(newest / 1_000_000n);
  if (age < CLOCK_STEP) Bun.sleepSync(Math.min(CLOCK_STEP, CLOCK_STEP - age));
}

/** State of one search for changes. */
interface Search {
  tree: string;
  target: string;
  before: TreeIndex;
  now: TreeState;
  /** Directories that are those of the index still, as are all above them. */
  kept: Set<string>;
  /** First path in `target` of each inode that has several names. */
  linked: Map<bigint, string>;
  /** Directories of the diff in the order of their making; they get their metadata last, from below. */
  made: string[];
}

/**
 * Writes what changed into `target`, which does not exist, in one walk; returns how the tree looks now. Nothing changed,
 * and no target is made: undefined.
 */
export function writeChanges(tree: string, before: TreeIndex, target: string): TreeState | undefined {
  const search: Search = {
    tree,
    target,
    before,
    now: { index: {}, newest: 0n },
    kept: new Set([""]),
    linked: new Map(),
    made: [],
  };
  writeNew(search, "", false);
  writeDeleted(search);
  for (const path of search.made.reverse()) copyMetadata(tree + path, target + path);
  return search.made.length > 0 ? search.now : undefined;
}

/** `fresh`: the directory is not the one of the index, so all below it is new. */
function writeNew(search: Search, path: string, fresh: boolean): void {
  for (const name of readNames(search.tree + path)) {
    const child = `${path}/${name}`;
    const stat = lstatSync(fsPath(search.tree + child), { bigint: true });
    // Before anything is copied: what changes meanwhile is found the next time.
    const stamp = note(search.now, child, stat);
    if (stat.isSocket()) continue;
    const known = fresh ? undefined : search.before[child];
    if (!stat.isDirectory()) {
      if (known !== stamp) writeLeaf(search, child, stat);
      continue;
    }
    if (known !== stamp) makeDirectory(search, child);
    const isOther = inodeOf(known) !== inodeOf(stamp);
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
  if (statusOf(search.target + path) !== undefined) return;
  if (path !== "") makeDirectory(search, parentOf(path));
  mkdirSync(fsPath(search.target + path), { mode: 0o700 });
  search.made.push(path);
}

/** A whiteout for each path of the index that is gone, but not for what lay below it. */
function writeDeleted(search: Search): void {
  for (const path of Object.keys(search.before)) {
    const parent = parentOf(path);
    if (path in search.now.index || !search.kept.has(parent)) continue;
    makeDirectory(search, parent);
    makeWhiteout(search.target + path);
  }
}
