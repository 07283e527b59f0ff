/** Compressed streams: recognised by their first bytes, read in every format that layers and archives come in. */
import { closeSync, openSync, readSync } from "node:fs";
import type { Transform } from "node:stream";
import { CooperError, messageOf, wrapError } from "../base/errors.ts";
import { fsPath } from "../base/path-bytes.ts";
import { findProgram } from "../base/process.ts";
import { BLOCK } from "./tar-entry.ts";
import { checksumMatches, isZeroBlock } from "./tar-fields.ts";
import { bounded, counting, type UnpackLimits, unpackLimits } from "./unpack-limits.ts";

export type Compression = "none" | "gzip" | "bzip2" | "xz" | "zstd";

const MAGIC: [Compression, number[]][] = [
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
];

/** How many bytes from the start `detectCompression` wants to see. */
export const MAGIC_LENGTH = 6;

/** Format of a stream that begins with these bytes; "none" when they are no known format's. */
export function detectCompression(start: Uint8Array): Compression {
  // A zstd stream may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F, little endian.
  if (
    start.length >= 4 &&
    (start[0]! & 0xf0) === 0x50 &&
    start[1] === 0x2a &&
    start[2] === 0x4d &&
    start[3] === 0x18
  ) {
    return "zstd";
  }
  return MAGIC.find(([, magic]) => magic.every((byte, i) => start[i] === byte))?.[0] ?? "none";
}

/**
 * The content of a stream in whatever format it is compressed, or the stream itself. gzip streams of several members and
 * zstd streams of several frames are read whole. bzip2 and xz need the host's programs of these names: `unsupported`
 * without them. Damaged data is `invalid`, and so is more content than the limits allow; `what` begins that error.
 */
export async function* decompress(
  stream: AsyncIterable<Uint8Array>,
  what: string,
  limits: UnpackLimits = unpackLimits(),
): AsyncGenerator<Uint8Array, void> {
  const packed = { bytes: 0 };
  yield* bounded(decompressAll(counting(stream, packed)), packed, what, limits);
}

/** The same for content that was judged before, or of which the beginning is read. */
export async function* decompressAll(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const { start, whole } = await peek(stream);
  const format = detectCompression(start);
  if (format === "none") yield* whole;
  else if (format === "gzip") yield* throughGunzip(whole);
  else if (format === "zstd") yield* throughZstd(whole);
  else yield* throughProgram(format, whole);
}

/**
 * Whether a file of the host is a tar archive with at least one entry, compressed in whatever way: what ADD unpacks.
 * Damaged compressed data is no archive; `unsupported` when the program that could tell is missing.
 */
export async function isTarArchive(file: string): Promise<boolean> {
  let start = Buffer.alloc(0);
  try {
    for await (const chunk of decompressAll(readFile(file))) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= BLOCK) break;
    }
  } catch (error) {
    if (error instanceof CooperError && error.code === "invalid") return false;
    throw error;
  }
  return start.length >= BLOCK && checksumMatches(start) && !isZeroBlock(start);
}

