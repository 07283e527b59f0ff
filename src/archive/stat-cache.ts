/** What is known of files from what stat(2) says of them, without reading them again. */
import type { BigIntStats } from "node:fs";
import { type Digest, Digester } from "../base/digest.ts";
import { encodeName } from "../base/path-bytes.ts";
import type { WalkedEntry } from "./walk-sources.ts";

/** Remembers digests from one run to the next. */
export interface StatCache {
  /** The digest that was put for the same files in the same state. */
  get(state: FileState): Digest | undefined;
  put(state: FileState, digest: Digest): void;
  /** Runs work, or a turn of it, that asks for many files, which may then be answered together. */
  during?<T>(work: () => T): T;
}

/** Files, and everything that changes when one of them does. */
export interface FileState {
  /** Which they are; another state of them takes the place of the one that is remembered. */
  identity: string;
  fingerprint: string;
}

/** Device, inode, size, times, mode and owner: the kernel sets ctime whenever it changes any of them, or an attribute. */
const NUMBERS = 8;

/** State of a file's content. */
export function stateOfFile({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { identity: `${dev}:${ino}`, fingerprint: `${size}:${mtimeNs}:${ctimeNs}` };
}

/** State of entries as a whole, with their paths; `purpose` tells apart what different uses make of the same ones. */
export function stateOfEntries(entries: readonly WalkedEntry[], purpose: string): FileState {
  const numbers = new BigInt64Array(NUMBERS * entries.length);
  entries.forEach(({ stat }, i) => {
    const { dev, ino, size, mtimeNs, ctimeNs, mode, uid, gid } = stat;
    numbers.set([dev, ino, size, mtimeNs, ctimeNs, mode, uid, gid], NUMBERS * i);
  });
  const digester = new Digester();
  digester.update(encodeName(`${purpose}\0${entries.map(({ path }) => path).join("\0")}\0`));
  digester.update(new Uint8Array(numbers.buffer));
  const { dev, ino } = entries[0]!.stat;
  return { identity: `${dev}:${ino}:${purpose}`, fingerprint: digester.digest() };
}

/** More than the clock's resolution, in which a file may change again without its times telling (git's "racy" rule). */
const RESOLUTION_NS = 20_000_000n;

/** Whether the times of a file that was looked at after `since` tell of every change that came after the look. */
export function isSettled({ mtimeNs, ctimeNs }: BigIntStats, since: bigint): boolean {
  return mtimeNs < since - RESOLUTION_NS && ctimeNs < since - RESOLUTION_NS;
}

/** The time, for `isSettled`, in nanoseconds since 1970. */
export function timeNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
