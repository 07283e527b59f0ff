/** Gathers the bytes of an archive into large chunks. */

/** Bytes of a full chunk. */
export const CHUNK = 1 << 20;

const ZEROS = new Uint8Array(CHUNK);

/** Memory of chunks that are with their receivers, and of those that came back. */
const lent = new WeakSet<ArrayBufferLike>();
const spare: ArrayBufferLike[] = [];
const MOST_SPARE = 4;

function newChunk(): Buffer {
  const memory = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK).buffer;
  lent.add(memory);
  return Buffer.from(memory);
}

/**
 * Gives back a chunk that nobody reads any more, wherever it came from: memory of a ChunkBuffer serves the next chunk. Fresh
 * memory for each costs a tenth of the time in which a layer is packed.
 */
export function releaseChunk({ buffer }: Uint8Array): void {
  if (spare.length < MOST_SPARE && lent.delete(buffer)) spare.push(buffer);
}

/**
 * Bytes written go into the current chunk; full chunks wait in `take`. Each chunk is a buffer of its own, which the
 * receiver may keep for as long as it likes, and give back by releaseChunk(), but, since runs of zeros are shared, must not
 * write into.
 */
export class ChunkBuffer {
  #buffer = newChunk();
  #at = 0;
  #full: Uint8Array[] = [];

  /** Whether chunks wait. */
  get ready(): boolean {
    return this.#full.length > 0;
  }

  /** The chunks that are full, oldest first. */
  take(): Uint8Array[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** Ends the current chunk, however full it is. */
  flush(): void {
    if (this.#at === 0) return;
    this.#full.push(this.#buffer.subarray(0, this.#at));
    this.#buffer = newChunk();
    this.#at = 0;
  }

  /** Free room of the current chunk, at least `least` bytes; `filled` says how many of them are used. */
  room(least: number): Buffer {
    if (CHUNK - this.#at < least) this.flush();
    return this.#buffer.subarray(this.#at);
  }

  filled(bytes: number): void {
    this.#at += bytes;
    if (this.#at === CHUNK) this.flush();
  }

  /** Copies bytes, or passes them on as they are when they are more than a chunk. */
  write(bytes: Uint8Array): void {
    if (bytes.length > CHUNK) {
      this.flush();
      this.#full.push(bytes);
      return;
    }
    this.room(bytes.length).set(bytes);
    this.filled(bytes.length);
  }

  /** Zeros, at most `limit` of them; returns how many. Long runs cost no memory. */
  zeros(limit: number): number {
    if (limit < CHUNK) {
      const count = Math.min(limit, CHUNK - this.#at);
      this.#buffer.fill(0, this.#at, this.#at + count);
      this.filled(count);
      return count;
    }
    this.flush();
    this.#full.push(ZEROS);
    return CHUNK;
  }
}
