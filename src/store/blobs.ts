/** blobs/sha256/HEX: content by digest. Written under a temporary name and hashed on the way; store.ts renames it. */
import {
  closeSync,
  createReadStream,
  existsSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Digest, Digester, digestHex, digestOf } from "../base/digest.ts";
import { CooperError, errnoOf } from "../base/errors.ts";
import { SyncAhead } from "../base/sync-ahead.ts";

export interface BlobRef {
  digest: Digest;
  size: number;
}

/** Path of a blob, present or not. */
export function blobPath(root: string, digest: Digest): string {
  return join(root, "blobs/sha256", digestHex(digest));
}

/** Whether the store holds a blob. */
export function hasBlob(root: string, digest: Digest): boolean {
  return existsSync(blobPath(root, digest));
}

/** Bytes of a stored blob of at most a few megabytes, checked against its digest. Throws `not-found`, `integrity`. */
export function readBlob(root: string, digest: Digest): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(blobPath(root, digest));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new CooperError("not-found", `The store has no blob ${digest}`, { cause: error });
  }
  if (digestOf(bytes) !== digest) throw new CooperError("integrity", `The stored blob ${digest} is damaged`);
  return bytes;
}

/** Streams a stored blob; whoever reads it verifies it. */
export function streamBlob(root: string, digest: Digest): AsyncIterable<Uint8Array> {
  return createReadStream(blobPath(root, digest), { highWaterMark: 1 << 20 });
}

/** Writes bytes that are at hand to a new file, durably. */
export function writeBytes(bytes: Uint8Array, temporary: string): BlobRef {
  const fd = openSync(temporary, "wx", 0o600);
  try {
    writeAll(fd, bytes);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return { digest: digestOf(bytes), size: bytes.length };
}

/**
 * Writes a stream to a new file, durably. With `expected`, anything else than those bytes is an `integrity` error. The
 * file is gone when this throws.
 */
export async function writeStream(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  temporary: string,
  expected?: BlobRef,
): Promise<BlobRef> {
  const digester = new Digester();
  const fd = openSync(temporary, "wx", 0o600);
  const sync = new SyncAhead(fd);
  try {
    for await (const chunk of content) {
      digester.update(chunk);
      if (expected !== undefined && digester.size > expected.size) break;
      writeAll(fd, chunk);
      sync.wrote(chunk.length);
    }
    const found = { digest: digester.digest(), size: digester.size };
    if (expected !== undefined) verify(found, expected);
    await sync.finish();
    return found;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    await sync.stop();
    closeSync(fd);
  }
}

function verify(found: BlobRef, expected: BlobRef): void {
  if (found.size !== expected.size) {
    const size = found.size > expected.size ? "more" : `${found.size}`;
    throw new CooperError(
      "integrity",
      `Blob ${expected.digest} should have ${expected.size} bytes and has ${size}`,
    );
  }
  if (found.digest !== expected.digest) {
    throw new CooperError(
      "integrity",
      `Blob ${expected.digest} has other content: its digest is ${found.digest}`,
    );
  }
}

/** Writes all of a chunk; write(2) may take less at a time. */
function writeAll(fd: number, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at, chunk.length - at);
}
