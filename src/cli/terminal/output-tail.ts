/** The last lines that a command wrote, for showing: bounded, and free of controls. */
import { harmless } from "./terminal-text.ts";

const LINES = 20;
/** Of one piece of output no more than this is looked at: what was before has scrolled away. */
const LONGEST_PIECE = 16 << 10;
const LONGEST_LINE = 4 << 10;

interface Stream {
  decoder: TextDecoder;
  /** A line that is not complete. */
  partial: string;
}

export class OutputTail {
  readonly #lines: string[] = [];
  readonly #streams = new Map<string, Stream>();

  add(stream: "stdout" | "stderr", data: Uint8Array): void {
    const state = this.#stream(stream);
    const recent = data.length > LONGEST_PIECE ? data.subarray(data.length - LONGEST_PIECE) : data;
    const lines = (state.partial + state.decoder.decode(recent, { stream: true })).split("\n");
    state.partial = lines.pop()!.slice(-LONGEST_LINE);
    for (const line of lines.slice(-LINES)) this.#push(line);
  }

  #stream(name: string): Stream {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const made = { decoder: new TextDecoder(), partial: "" };
    this.#streams.set(name, made);
    return made;
  }

  #push(line: string): void {
    // A terminal's own line end is \r\n.
    const shown = harmless(line.replace(/\r+$/, "")).trimEnd();
    if (shown === "") return;
    this.#lines.push(shown);
    if (this.#lines.length > LINES) this.#lines.shift();
  }

  /** At most `count` lines, unfinished ones last; empty ones are left out. */
  last(count: number): string[] {
    const partial = [...this.#streams.values()]
      .map((stream) => harmless(stream.partial).trimEnd())
      .filter((line) => line !== "");
    return count <= 0 ? [] : [...this.#lines, ...partial].slice(-count);
  }
}
