/**
 * Compression of streams, on all cores. A stream is cut into blocks at fixed places, each block is compressed by itself,
 * and the results follow each other: gzip streams of many members and zstd streams of many frames, which every reader of
 * layers takes. So the bytes are the same however many threads there are and however the stream arrives.
 */
import { BLOCK_BYTES, type BlockFormat, compressBlock, DEFAULT_LEVEL } from "./compress-block.ts";
import { releaseChunk } from "./chunk-buffer.ts";
import { type Block, blocksAhead, compressBlockSomewhere, startWorkers } from "./compress-pool.ts";

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Compresses a stream; equal content gives equal bytes, with no time and no system in gzip's header. `level` is the
 * format's own (gzip 1…9, zstd 1…19), its default when absent. What is in memory at a time is a few blocks.
 */
export async function* compress(
  stream: Chunks,
  format: "none" | "gzip" | "zstd",
  level?: number,
): AsyncGenerator<Uint8Array, void> {
  if (format === "none") yield* stream;
  else yield* compressBlocks(stream, { name: format, level: level ?? DEFAULT_LEVEL[format] });
}

async function* compressBlocks(stream: Chunks, format: BlockFormat): AsyncGenerator<Uint8Array, void> {
  const spare: ArrayBuffer[] = [];
  const release = (buffer: ArrayBuffer) => {
    spare.push(buffer);
  };
  const ahead = blocksAhead();
  const underway: Promise<Uint8Array>[] = [];
  let count = 0;
  let held: Block | undefined; // The first block waits for the second: alone it needs no threads.
  try {
    for await (const block of cutBlocks(stream, BLOCK_BYTES[format.name], spare)) {
      count++;
      if (count === 1) {
        held = block;
        continue;
      }
      if (count === 2) startWorkers();
      if (held !== undefined) underway.push(compressBlockSomewhere(held, format, release));
      held = block;
      while (underway.length >= ahead) yield await underway.shift()!;
    }
    if (count <= 1) {
      yield compressBlock(new Uint8Array(held?.buffer ?? new ArrayBuffer(0), 0, held?.length ?? 0), format);
      return;
    }
    if (held !== undefined) underway.push(compressBlockSomewhere(held, format, release));
    while (underway.length > 0) yield await underway.shift()!;
  } finally {
    // Whoever stops early does not hear of the rest.
    await Promise.allSettled(underway);
  }
}

/** The same bytes in blocks of one size. */
async function* cutBlocks(stream: Chunks, size: number, spare: ArrayBuffer[]): AsyncGenerator<Block, void> {
  let buffer: ArrayBuffer | undefined;
  let filled = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      buffer ??= spare.pop() ?? new ArrayBuffer(size);
      const part = chunk.subarray(at, at + size - filled);
      new Uint8Array(buffer, filled).set(part);
      at += part.length;
      filled += part.length;
      if (filled < size) continue;
      yield { buffer, length: filled };
      buffer = undefined;
      filled = 0;
    }
    releaseChunk(chunk);
  }
  if (buffer !== undefined && filled > 0) yield { buffer, length: filled };
}
