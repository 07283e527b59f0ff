/** A line of the terminal as data: spans of text, each with a style; cut to a width and coloured when it is written. */
import { clipped, columnsOf } from "./terminal-text.ts";

export type Style = "dim" | "bold" | "green" | "red" | "yellow" | "cyan";

export interface Span {
  /** Without controls: see harmless(). */
  text: string;
  style?: Style;
}

export type Line = Span[];

const CODES: Record<Style, string> = {
  dim: "2",
  bold: "1",
  green: "32",
  red: "31;1",
  yellow: "33",
  cyan: "36",
};

/** The line's text for a terminal of that many columns. */
export function painted(line: Line, columns: number, colour: boolean): string {
  let left = columns;
  let text = "";
  for (const span of line) {
    const shown = clipped(span.text, left);
    left -= columnsOf(shown);
    text += colour && span.style !== undefined ? `\x1b[${CODES[span.style]}m${shown}\x1b[0m` : shown;
    if (shown !== span.text) break;
  }
  return text;
}
