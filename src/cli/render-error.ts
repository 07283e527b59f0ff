/** How a failure looks on the terminal: the message, the place in the Dockerfile, the hint. */
import { readFileSync } from "node:fs";
import { CooperError, isDiskFull, type Location, messageOf, sentence } from "../base/errors.ts";
import { plainText } from "./plain-text.ts";

export interface RenderErrorOptions {
  colour?: boolean;
  /** With causes and stacks, for --log-level debug. */
  verbose?: boolean;
}

/** Text for stderr, ending in a newline. */
export function renderError(error: unknown, options: RenderErrorOptions = {}): string {
  const paint = painter(options.colour ?? false);
  const lines = [`${paint("31;1", "Error:")} ${plainText(describe(error))}`];
  if (error instanceof CooperError) {
    if (error.location !== undefined) lines.push(...excerpt(error.location, paint));
    if (error.log !== undefined) lines.push(`${paint("36;1", "Log:")} ${plainText(error.log)}`);
    if (error.hint !== undefined)
      lines.push(`${paint("36;1", "Hint:")} ${plainText(afterLabel(error.hint))}`);
  }
  if (options.verbose) lines.push(...causes(error));
  return `${lines.join("\n")}\n`;
}

function describe(error: unknown): string {
  if (error instanceof CooperError) return error.message;
  if (isDiskFull(error)) return `The disk is full: ${messageOf(error)}`;
  // Anything else reached the top unexpectedly: say what it is.
  return error instanceof Error && error.name !== "Error" && error.name !== "SQLiteError"
    ? `${error.name}: ${error.message}`
    : sentence(messageOf(error));
}

/** A hint may be a sentence of its own; after `Hint:` it goes on in lower case, but for names. */
function afterLabel(hint: string): string {
  return hint.replace(/^(?!Podman|Docker|Debian)[A-Z](?=[a-z]* )/, (letter) => letter.toLowerCase());
}

type Paint = (code: string, text: string) => string;

function painter(colour: boolean): Paint {
  return colour ? (code, text) => `\x1b[${code}m${text}\x1b[0m` : (_code, text) => text;
}

const CONTEXT_LINES = 2;
const LONGEST_EXCERPT = 20;

/** The lines around a place, numbered, with a mark at those that are meant. */
function excerpt(location: Location, paint: Paint): string[] {
  const { file, line, endLine = line } = location;
  const shown = `  ${file === "-" ? "<stdin>" : file}:${line}`;
  const text = file === "-" ? undefined : readLines(file);
  if (text === undefined || line < 1 || line > text.length) return [shown];
  const first = Math.max(1, line - CONTEXT_LINES);
  const last = Math.min(text.length, endLine + CONTEXT_LINES, first + LONGEST_EXCERPT - 1);
  const width = String(last).length;
  const lines = [shown];
  for (let number = first; number <= last; number++) {
    const marked = number >= line && number <= endLine;
    const row =
      `  ${marked ? ">" : " "} ${String(number).padStart(width)} | ${printable(text[number - 1]!)}`.trimEnd();
    lines.push(marked ? paint("1", row) : row);
  }
  return lines;
}

function readLines(file: string): string[] | undefined {
  try {
    const lines = readFileSync(file, "utf8").split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    return lines;
  } catch {
    return undefined;
  }
}

/** A Dockerfile may come from anywhere: its control characters do not reach the terminal. */
function printable(text: string): string {
  return plainText(text.replaceAll("\t", "    "));
}

function causes(error: unknown): string[] {
  const lines: string[] = [];
  const seen = new Set<unknown>();
  for (
    let at: unknown = error;
    at !== undefined && !seen.has(at);
    at = (at as { cause?: unknown } | null)?.cause
  ) {
    seen.add(at);
    if (at instanceof CooperError) lines.push(`  code ${at.code}`);
    lines.push(`  ${at instanceof Error ? (at.stack ?? at.message) : String(at)}`);
    if (at === null) break;
  }
  return lines;
}
