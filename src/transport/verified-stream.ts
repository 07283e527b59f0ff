/** Streams that end well only if they were what their descriptor says. */
import { type Digest, Digester, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { MAX_DOCUMENT_BYTES } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";
import type { BlobRef, Source } from "./types.ts";

/** How much is read before other work (signals, timers, other streams) gets its turn. */
const TURN_BYTES = 16 << 20;

/**
 * Passes content on and throws `integrity` instead of ending when its size or digest is not the expected one; stops at
 * the first byte too many. `side` names where the content comes from. An aborted signal throws `cancelled`.
 */
export async function* verifiedStream(
  content: AsyncIterable<Uint8Array>,
  expected: BlobRef,
  side: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = new Digester();
  for await (const chunk of sizedStream(content, expected, side, signal)) {
    digester.update(chunk);
    yield chunk;
  }
  checkDigest(digester.digest(), expected, side);
}

/** As verifiedStream(), for whoever hashes the content elsewhere: its digest is not looked at. */
export async function* sizedStream(
  content: AsyncIterable<Uint8Array>,
  expected: BlobRef,
  side: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0;
  let turn = 0;
  for await (const chunk of signal === undefined ? content : abortable(content, signal, side)) {
    size += chunk.length;
    if (size > expected.size) throw wrongSize(expected, side, "more");
    yield chunk;
    turn += chunk.length;
    if (turn < TURN_BYTES) continue;
    turn = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throwIfAborted(signal, side);
  if (size < expected.size) throw wrongSize(expected, side, `only ${size}`);
}

/** Throws `integrity` when content that was expected from `side` has another digest. */
export function checkDigest(digest: Digest, expected: BlobRef, side: string): void {
  if (digest === expected.digest) return;
  throw new CooperError(
    "integrity",
    `Content of ${expected.digest} from ${side} is damaged: its digest is ${digest}`,
  );
}

/** Passes content on until the signal is aborted, which ends a wait for the next chunk too. */
async function* abortable(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  side: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = content[Symbol.asyncIterator]();
  // One promise for each wait: reactions to a single long-lived one would pile up with the chunks.
  let giveUp = () => {};
  const onAbort = () => giveUp();
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      throwIfAborted(signal, side);
      const { done, value } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = () => reject(cancelled(signal, side));
        iterator.next().then(resolve, reject);
      });
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    const ended = iterator.return?.();
    // What is stuck would not end either; it has the signal too.
    if (signal.aborted) ended?.catch(() => {});
    else await ended;
  }
}

function wrongSize(expected: BlobRef, side: string, found: string): CooperError {
  return new CooperError(
    "integrity",
    `Content of ${expected.digest} from ${side} should have ${expected.size} bytes and has ${found}`,
  );
}

/** Throws `cancelled` once a signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw cancelled(signal, what);
}

function cancelled(signal: AbortSignal, what: string): CooperError {
  return new CooperError("cancelled", `Copying ${what} was cancelled`, { cause: signal.reason });
}

/** A manifest, index or config of a source, verified. Throws `integrity`; `invalid` when it is unreasonably large. */
export async function fetchDocument(
  source: Source,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (descriptor.size > MAX_DOCUMENT_BYTES) {
    throw new CooperError(
      "invalid",
      `${descriptor.digest} in ${source.name} has ${descriptor.size} bytes, more than the ${MAX_DOCUMENT_BYTES} allowed for a document`,
    );
  }
  const chunks: Uint8Array[] = [];
  const content = await source.fetch(descriptor, signal);
  for await (const chunk of verifiedStream(content, descriptor, source.name, signal)) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/** Checks bytes that are at hand against a descriptor. Throws `integrity`. */
export function verifyBytes(bytes: Uint8Array, expected: BlobRef, side: string): void {
  if (bytes.length === expected.size && digestOf(bytes) === expected.digest) return;
  throw new CooperError(
    "integrity",
    `Content given to ${side} is not ${expected.digest} (${expected.size} bytes)`,
  );
}
