/** Files that hold blobs: written under a temporary name, hashed on the way, synced and renamed; read in pieces. */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Digester } from "../base/digest.ts";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { SyncAhead } from "../base/sync-ahead.ts";
import type { BlobRef } from "./types.ts";

const CHUNK = 1 << 20;

/** Writes all of a chunk at the file's position, or at `position`; write(2) may take less at a time. */
export function writeAll(fd: number, chunk: Uint8Array, position?: number): void {
  for (let at = 0; at < chunk.length; ) {
    at += writeSync(fd, chunk, at, chunk.length - at, position === undefined ? null : position + at);
  }
}

/** A name for a file that is being written, beside or in `directory`; tells whose it is when it is left behind. */
export function temporaryName(directory: string, label = ""): string {
  return join(directory, `.cooper-${label}${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
}

/** Gives content to `write` as it comes. Without `expected` it is hashed; with it, it was verified on the way. */
export async function writeContent(
  write: (chunk: Uint8Array) => void,
  content: AsyncIterable<Uint8Array>,
  expected?: BlobRef,
): Promise<BlobRef> {
  if (expected !== undefined) {
    for await (const chunk of content) write(chunk);
    return { digest: expected.digest, size: expected.size };
  }
  const digester = new Digester();
  for await (const chunk of content) {
    digester.update(chunk);
    write(chunk);
  }
  return { size: digester.size, digest: digester.digest() };
}

/** Stores content durably under the name that `pathOf` gives for what it turned out to be. */
export async function writeBlobFile(
  directory: string,
  content: AsyncIterable<Uint8Array>,
  expected: BlobRef | undefined,
  pathOf: (blob: BlobRef) => string,
): Promise<BlobRef> {
  const temporary = temporaryName(directory);
  const fd = openSync(temporary, "wx", 0o644);
  const sync = new SyncAhead(fd);
  const write = (chunk: Uint8Array) => {
    writeAll(fd, chunk);
    sync.wrote(chunk.length);
  };
  try {
    const blob = await writeContent(write, content, expected);
    await sync.finish();
    renameSync(temporary, pathOf(blob));
    return blob;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    await sync.stop();
    closeSync(fd);
  }
}

/** Replaces a small file in one step; after a crash there is the old or the new one. */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  const temporary = temporaryName(dirname(path));
  const fd = openSync(temporary, "wx", 0o644);
  try {
    writeAll(fd, Buffer.from(bytes));
    fdatasyncSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  syncDirectory(dirname(path));
}

const STALE_MILLISECONDS = 24 * 3600 * 1000;

/** Removes temporary files that a killed process left in a directory long ago. */
export function removeStaleFiles(directory: string): void {
  const limit = Date.now() - STALE_MILLISECONDS;
  for (const entry of readdirSync(directory)) {
    if (!entry.startsWith(".cooper-")) continue;
    const path = join(directory, entry);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && stat.mtimeMs < limit) rmSync(path, { force: true });
  }
}

/** Makes renames in a directory durable, where its file system can. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
  } finally {
    closeSync(fd);
  }
}

/** Content of a file; `what` names it in errors. Throws `not-found` at once, other failures when it is read. */
export function openBlobFile(path: string, what: string): AsyncIterable<Uint8Array> {
  if (sizeOf(path) === undefined)
    throw new CooperError("not-found", `Cannot open ${what}: ${path} is not a file`);
  return readWhole(path, what);
}

/** Opens a file for reading; `what` names it in errors. Throws `not-found`, `denied` or `system`. */
export function openForReading(path: string, what: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw fileError(`Cannot open ${what}`, path, error);
  }
}

/** A failed file operation as an error that says what it means for the user. */
export function fileError(doing: string, path: string, cause: unknown): CooperError {
  switch (errnoOf(cause)) {
    case "ENOENT":
      return new CooperError("not-found", `${doing}: ${path} does not exist`, { cause });
    case "EACCES":
    case "EPERM":
      return new CooperError("denied", `${doing}: permission denied for ${path}`, { cause });
    default:
      return wrapError(doing, cause);
  }
}

async function* readWhole(path: string, what: string): AsyncGenerator<Uint8Array, void, undefined> {
  const fd = openForReading(path, what);
  try {
    yield* readRange(fd, 0, Number.POSITIVE_INFINITY);
  } finally {
    closeSync(fd);
  }
}

/** Part of an open file, which stays open. Ends early where the file does. */
export async function* readRange(
  fd: number,
  offset: number,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < size; ) {
    const wanted = Math.min(CHUNK, size - at);
    const chunk = Buffer.allocUnsafe(wanted);
    const count = readSync(fd, chunk, 0, wanted, offset + at);
    if (count === 0) return;
    yield chunk.subarray(0, count);
    at += count;
  }
}

/** Size of a regular file, or undefined when there is none at that path. Throws `denied`, `system`. */
export function sizeOf(path: string): number | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() ? stat.size : undefined;
  } catch (error) {
    if (errnoOf(error) === "ENOTDIR") return undefined;
    throw fileError("Cannot look up a file", path, error);
  }
}
