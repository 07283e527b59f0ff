/** Compresses one block of a stream by itself, on whatever thread: equal blocks give equal bytes. */

/** What to make of a block. */
export interface BlockFormat {
  name: "gzip" | "zstd";
  /** The format's own: gzip 1…12, zstd 1…22. */
  level: number;
}

/** A block of a stream, at the start of memory that all threads see. Nobody writes into it while it is worked on. */
export interface Block {
  memory: SharedArrayBuffer;
  length: number;
}

/** The bytes of a block. */
export function bytesOf({ memory, length }: Block): Uint8Array<ArrayBuffer> {
  // Bun's functions take shared memory; its types do not know.
  return new Uint8Array(memory as ArrayBufferLike as ArrayBuffer, 0, length);
}

/** Bytes of the blocks that a stream is cut into; the last one may be shorter. zstd finds matches further away. */
export const BLOCK_BYTES = { gzip: 1 << 20, zstd: 2 << 20 } as const;

/**
 * libdeflate's 5 gives what zlib gives at its default 6, a little less, in 60 % of the time; 6 takes a quarter longer for
 * 0.6 %.
 */
export const DEFAULT_LEVEL = { gzip: 5, zstd: 3 } as const;

/**
 * Members of a gzip stream (RFC 1952, 2.2), or one zstd frame (without a checksum: a blob has its digest). Each piece has
 * memory of its own.
 */
export function compressBlock(
  block: Uint8Array<ArrayBuffer>,
  format: BlockFormat,
): Uint8Array<ArrayBuffer>[] {
  return format.name === "gzip" ? gzipBlock(block, format.level) : [zstdBlock(block, format.level)];
}

function zstdBlock(block: Uint8Array<ArrayBuffer>, level: number): Uint8Array<ArrayBuffer> {
  return Bun.zstdCompressSync(block, { level }) as Buffer<ArrayBuffer>;
}

const PIECE = 128 << 10;

/** Pieces that do not compress are stored: trying takes most of the time that a layer with archives in it needs. */
function gzipBlock(block: Uint8Array<ArrayBuffer>, level: number): Uint8Array<ArrayBuffer>[] {
  const members: Uint8Array<ArrayBuffer>[] = [];
  let start = 0;
  let storing = isDense(block.subarray(0, PIECE));
  for (let at = PIECE; at < block.length; at += PIECE) {
    const dense = isDense(block.subarray(at, at + PIECE));
    if (dense === storing) continue;
    members.push(gzipMember(block.subarray(start, at), storing ? 0 : level));
    start = at;
    storing = dense;
  }
  members.push(gzipMember(block.subarray(start), storing ? 0 : level));
  return members;
}

function gzipMember(bytes: Uint8Array<ArrayBuffer>, level: number): Uint8Array<ArrayBuffer> {
  // libdeflate's header has no time and names no system.
  return Bun.gzipSync(bytes, { level: level as 0, library: "libdeflate" });
}

const SAMPLE = 4096;
const counts = new Uint16Array(256);

/**
 * Whether compressing would save less than one byte in a hundred. Bytes that are distributed evenly give a sum of
 * squares of about SAMPLE²/256 + SAMPLE, text and programs several times that; zstd then looks for repetitions.
 */
function isDense(piece: Uint8Array<ArrayBuffer>): boolean {
  if (piece.length < SAMPLE) return false;
  counts.fill(0);
  const step = Math.floor(piece.length / SAMPLE);
  for (let i = 0; i < SAMPLE; i++) counts[piece[i * step]!]!++;
  let squares = 0;
  for (let i = 0; i < 256; i++) squares += counts[i]! * counts[i]!;
  if (squares > 1.25 * ((SAMPLE * SAMPLE) / 256 + SAMPLE)) return false;
  return zstdBlock(piece, 1).length > 0.99 * piece.length;
}
