/**
 * Path patterns in the syntax of Go's path.Match, in which Dockerfiles name the sources of COPY and ADD: `*` and `?`
 * stop at slashes, `[a-z]` and `[^a]` are classes, `\` takes the next character literally. `**` means no more than `*`.
 */
import { CooperError } from "../base/errors.ts";
import { addStep, FEW_WILDCARDS, type MatchStep, matchSteps } from "./match-steps.ts";

/** Inclusive ranges of code points, and whether the class stands for everything else. */
export interface CharacterClass {
  negated: boolean;
  ranges: [number, number][];
}

export type PatternToken =
  | { kind: "star" }
  | { kind: "any" }
  | { kind: "literal"; char: string }
  | { kind: "class"; class: CharacterClass };

/** Why a pattern is malformed, as the end of a sentence. */
class Malformed extends Error {}

/** Whether a text has a wildcard that no backslash takes away. */
export function hasWildcards(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "*" || text[at] === "?" || text[at] === "[") return true;
  }
  return false;
}

/** Compiles a pattern to a test of whole names. Throws `invalid` where Go says "syntax error in pattern". */
export function compilePattern(pattern: string): (name: string) => boolean {
  const tokens = tokenize(pattern);
  if (tokens.filter(({ kind }) => kind === "star").length > FEW_WILDCARDS) {
    const steps: MatchStep[] = [];
    for (const token of tokens)
      addStep(steps, token.kind === "star" ? { kind: "star" } : oneOf(tokenSource(token)));
    return (name) => matchSteps(steps, name);
  }
  const expression = new RegExp(`^${tokens.map(tokenSource).join("")}$`, "su");
  return (name) => expression.test(name);
}

/**
 * Checks a pattern as far as Go's filepath.Match looks when it compares it with ".": a piece between stars is read only
 * when those before it match. moby/patternmatcher refuses patterns by that. Throws `invalid`.
 */
export function checkPattern(pattern: string): void {
  let name = ".";
  for (const { starred, text, last } of piecesOf(pattern)) {
    if (starred && text === "") return;
    const tokens = tokenize(text, pattern);
    // Where a piece ends when it starts at each place; behind a star it may also start later, but not behind a slash.
    const starts = starred ? [name, name.slice(1)] : [name];
    const rest = starts
      .map((start) => consume(tokens, start))
      .find((end) => end !== undefined && !(last && end !== ""));
    if (rest === undefined) return;
    name = rest;
  }
}

/** What is left of a name (at most one character long) behind tokens without stars, or undefined. */
function consume(tokens: PatternToken[], name: string): string | undefined {
  if (tokens.length > name.length) return undefined;
  const source = tokens.map(tokenSource).join("");
  return new RegExp(`^${source}`, "su").test(name) ? name.slice(tokens.length) : undefined;
}

/** A pattern cut before each run of stars that is not in brackets. */
function piecesOf(pattern: string): { starred: boolean; text: string; last: boolean }[] {
  const pieces = pattern
    .match(/\**(?:\\.?|\[(?:\\.?|[^\]\\])*\]?|[^*[\\])*/gs)!
    .filter((piece) => piece !== "");
  return pieces.map((piece, index) => {
    const text = piece.replace(/^\*+/, "");
    return { starred: text !== piece, text, last: index === pieces.length - 1 };
  });
}

/** `whole` is the pattern to name in errors. */
function tokenize(pattern: string, whole = pattern): PatternToken[] {
  const chars = Array.from(pattern);
  const tokens: PatternToken[] = [];
  try {
    for (let at = 0; at < chars.length; ) at = readToken(chars, at, tokens);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CooperError("invalid", `Pattern "${whole}" is malformed: ${error.message}`);
  }
  return tokens;
}

function readToken(chars: string[], at: number, tokens: PatternToken[]): number {
  const char = chars[at]!;
  if (char === "[") return readClass(chars, at + 1, tokens);
  if (char === "\\") {
    if (at + 1 === chars.length) throw new Malformed("nothing follows the last backslash");
    tokens.push({ kind: "literal", char: chars[at + 1]! });
    return at + 2;
  }
  if (char === "*") tokens.push({ kind: "star" });
  else if (char === "?") tokens.push({ kind: "any" });
  else tokens.push({ kind: "literal", char });
  return at + 1;
}

function readClass(chars: string[], start: number, tokens: PatternToken[]): number {
  let at = start;
  const negated = chars[at] === "^";
  if (negated) at++;
  const ranges: [number, number][] = [];
  const member = (): number => {
    if (chars[at] === undefined) throw new Malformed("a bracket is not closed");
    if (chars[at] === "-" || chars[at] === "]")
      throw new Malformed(`"${chars[at]}" in brackets needs a backslash`);
    if (chars[at] === "\\") at++;
    const char = chars[at++];
    if (char === undefined || at === chars.length) throw new Malformed("a bracket is not closed");
    return char.codePointAt(0)!;
  };
  while (chars[at] !== "]" || ranges.length === 0) {
    const low = member();
    let high = low;
    if (chars[at] === "-") {
      at++;
      high = member();
    }
    ranges.push([low, high]);
  }
  tokens.push({ kind: "class", class: { negated, ranges } });
  return at + 1;
}

function tokenSource(token: PatternToken): string {
  if (token.kind === "star") return "[^/]*";
  if (token.kind === "any") return "[^/]";
  if (token.kind === "literal") return literalSource(token.char);
  return classSource(token.class);
}

/** A regular expression for one character as a part of a pattern. */
export function oneOf(source: string): MatchStep {
  const expression = new RegExp(`^${source}$`, "su");
  return { kind: "one", test: (char) => expression.test(char) };
}

/** One character as a regular expression (with the flag u) that matches it and nothing else. */
export function literalSource(char: string): string {
  return /^[A-Za-z0-9_/]$/.test(char) ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`;
}

/** A class as a regular expression (with the flag u). A range whose ends are the wrong way round matches nothing. */
export function classSource({ negated, ranges }: CharacterClass): string {
  const members = ranges
    .filter(([low, high]) => low <= high)
    .map(([low, high]) => `\\u{${low.toString(16)}}-\\u{${high.toString(16)}}`);
  return `[${negated ? "^" : ""}${members.join("")}]`;
}

/** The shortest equal path, by text alone: Go's path.Clean. The empty text becomes ".". */
export function cleanPath(path: string): string {
  const rooted = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!rooted) parts.push("..");
  }
  const joined = parts.join("/");
  return rooted ? `/${joined}` : joined || ".";
}
