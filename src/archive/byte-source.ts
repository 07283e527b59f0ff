/** Takes a stream of chunks apart at other places than where its sender cut it. */

const EMPTY = new Uint8Array();

export class ByteSource {
  #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  #ended = false;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Exactly `length` bytes, or what is left when the stream ends before. Valid until the next call. */
  async read(length: number): Promise<Uint8Array> {
    if (this.#chunk.length - this.#at >= length) return this.#cut(length);
    const parts: Uint8Array[] = [];
    let missing = length;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === undefined) break;
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** At least one byte and at most `limit`, without copying; undefined at the end of the stream. */
  async some(limit: number): Promise<Uint8Array | undefined> {
    while (this.#at === this.#chunk.length) {
      if (this.#ended) return undefined;
      const next = await this.#chunks.next();
      if (next.done) {
        this.#ended = true;
        return undefined;
      }
      this.#chunk = next.value;
      this.#at = 0;
    }
    return this.#cut(Math.min(limit, this.#chunk.length - this.#at));
  }

  /** Passes over `length` bytes; returns how many there were. */
  async skip(length: number): Promise<number> {
    let left = length;
    while (left > 0) {
      const part = await this.some(left);
      if (part === undefined) break;
      left -= part.length;
    }
    return length - left;
  }

  /** Lets the sender clean up when its rest is of no interest. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#chunks.return?.();
  }

  #cut(length: number): Uint8Array {
    const cut = this.#chunk.subarray(this.#at, this.#at + length);
    this.#at += length;
    return cut;
  }
}
