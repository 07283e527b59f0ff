/** The end of what a command wrote, for the error that tells of its failure. */

/** How many lines of it an error repeats. */
const TAIL_LINES = 20;

/** The last lines of a stream, in bounded memory. */
export class OutputTail {
  #bytes = Buffer.alloc(0);

  add(data: Uint8Array): void {
    const limit = 16 << 10;
    const joined = Buffer.concat([this.#bytes, data]);
    this.#bytes = joined.length > limit ? joined.subarray(joined.length - limit) : joined;
  }

  text(): string {
    return this.#bytes.toString("utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
  }
}
