/**
 * Compression of streams, on all cores. A stream is cut into blocks at fixed places, each block is compressed by itself,
 * and the results follow each other: gzip streams of many members and zstd streams of many frames, which every reader of
 * layers takes. So the bytes are the same however many threads there are and however the stream arrives.
 */
import { type Digest, Digester, digestOf } from "../base/digest.ts";
import {
  type Block,
  BLOCK_BYTES,
  type BlockFormat,
  bytesOf,
  compressBlock,
  DEFAULT_LEVEL,
} from "./compress-block.ts";
import { releaseChunk } from "./chunk-buffer.ts";
import { blocksAhead, compressBlockSomewhere, startWorkers } from "./compress-pool.ts";
import { BlockHasher } from "./hash-thread.ts";

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Learns what was compressed, behind the last bytes of the result; what it throws ends the result with an error. */
export type CheckDigest = (uncompressed: Digest) => void;

/**
 * Compresses a stream; equal content gives equal bytes, with no time and no system in gzip's header. `level` is the
 * format's own (gzip 1…9, zstd 1…19), its default when absent. With `check` the stream is hashed as well, on a thread of
 * its own where it is long. What is in memory at a time is a few blocks.
 */
export async function* compress(
  stream: Chunks,
  format: "none" | "gzip" | "zstd",
  level?: number,
  check?: CheckDigest,
): AsyncGenerator<Uint8Array, void> {
  if (format === "none") yield* checked(stream, check);
  else yield* compressBlocks(stream, { name: format, level: level ?? DEFAULT_LEVEL[format] }, check);
}

async function* checked(stream: Chunks, check: CheckDigest | undefined): AsyncGenerator<Uint8Array, void> {
  const digester = new Digester();
  for await (const chunk of stream) {
    if (check !== undefined) digester.update(chunk);
    yield chunk;
  }
  check?.(digester.digest());
}

async function* compressBlocks(
  stream: Chunks,
  format: BlockFormat,
  check: CheckDigest | undefined,
): AsyncGenerator<Uint8Array, void> {
  const spare: SharedArrayBuffer[] = [];
  const ahead = blocksAhead();
  const underway: Promise<Uint8Array[]>[] = [];
  let hasher: BlockHasher | undefined;
  const work = async (block: Block) => {
    const [compressed] = await Promise.all([compressBlockSomewhere(block, format), hasher?.update(block)]);
    spare.push(block.memory);
    return compressed;
  };
  let held: Block | undefined; // The first block waits for the second: alone it needs no threads.
  let isFirst = true;
  try {
    for await (const block of cutBlocks(stream, BLOCK_BYTES[format.name], spare)) {
      if (held !== undefined) {
        if (isFirst) {
          startWorkers();
          if (check !== undefined) hasher = new BlockHasher();
          isFirst = false;
        }
        underway.push(work(held));
      }
      held = block;
      while (underway.length >= ahead) yield* await underway.shift()!;
    }
    if (isFirst) {
      const all = held === undefined ? new Uint8Array() : bytesOf(held);
      yield* compressBlock(all, format);
      check?.(digestOf(all));
      return;
    }
    underway.push(work(held!));
    while (underway.length > 0) yield* await underway.shift()!;
    if (hasher !== undefined) check!(await hasher.digest());
  } finally {
    // Whoever stops early does not hear of the rest.
    await Promise.allSettled(underway);
  }
}

/** The same bytes in blocks of one size. */
async function* cutBlocks(
  stream: Chunks,
  size: number,
  spare: SharedArrayBuffer[],
): AsyncGenerator<Block, void> {
  let memory: SharedArrayBuffer | undefined;
  let filled = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      memory ??= spare.pop() ?? new SharedArrayBuffer(size);
      const part = chunk.subarray(at, at + size - filled);
      new Uint8Array(memory, filled).set(part);
      at += part.length;
      filled += part.length;
      if (filled < size) continue;
      yield { memory, length: filled };
      memory = undefined;
      filled = 0;
    }
    releaseChunk(chunk);
  }
  if (memory !== undefined && filled > 0) yield { memory, length: filled };
}
