/**
 * Lines at the bottom of a terminal that are drawn over and over, while finished ones go up into its history. The cursor
 * rests at the region's beginning: terminals that wrap lines anew when they are resized move it along, so that everything
 * of ours is always below it and nothing else is.
 */

export interface Size {
  columns: number;
  rows: number;
}

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
/** Terminals that know it show a frame when it is complete; the others ignore it. */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";
/** Without wrapping, a character that is wider than we think costs itself and no line. */
const NO_WRAP = "\x1b[?7l";
const WRAP = "\x1b[?7h";
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";

export class LiveRegion {
  readonly #write: (text: string) => void;
  #shown = "";
  #open = false;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Writes finished lines above, and the region below them, which must fit on the screen. */
  draw(finished: readonly string[], lines: readonly string[]): void {
    // Erased before it is written: behind a text that reaches the last column, that column would be erased.
    const erase = (index: number) => (index === lines.length - 1 ? REST_OF_SCREEN : REST_OF_LINE);
    const region = lines.map((line, index) => erase(index) + line).join("\r\n");
    if (this.#open && finished.length === 0 && region === this.#shown) return;
    const above = finished.map((line) => `${REST_OF_LINE}${line}\r\n`).join("");
    const up = lines.length > 1 ? `\x1b[${lines.length - 1}A` : "";
    this.#write(`${BEGIN}${this.#open ? "" : HIDE_CURSOR}${NO_WRAP}\r${above}${region}${up}\r${WRAP}${END}`);
    this.#shown = region;
    this.#open = true;
  }

  /** Forgets what is on the screen, so that the next draw() writes everything. */
  invalidate(): void {
    this.#shown = "\0";
  }

  /** Takes the region away and gives the terminal back as it was. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#write(`\r${REST_OF_SCREEN}${SHOW_CURSOR}`);
  }
}
