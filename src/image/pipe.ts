/** A stream that one side writes and the other reads, a few megabytes apart at most. */

/** Bytes that may wait: enough that a slow reader and an uneven writer rarely wait for each other. */
const CAPACITY = 4 << 20;

export class Pipe {
  #chunks: Uint8Array[] = [];
  #waiting = 0;
  #state: "open" | "ended" | "failed" | "abandoned" = "open";
  #error: unknown;
  /** Wakes the side that waits for the other; both never wait at once. */
  #wake: () => void = () => {};

  /** Hands on a chunk, which must not change any more; waits while the reader is far behind. False: it has left. */
  async write(chunk: Uint8Array): Promise<boolean> {
    if (this.#state !== "open") return false;
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    this.#wake();
    while (this.#waiting > CAPACITY && this.#state === "open") await this.#change();
    return this.#state === "open";
  }

  /** The stream is complete. */
  end(): void {
    this.#finish("ended");
  }

  /** The reader gets an error; nothing happens when the stream has ended. */
  fail(error: unknown): void {
    if (this.#state === "open") this.#error = error;
    this.#finish("failed");
  }

  /** What was written, once. */
  async *read(): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        if (this.#state === "failed") throw this.#error;
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#waiting -= chunk.length;
          this.#wake();
          yield chunk;
        } else if (this.#state !== "open") {
          return;
        } else {
          await this.#change();
        }
      }
    } finally {
      this.#chunks = [];
      this.#finish("abandoned");
    }
  }

  #finish(state: "ended" | "failed" | "abandoned"): void {
    if (this.#state !== "open") return;
    this.#state = state;
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
