/** Applies a snapshot (a directory in overlayfs's format) to a plain tree, as overlayfs would show it. */
import { type BigIntStats, lstatSync, mkdirSync, rmSync } from "node:fs";
import { copyMetadata, copyNode } from "../archive/copy-tree.ts";
import { isOpaque, isWhiteout } from "../archive/whiteouts.ts";
import { isPortableXattr } from "../archive/xattr-policy.ts";
import { link } from "../base/file-calls.ts";
import { listXattrs, removeXattr } from "../base/xattrs.ts";
import { fsPath, readNames, statusOf } from "../base/path-bytes.ts";

function removeAny(path: string): void {
  rmSync(fsPath(path), { recursive: true, force: true });
}

/** Applies `diff` to `tree`. Hard links of the diff stay hard links in the tree. */
export function mergeDiff(diff: string, tree: string): void {
  mergeDirectory(diff, tree, new Map());
}

function mergeDirectory(diff: string, tree: string, linked: Map<bigint, string>): void {
  for (const name of readNames(diff)) {
    const from = `${diff}/${name}`;
    const to = `${tree}/${name}`;
    const stat = lstatSync(fsPath(from), { bigint: true });
    if (stat.isDirectory()) mergeChild(from, to, linked);
    else replaceLeaf(from, to, stat, linked);
  }
}

function mergeChild(from: string, to: string, linked: Map<bigint, string>): void {
  const there = statusOf(to);
  const merges = there?.isDirectory() === true && !isOpaque(from, listXattrs(from));
  if (there !== undefined && !merges) removeAny(to);
  if (merges) removeXattrs(from, to);
  else mkdirSync(fsPath(to), { mode: 0o700 });
  mergeDirectory(from, to, linked);
  copyMetadata(from, to);
}

/** Attributes of a directory that the upper one of the same path has no more. */
function removeXattrs(from: string, to: string): void {
  const kept = new Set(listXattrs(from));
  for (const name of listXattrs(to)) if (isPortableXattr(name) && !kept.has(name)) removeXattr(to, name);
}

function replaceLeaf(from: string, to: string, stat: BigIntStats, linked: Map<bigint, string>): void {
  removeAny(to);
  if (isWhiteout(stat, from)) return;
  const twin = stat.nlink > 1n ? linked.get(stat.ino) : undefined;
  if (twin !== undefined) link(twin, to);
  else copyNode(from, to);
  if (stat.nlink > 1n && twin === undefined) linked.set(stat.ino, to);
}
