/**
 * The text of a Dockerfile as logical lines: continuations joined, comments and empty lines gone, directives taken.
 * Bodies of here-documents are read on demand, since only the instruction can tell whether it may have any.
 */
import { CooperError } from "../base/errors.ts";
import { DirectiveReader } from "./directives.ts";
import type { Directives } from "./instruction.ts";
import { isSpace, trim, trimStart } from "./spaces.ts";

/** BuildKit reads lines of at most this many bytes, the line end included. */
const LONGEST_LINE = 65536;

export interface LogicalLine {
  text: string;
  /** One-based, inclusive. */
  line: number;
  endLine: number;
  /** Comment lines directly above, oldest first; an empty one starts anew. */
  comments: string[];
  /** Empty lines inside the continuation, which BuildKit's check NoEmptyContinuation reports. */
  emptyLines: boolean;
}

export interface LineEvents {
  /** A comment line outside continuations, without `#` and the blanks around it. */
  onComment(text: string): void;
}

/** Walks over a file once. Throws `invalid` for broken directives and lines that are too long. */
export class LineReader {
  #text: string;
  #at = 0;
  #line = 0;
  #reader = new DirectiveReader();
  #events: LineEvents;

  constructor(text: string, events: LineEvents) {
    this.#text = text;
    this.#events = events;
  }

  get directives(): Directives {
    return this.#reader.directives;
  }

  /** Number of the physical line read last. */
  get line(): number {
    return this.#line;
  }

  /** The next physical line with its line end, or undefined at the end of the file. */
  next(): string | undefined {
    if (this.#at >= this.#text.length) return undefined;
    const newline = this.#text.indexOf("\n", this.#at);
    const end = newline === -1 ? this.#text.length : newline + 1;
    const line = this.#text.slice(this.#at, end);
    this.#at = end;
    this.#line++;
    if (line.length * 3 >= LONGEST_LINE) checkLength(line);
    return line;
  }

  /** The next logical line, or undefined at the end of the file. */
  nextLogical(): LogicalLine | undefined {
    let comments: string[] = [];
    for (let raw = this.next(); raw !== undefined; raw = this.next()) {
      const text = trimStart(dropLineEnd(raw));
      const directive = this.#reader.read(text);
      if (text.startsWith("#")) {
        if (!directive) comments = this.#comment(trim(text.slice(1)), comments);
        continue;
      }
      const joined = this.#continued(text);
      if (joined !== undefined) return this.#join(joined, comments);
      if (text !== "") return { text, line: this.#line, endLine: this.#line, comments, emptyLines: false };
    }
    return undefined;
  }

  #comment(text: string, comments: string[]): string[] {
    this.#events.onComment(text);
    if (text === "") return [];
    comments.push(text);
    return comments;
  }

  /** The line without its continuation character, or undefined when it ends here. */
  #continued(text: string): string | undefined {
    let end = text.length;
    while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end--;
    const { escapeToken } = this.directives;
    if (end === 0 || text[end - 1] !== escapeToken) return undefined;
    // An escaped escape is none; what precedes that one is not looked at.
    if (end > 1 && text[end - 2] === escapeToken) return undefined;
    return text.slice(0, end - 1);
  }

  #join(first: string, comments: string[]): LogicalLine {
    const line = this.#line;
    const parts = [first];
    let emptyLines = false;
    for (let raw = this.next(); raw !== undefined; raw = this.next()) {
      const text = dropLineEnd(raw);
      const start = firstNonBlank(text);
      if (start === text.length) {
        emptyLines = true;
        continue;
      }
      if (text[start] === "#") continue;
      const joined = this.#continued(text);
      parts.push(joined ?? text);
      if (joined === undefined) break;
    }
    return { text: parts.join(""), line, endLine: this.#line, comments, emptyLines };
  }
}

/** Without line feeds and carriage returns at its end. */
export function dropLineEnd(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === "\n" || line[end - 1] === "\r")) end--;
  return end === line.length ? line : line.slice(0, end);
}

function firstNonBlank(text: string): number {
  let at = 0;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

function checkLength(line: string): void {
  const bytes = Buffer.byteLength(line);
  if (bytes > LONGEST_LINE || (bytes === LONGEST_LINE && !line.endsWith("\n"))) {
    throw new CooperError("invalid", `The line is longer than ${LONGEST_LINE - 1} bytes`, {
      hint: "Put the content in a file of the context, or break the line with the escape character",
    });
  }
}
