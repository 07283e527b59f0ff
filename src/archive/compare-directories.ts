/** Whether two directories of a store hold the same, to the last attribute: what an unpacked layer is, and what it should be. */
import { closeSync, openSync, readSync, type BigIntStats } from "node:fs";
import { messageOf } from "../base/errors.ts";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { compareNames, fsPath, readLink, readNames, statusOf } from "../base/path-bytes.ts";
import { isWhiteout } from "./whiteouts.ts";

const CHUNK = 1 << 20;

/**
 * The first difference below `actual`, as "PATH: what", or undefined when both hold the same. Compared are names, types,
 * modes, owners, times, devices, link counts, targets, attributes and contents; of the two directories themselves only
 * the attributes, and of whiteouts no time, since a layer need not say the rest. Memory does not grow with the files.
 */
export function firstDifference(expected: string, actual: string): string | undefined {
  try {
    return differenceOfXattrs("", expected, actual) ?? differenceOfChildren("", expected, actual);
  } catch (error) {
    return messageOf(error);
  }
}

function differenceOfChildren(prefix: string, expected: string, actual: string): string | undefined {
  const wanted = readNames(expected).sort(compareNames);
  const found = readNames(actual).sort(compareNames);
  for (const [i, name] of wanted.entries()) {
    if (found[i] === name) continue;
    if (found.includes(name)) return `${prefix}${found[i]}: does not belong there`;
    return `${prefix}${name}: missing`;
  }
  if (found.length > wanted.length) return `${prefix}${found[wanted.length]}: does not belong there`;
  for (const name of wanted) {
    const difference = differenceOf(`${prefix}${name}`, `${expected}/${name}`, `${actual}/${name}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function differenceOf(path: string, expected: string, actual: string): string | undefined {
  const wanted = statusOf(expected);
  const found = statusOf(actual);
  if (wanted === undefined || found === undefined) return `${path}: missing`;
  const field = differentField(wanted, found);
  if (field !== undefined) return `${path}: another ${field}`;
  const xattrs = differenceOfXattrs(path, expected, actual);
  if (xattrs !== undefined) return xattrs;
  // What was done to a directory's entries says more than that its time changed with them.
  if (wanted.isDirectory())
    return differenceOfChildren(`${path}/`, expected, actual) ?? differentTime(path, wanted, found);
  if (wanted.isSymbolicLink() && readLink(expected) !== readLink(actual)) return `${path}: another target`;
  if (wanted.isFile() && !equalContent(expected, actual)) return `${path}: other content`;
  if (isWhiteout(wanted, expected)) return undefined;
  return differentTime(path, wanted, found);
}

function differentField(wanted: BigIntStats, found: BigIntStats): string | undefined {
  if ((wanted.mode & 0o170000n) !== (found.mode & 0o170000n)) return "type";
  if (wanted.mode !== found.mode) return "mode";
  if (wanted.uid !== found.uid || wanted.gid !== found.gid) return "owner";
  if (wanted.rdev !== found.rdev) return "device";
  if (!wanted.isDirectory()) {
    if (wanted.size !== found.size) return "size";
    if (wanted.nlink !== found.nlink) return "number of links";
  }
  return undefined;
}

function differentTime(path: string, wanted: BigIntStats, found: BigIntStats): string | undefined {
  return wanted.mtimeNs === found.mtimeNs ? undefined : `${path}: another time`;
}

function differenceOfXattrs(path: string, expected: string, actual: string): string | undefined {
  const wanted = listXattrs(expected);
  const found = listXattrs(actual);
  const odd = wanted.find((name) => !found.includes(name)) ?? found.find((name) => !wanted.includes(name));
  const different =
    odd ?? wanted.find((name) => !equalBytes(getXattr(expected, name), getXattr(actual, name)));
  return different === undefined ? undefined : `${path || "."}: another attribute ${different}`;
}

function equalBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}

function equalContent(expected: string, actual: string): boolean {
  const [a, b] = [openSync(fsPath(expected), "r"), openSync(fsPath(actual), "r")];
  try {
    const [one, other] = BUFFERS;
    for (;;) {
      const length = readFully(a, one);
      if (readFully(b, other) !== length) return false;
      if (Buffer.compare(one.subarray(0, length), other.subarray(0, length)) !== 0) return false;
      if (length < CHUNK) return true;
    }
  } finally {
    closeSync(a);
    closeSync(b);
  }
}

const BUFFERS = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)] as const;

/** Fills the buffer unless the file ends; returns how much it got. */
function readFully(fd: number, buffer: Buffer): number {
  let at = 0;
  while (at < buffer.length) {
    const length = readSync(fd, buffer, at, buffer.length - at, null);
    if (length === 0) break;
    at += length;
  }
  return at;
}
