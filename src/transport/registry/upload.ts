/** Sending blobs (OCI distribution spec v1.1, "Push"): in one request when small, else in chunks that can be repeated. */
import { type Digest, Digester } from "../../base/digest.ts";
import { markLost } from "../lost-upload.ts";
import type { BlobRef } from "../types.ts";
import { hasBlob } from "./registry-source.ts";
import { isPassing, Retries, withRetries } from "./retry.ts";
import { discard, type Session } from "./session.ts";

/** Bytes that one request carries, and that are kept for the case that it has to be repeated. */
const CHUNK = 8 << 20;
const LARGEST_CHUNK = 64 << 20;

/** Where an upload goes on. */
interface Upload {
  location: URL;
  chunk: number;
}

/** Sends a blob. `expected` is what the content is known to be; without it the content is hashed on its way. */
export async function uploadBlob(
  session: Session,
  content: AsyncIterable<Uint8Array>,
  expected: BlobRef | undefined,
): Promise<BlobRef> {
  const what = expected === undefined ? "a new blob" : `blob ${expected.digest}`;
  const doing = `Cannot send ${what}`;
  const digester = expected === undefined ? new Digester() : undefined;
  const chunks = new Chunks(hashed(content, digester));
  try {
    const first = await chunks.next(CHUNK);
    if (chunks.isAtEnd) {
      const blob = expected ?? { size: digester!.size, digest: digester!.digest() };
      if (expected !== undefined || !(await hasBlob(session, blob.digest)))
        await sendWhole(session, doing, blob.digest, first);
      return { digest: blob.digest, size: blob.size };
    }
    return await sendChunks(session, doing, chunks, first, () => {
      return expected ?? { size: digester!.size, digest: digester!.digest() };
    });
  } finally {
    await chunks.close();
  }
}

async function* hashed(
  content: AsyncIterable<Uint8Array>,
  digester: Digester | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of content) {
    digester?.update(chunk);
    yield chunk;
  }
}

/** POST, then PUT with all of it; a failed PUT may have ended the upload, so that both are repeated. */
async function sendWhole(session: Session, doing: string, digest: Digest, bytes: Uint8Array): Promise<void> {
  let tries = 0;
  await withRetries(session.settings, async () => {
    if (tries++ > 0 && (await hasBlob(session, digest))) return;
    const { location } = await startUpload(session, doing);
    await finish(session, doing, location, digest, bytes);
  });
}

/** Begins an upload. */
export async function startUpload(session: Session, doing: string): Promise<Upload> {
  const response = await session.send({
    method: "POST",
    to: "blobs/uploads/",
    doing,
    accept: [202],
    body: new Uint8Array(),
  });
  await discard(response);
  const least = Number(response.headers.get("oci-chunk-min-length") ?? 0) || 0;
  return {
    location: await session.resolve(response.headers.get("location"), doing),
    chunk: Math.min(LARGEST_CHUNK, Math.max(CHUNK, least)),
  };
}

async function finish(
  session: Session,
  doing: string,
  location: URL,
  digest: Digest,
  bytes: Uint8Array,
): Promise<void> {
  const to = new URL(location);
  to.searchParams.set("digest", digest);
  const headers = { "Content-Type": "application/octet-stream" };
  const response = await session.send({
    method: "PUT",
    to,
    doing,
    accept: [201, 204],
    headers,
    body: bytes,
    once: true,
  });
  await discard(response);
}

async function sendChunks(
  session: Session,
  doing: string,
  chunks: Chunks,
  first: Uint8Array,
  whatItWas: () => BlobRef,
): Promise<BlobRef> {
  const { location, chunk: size } = await startUpload(session, doing);
  let at: Position = { location, sent: 0 };
  try {
    for (let chunk = first; chunk.length > 0; ) {
      // The next chunk is read (and perhaps compressed) while this one travels.
      const [sent, next] = await both(sendChunk(session, doing, at, chunk), chunks.next(size));
      at = sent;
      chunk = next;
    }
    const blob = whatItWas();
    const retries = new Retries(session.settings);
    for (let isDone = false; !isDone; ) {
      try {
        await finish(session, doing, at.location, blob.digest, new Uint8Array());
        isDone = true;
      } catch (error) {
        // The answer may have been lost, not the request.
        isDone = await hasBlob(session, blob.digest);
        if (!isDone) await retries.wait(error);
      }
    }
    return blob;
  } catch (error) {
    await cancelUpload(session, at.location);
    throw error;
  }
}

