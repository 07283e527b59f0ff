/** The tar in a compressed layer, while it streams. */
import { decompress } from "../archive/compression.ts";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";

/**
 * Decompresses a stream, whatever it is compressed with, and checks that the tar is the one that the config means.
 * Throws `integrity` before the end otherwise. `what` names the layer in errors.
 */
export function decodeLayer(
  content: AsyncIterable<Uint8Array>,
  diffId: Digest,
  what: string,
): AsyncIterable<Uint8Array> {
  const input = { isRead: false };
  return checkDiffId(decompress(toEnd(content, input), what), diffId, what, input);
}

/** Notes that content was read to its end, where it is verified. */
async function* toEnd(
  content: AsyncIterable<Uint8Array>,
  input: { isRead: boolean },
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* content;
  input.isRead = true;
}

async function* checkDiffId(
  content: AsyncIterable<Uint8Array>,
  diffId: Digest,
  what: string,
  input: { isRead: boolean },
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = new Digester();
  for await (const chunk of content) {
    digester.update(chunk);
    yield chunk;
  }
  const found = digester.digest();
  if (found !== diffId) {
    throw new CooperError(
      "integrity",
      `${what} is not the one that the image's config names: its diff_id is ${found}, not ${diffId}`,
    );
  }
  // A decompressor may stop where its format ends, and leave the rest unread and unverified.
  if (!input.isRead)
    throw new CooperError("integrity", `${what} has other bytes behind its compressed content`);
}
