/**
 * What differs between two stacks of overlayfs diff directories, without mounting or unpacking either: where both stacks
 * show a directory through the same host directories it is the same, and nothing below is looked at.
 */
import { type BigIntStats, closeSync, openSync, readSync } from "node:fs";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { compareNames, fsPath, readLink, readNames, statusOf } from "../base/path-bytes.ts";
import { mergeChild } from "./diff-stack.ts";
import { isWhiteout } from "./whiteouts.ts";
import { isPortableXattr } from "./xattr-policy.ts";

export type ChangedType = "file" | "directory" | "symlink" | "device" | "fifo" | "socket";

/** Fields in which a changed file differs. Times are not compared: nearly every rebuild changes them all. */
export type ChangedField = "type" | "content" | "target" | "device" | "mode" | "owner" | "xattrs";

export interface StackChange {
  kind: "added" | "changed" | "removed";
  /** A name as in path-bytes.ts, absolute. */
  path: string;
  /** What it is now, or was before it was removed. */
  type: ChangedType;
  /** Bytes of a regular file; 0 for everything else, where there is none, and for a further name of one (hard link). */
  sizeBefore: number;
  sizeAfter: number;
  /** Of what was changed. */
  fields: ChangedField[];
}

interface Node {
  path: string;
  stat: BigIntStats;
  /** Of a directory: the host directories that show it, topmost first. */
  sources: string[];
}

const CHUNK = 1 << 20;

/** Sizes of the files of one side. */
type Sizes = (node: Node | undefined) => number;
interface BothSizes {
  before: Sizes;
  after: Sizes;
}

/** Changes from one stack to another (both lowest first), each directory before its content, names in byte order. */
export function* compareStacks(before: string[], after: string[]): Generator<StackChange, void> {
  const sizes = { before: sizesOnce(), after: sizesOnce() };
  yield* compareDirectories("", before.toReversed(), after.toReversed(), sizes);
}

function* compareDirectories(
  path: string,
  before: readonly string[],
  after: readonly string[],
  sizes: BothSizes,
): Generator<StackChange, void> {
  const shared = sharedEnd(before, after);
  const names = new Set<string>();
  for (const own of [before.slice(0, before.length - shared), after.slice(0, after.length - shared)]) {
    for (const directory of own) for (const name of readNames(directory)) names.add(name);
  }
  for (const name of [...names].sort(compareNames)) {
    yield* compareNodes(`${path}/${name}`, lookUp(before, name), lookUp(after, name), sizes);
  }
}

/** How many of the lowest directories are the same: a name that only these have is the same in both. */
function sharedEnd(a: readonly string[], b: readonly string[]): number {
  let count = 0;
  while (count < a.length && count < b.length && a.at(-1 - count) === b.at(-1 - count)) count++;
  return count;
}

function lookUp(sources: readonly string[], name: string): Node | undefined {
  for (const [at, directory] of sources.entries()) {
    const path = `${directory}/${name}`;
    const stat = statusOf(path);
    if (stat === undefined) continue;
    if (isWhiteout(stat, path)) return undefined;
    if (!stat.isDirectory()) return { path, stat, sources: [] };
    return { path, stat, sources: mergeChild(sources, at, name, listXattrs(path)).directories };
  }
  return undefined;
}

function* compareNodes(
  path: string,
  before: Node | undefined,
  after: Node | undefined,
  sizes: BothSizes,
): Generator<StackChange, void> {
  const fields = before === undefined || after === undefined ? [] : changedFields(before, after);
  if (before === undefined && after === undefined) return;
  if (before === undefined || after === undefined || fields.length > 0) {
    yield {
      kind: before === undefined ? "added" : after === undefined ? "removed" : "changed",
      path,
      type: typeOf((after ?? before)!.stat),
      sizeBefore: sizes.before(before),
      sizeAfter: sizes.after(after),
      fields,
    };
  }
  const [from, to] = [before?.sources ?? [], after?.sources ?? []];
  if (from.length + to.length > 0) yield* compareDirectories(path, from, to, sizes);
}

function typeOf(stat: BigIntStats): ChangedType {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  return stat.isSocket() ? "socket" : "device";
}

/** Counts the bytes of a file with several names at the first of them. */
function sizesOnce(): Sizes {
  const seen = new Set<string>();
  return (node) => {
    if (node?.stat.isFile() !== true) return 0;
    const { dev, ino, nlink, size } = node.stat;
    if (nlink === 1n) return Number(size);
    const inode = `${dev}:${ino}`;
    if (seen.has(inode)) return 0;
    seen.add(inode);
    return Number(size);
  };
}

function changedFields(before: Node, after: Node): ChangedField[] {
  const [a, b] = [before.stat, after.stat];
  if (a.dev === b.dev && a.ino === b.ino) return [];
  if (typeOf(a) !== typeOf(b) || a.isCharacterDevice() !== b.isCharacterDevice()) return ["type"];
  const fields: ChangedField[] = [];
  if (a.isFile() && !sameContent(before, after)) fields.push("content");
  if (a.isSymbolicLink() && readLink(before.path) !== readLink(after.path)) fields.push("target");
  if (typeOf(a) === "device" && a.rdev !== b.rdev) fields.push("device");
  if (a.mode !== b.mode) fields.push("mode");
  if (a.uid !== b.uid || a.gid !== b.gid) fields.push("owner");
  if (!a.isSymbolicLink() && !sameXattrs(before.path, after.path)) fields.push("xattrs");
  return fields;
}

function sameContent(before: Node, after: Node): boolean {
  if (before.stat.size !== after.stat.size) return false;
  const [a, b] = [openSync(fsPath(before.path), "r"), openSync(fsPath(after.path), "r")];
  try {
    const [left, right] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
    for (;;) {
      const [n, m] = [readSync(a, left), readSync(b, right)];
      if (n !== m || !left.subarray(0, n).equals(right.subarray(0, m))) return false;
      if (n === 0) return true;
    }
  } finally {
    closeSync(a);
    closeSync(b);
  }
}

function sameXattrs(before: string, after: string): boolean {
  const [a, b] = [portableXattrs(before), portableXattrs(after)];
  if (a.length !== b.length || a.some((name, i) => name !== b[i])) return false;
  return a.every((name) => {
    const [left, right] = [getXattr(before, name), getXattr(after, name)];
    return left === undefined || right === undefined ? left === right : left.equals(right);
  });
}

function portableXattrs(path: string): string[] {
  return listXattrs(path).filter(isPortableXattr).sort();
}
