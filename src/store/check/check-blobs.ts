/** Blobs against their digests. */
import { closeSync, openSync, readSync } from "node:fs";
import { type Digest, Digester } from "../../base/digest.ts";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { blobPath } from "../blobs.ts";
import type { Checking } from "./fault.ts";

const CHUNK = 1 << 20;
/** Bytes after which others get their turn. */
const TURN = 64 * CHUNK;

/** Reads every blob. */
export async function checkBlobs({ store, inventory, damage, signal }: Checking): Promise<void> {
  const buffer = Buffer.alloc(CHUNK);
  for (const digest of inventory.blobs) {
    signal?.throwIfAborted();
    const problem = await problemOf(blobPath(store.root, digest), digest, buffer, signal);
    if (problem !== undefined) damage.set(digest, problem);
  }
}

async function problemOf(
  path: string,
  digest: Digest,
  buffer: Buffer,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? "missing" : messageOf(error);
  }
  try {
    const digester = new Digester();
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      digester.update(buffer.subarray(0, length));
      if (digester.size % TURN < CHUNK) await Bun.sleep(0);
      signal?.throwIfAborted();
    }
    const found = digester.digest();
    return found === digest ? undefined : `its content has the digest ${found}`;
  } catch (error) {
    if (signal?.aborted) throw error;
    return `it cannot be read: ${messageOf(error)}`;
  } finally {
    closeSync(fd);
  }
}