async function* readFile(file: string): AsyncGenerator<Uint8Array, void> {
  const fd = openSync(fsPath(file), "r");
  try {
    for (;;) {
      const buffer = Buffer.alloc(PEEK);
      const length = readSync(fd, buffer, 0, PEEK, null);
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

// One block of zstd is at most 128 KiB, one of bzip2 900 kB: most archives tell with the first read.
const PEEK = 64 << 10;

const CHUNK = 256 << 10;

async function peek(
  stream: AsyncIterable<Uint8Array>,
): Promise<{ start: Uint8Array; whole: AsyncGenerator<Uint8Array, void> }> {
  const chunks = stream[Symbol.asyncIterator]();
  const seen: Uint8Array[] = [];
  let length = 0;
  while (length < MAGIC_LENGTH) {
    const next = await chunks.next();
    if (next.done) break;
    seen.push(next.value);
    length += next.value.length;
  }
  async function* whole(): AsyncGenerator<Uint8Array, void> {
    try {
      yield* seen;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    } finally {
      await chunks.return?.();
    }
  }
  return { start: Buffer.concat(seen), whole: whole() };
}

async function* throughGunzip(whole: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  // Loading it takes a millisecond, which commands that unpack nothing are spared.
  const { createGunzip } = await import("node:zlib");
  yield* through(createGunzip({ chunkSize: CHUNK }), whole, "gzip data is damaged");
}

/** Runs a stream through a zlib codec. Only what the consumer asks for is worked on ahead, within the codec's buffers. */
async function* through(
  codec: Transform,
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  failure: string,
): AsyncGenerator<Uint8Array, void> {
  let inputError: unknown;
  const feeding = feed(codec, input).catch((error) => {
    inputError = error;
    codec.destroy(error instanceof Error ? error : new Error(messageOf(error)));
  });
  try {
    for await (const chunk of codec) yield chunk as Uint8Array;
  } catch (error) {
    if (inputError !== undefined) throw inputError;
    throw wrapError(`Stream is unreadable: ${failure}`, error, "invalid");
  } finally {
    codec.destroy();
    await feeding;
  }
}

/** The web stream, since node:zlib's takes a stream that is cut short for complete. */
async function* throughZstd(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let inputError: unknown;
  async function* watched(): AsyncGenerator<Uint8Array, void> {
    try {
      yield* input;
    } catch (error) {
      inputError = error;
      throw error;
    }
  }
  const codec = new DecompressionStream("zstd");
  try {
    // The types of the web streams disagree about which buffers a codec accepts; at run time it takes any.
    yield* readableFrom(watched()).pipeThrough(codec as ReadableWritablePair<Uint8Array, Uint8Array>);
  } catch (error) {
    if (inputError !== undefined) throw inputError;
    throw wrapError("Stream is unreadable: zstd data is damaged", error, "invalid");
  }
}

function readableFrom(chunks: AsyncGenerator<Uint8Array, void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await chunks.return();
    },
  });
}

async function feed(
  codec: Transform,
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of input) {
    if (codec.destroyed) return;
    if (!codec.write(chunk)) await drained(codec);
  }
  codec.end();
}

/** Until the codec takes more, or never will. */
function drained(codec: Transform): Promise<void> {
  if (codec.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      codec.off("drain", done);
      codec.off("close", done);
      codec.off("error", done);
      resolve();
    };
    codec.on("drain", done);
    codec.on("close", done);
    codec.on("error", done);
  });
}

/** Runs a stream through `bzip2` or `xz`, whose formats this runtime does not know. */
async function* throughProgram(
  format: "bzip2" | "xz",
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const program = findProgram(format);
  if (program === undefined) {
    throw new CooperError(
      "unsupported",
      `Cannot read ${format} data: the program ${format} is not installed`,
      {
        hint: `Install ${format === "xz" ? "xz-utils" : format}, or compress with gzip or zstd`,
      },
    );
  }
  const child = Bun.spawn([program, "-d", "-c"], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  let inputError: unknown;
  const feeding = feedProgram(child.stdin, input).catch((error) => {
    inputError = error;
    child.kill();
  });
  const complaint = new Response(child.stderr).text();
  try {
    yield* child.stdout;
    const [status, text] = await Promise.all([child.exited, complaint, feeding]);
    if (inputError !== undefined) throw inputError;
    if (status !== 0) {
      throw new CooperError(
        "invalid",
        `Stream is unreadable: ${format} data is damaged: ${text.trim() || `status ${status}`}`,
      );
    }
  } finally {
    child.kill();
    await Promise.allSettled([feeding, complaint, child.exited]);
  }
}

async function feedProgram(
  stdin: { write(chunk: Uint8Array): number | Promise<number>; flush(): unknown; end(): unknown },
  input: AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    for await (const chunk of input) {
      await stdin.write(chunk);
      await stdin.flush();
    }
  } catch (error) {
    // The program ended before its input did; its status tells why.
    if (messageOf(error).includes("EPIPE")) return;
    throw error;
  } finally {
    await stdin.end();
  }
}
