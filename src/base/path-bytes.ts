/**
 * File names are bytes. Cooper carries them as strings in which each byte that is not valid UTF-8 stands as a lone
 * surrogate U+DC80…U+DCFF (as in Python's PEP 383), so that names compare, join and round-trip without loss.
 */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from "node:fs";
import { errnoOf } from "./errors.ts";

const ESCAPED = /[\udc80-\udcff]/;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes → name. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeMixed(bytes);
  }
}

function decodeMixed(bytes: Uint8Array): string {
  let out = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    const piece = bytes.subarray(at, at + length);
    try {
      out += strict.decode(piece);
      at += length;
    } catch {
      out += String.fromCharCode(0xdc00 + bytes[at]!);
      at++;
    }
  }
  return out;
}

function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}

/** Name → bytes. */
export function encodeName(name: string): Buffer {
  if (!ESCAPED.test(name)) return Buffer.from(name, "utf8");
  const parts: Buffer[] = [];
  for (const char of name) {
    const code = char.charCodeAt(0);
    const escaped = char.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(escaped ? Buffer.from([code - 0xdc00]) : Buffer.from(char, "utf8"));
  }
  return Buffer.concat(parts);
}

/** What `node:fs` must be given for a path: itself, or its bytes when it is not valid UTF-8. */
export function fsPath(path: string): string | Buffer {
  return ESCAPED.test(path) ? encodeName(path) : path;
}

/** Names in a directory, in no particular order, without loss. */
export function readNames(directory: string): string[] {
  const path = fsPath(directory);
  const names = readdirSync(path);
  // U+FFFD marks a name that Node could not decode: read that directory again as bytes.
  if (!names.some((name) => name.includes("\ufffd"))) return names;
  return (readdirSync(path, { encoding: "buffer" }) as Buffer[]).map(decodeName);
}

/** Target of a symbolic link, without loss. */
export function readLink(path: string): string {
  const target = readlinkSync(fsPath(path));
  return target.includes("\ufffd") ? decodeName(readlinkSync(fsPath(path), { encoding: "buffer" })) : target;
}

/** Status of a path itself, exact to the nanosecond, or undefined where nothing is. */
export function statusOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Orders names by their bytes, as `sort` does in the C locale and as every tar writer that is deterministic. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // UTF-16 order is byte order unless one side is a surrogate.
    if (x < 0xd800 && y < 0xd800) return x - y;
    return Buffer.compare(encodeName(a), encodeName(b));
  }
  return a.length - b.length;
}