/** Both results, or the first's failure before the second's; neither is left running. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (second.status === "rejected") throw second.reason;
  if (first.status === "rejected") throw first.reason;
  return [first.value, second.value];
}

interface Position {
  location: URL;
  /** Bytes that the registry has. */
  sent: number;
}

/** Sends one chunk, or what is missing of it after a failure. */
async function sendChunk(
  session: Session,
  doing: string,
  from: Position,
  chunk: Uint8Array,
): Promise<Position> {
  const end = from.sent + chunk.length;
  const retries = new Retries(session.settings);
  for (let at = from; ; ) {
    try {
      if (at.sent === end) return at;
      const response = await session.send({
        method: "PATCH",
        to: at.location,
        doing,
        accept: [202, 416],
        headers: { "Content-Type": "application/octet-stream", "Content-Range": `${at.sent}-${end - 1}` },
        body: chunk.subarray(at.sent - from.sent),
        once: true,
      });
      await discard(response);
      // It was still busy with what came before the connection was lost.
      if (response.status === 416) throw session.failure(doing, { code: "ECONNRESET" });
      return { location: await session.resolve(response.headers.get("location"), doing), sent: end };
    } catch (error) {
      if (!isPassing(error)) throw error;
      await retries.wait(error);
      at = await askPosition(session, doing, at.location, error);
      if (at.sent < from.sent || at.sent > end) throw markLost(error);
    }
  }
}

/**
 * How much of an upload the registry has. Some cannot tell once it is not what their last answer said (distribution 2
 * keeps the state of an upload in its address): then the upload is lost.
 */
async function askPosition(
  session: Session,
  doing: string,
  location: URL,
  cause: unknown,
): Promise<Position> {
  const accept = [200, 202, 204, 400, 404, 416];
  const response = await session.send({ method: "GET", to: location, doing, accept });
  await discard(response);
  if (response.status >= 400) throw markLost(cause);
  const range = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("range") ?? "0-0");
  if (range === null) throw markLost(cause);
  const last = Number(range[1]);
  const next = response.headers.get("location");
  return {
    location: next === null ? location : await session.resolve(next, doing),
    // `0-0` is what registries say of an upload that has nothing yet; a first chunk of one byte does not occur.
    sent: last === 0 ? 0 : last + 1,
  };
}

/** Tells the registry that no more comes; it would find out by itself in time. */
export async function cancelUpload(session: Session, location: URL): Promise<void> {
  if (session.settings.signal?.aborted) return;
  try {
    const accept = [200, 202, 204, 404];
    const call = { method: "DELETE", to: location, doing: "Cannot end an upload", once: true } as const;
    await discard(await session.send({ ...call, accept }));
  } catch {
    // The failure that led here is the one to be told.
  }
}

/**
 * Asks the registry to take a blob from another repository of its own. false when it would rather have it sent.
 */
export async function mountBlob(session: Session, digest: Digest, from: string): Promise<boolean> {
  const doing = `Cannot mount blob ${digest} from ${from}`;
  const response = await session.send({
    method: "POST",
    to: `blobs/uploads/?${new URLSearchParams({ mount: digest, from })}`,
    doing,
    // Registries refuse in many ways; then the blob is sent.
    accept: [201, 202, 400, 401, 403, 404, 405],
    body: new Uint8Array(),
    scopes: [`repository:${from}:pull`],
  });
  await discard(response);
  if (response.status === 202) {
    const location = response.headers.get("location");
    if (location !== null) await cancelUpload(session, await session.resolve(location, doing));
  }
  return response.status === 201;
}

/** Cuts a stream into pieces of a wanted size. */
class Chunks {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();
  isAtEnd = false;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#iterator = content[Symbol.asyncIterator]();
  }

  /** The next bytes: as many as asked for, or fewer at the end. */
  async next(size: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    while (length < size) {
      const piece = await this.#take();
      if (piece === undefined) break;
      const wanted = piece.subarray(0, size - length);
      // What is kept while the stream goes on must be its own: producers reuse their buffers.
      pieces.push(wanted.slice());
      length += wanted.length;
      this.#rest = piece.subarray(wanted.length);
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  async #take(): Promise<Uint8Array | undefined> {
    if (this.#rest.length > 0) return this.#rest;
    if (this.isAtEnd) return undefined;
    const { done, value } = await this.#iterator.next();
    if (!done) return value;
    this.isAtEnd = true;
    return undefined;
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}
