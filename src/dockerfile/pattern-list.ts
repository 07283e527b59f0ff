/**
 * Ordered lists of path patterns with exceptions, as .dockerignore, `--exclude` and `--parents` use them: the semantics
 * of github.com/moby/patternmatcher, which BuildKit matches with, its oddities included.
 */
import { CooperError, type Location, locateError } from "../base/errors.ts";
import { checkPattern, classSource, cleanPath, literalSource } from "./pattern.ts";
import { trim } from "./spaces.ts";

interface Pattern {
  /** Starts with `!`: takes paths out of what the patterns before it match. */
  exception: boolean;
  /** The cleaned text, without `!`. */
  text: string;
  test: (path: string) => boolean;
}

/** What the patterns said of a directory, which those of its entries start from. */
export interface PatternState {
  /** Whether the list as a whole matches. */
  matched: boolean;
  /** Which patterns matched this path or one of its parents. */
  each: readonly boolean[];
}

/** Patterns in order; the last that applies decides. Paths are relative, cleaned and separated by slashes. */
export class PatternList {
  readonly #patterns: Pattern[];

  /**
   * Throws `invalid` for malformed patterns and for a lone `!`. Empty patterns are passed over. What only a comparison
   * would stumble on is thrown by the first one, and never for a pattern that is not asked. `locations` are where the
   * patterns are written.
   */
  constructor(patterns: readonly string[], locations: readonly Location[] = []) {
    this.#patterns = patterns.flatMap((pattern, index) => parsePattern(pattern, locations[index]));
  }

  /** Whether any pattern is an exception. */
  get hasExceptions(): boolean {
    return this.#patterns.some((pattern) => pattern.exception);
  }

  /**
   * Judges an entry of a directory whose own state is known; an entry at the top has no parent. A pattern that matched
   * the parent matches here too; one that was not asked there, because it could not have changed the outcome, is asked
   * about this path alone. This is how BuildKit walks a context.
   */
  step(path: string, parent: PatternState | undefined): PatternState {
    const each: boolean[] = [];
    let matched = false;
    for (const [index, pattern] of this.#patterns.entries()) {
      let hit = parent?.each[index] ?? false;
      if (!hit && pattern.exception === matched) hit = pattern.test(path);
      each.push(hit);
      if (hit) matched = !pattern.exception;
    }
    return { matched, each };
  }

  /** Judges a single path, each pattern asked about it and all of its parents. */
  matches(path: string): boolean {
    const prefixes = prefixesOf(path);
    let matched = false;
    for (const pattern of this.#patterns) {
      if (pattern.exception !== matched) continue;
      if (prefixes.some((prefix) => pattern.test(prefix))) matched = !pattern.exception;
    }
    return matched;
  }

  /** Whether an exception may apply to something below a directory that the list matches. */
  mayExceptBelow(directory: string): boolean {
    return this.#mayApplyBelow(directory, true);
  }

  /** Whether something below a directory that the list does not match may be matched. */
  mayMatchBelow(directory: string): boolean {
    return this.#mayApplyBelow(directory, false);
  }

  // Decided by the text before the first wildcard alone: every path that a pattern matches starts with it.
  #mayApplyBelow(directory: string, exception: boolean): boolean {
    const below = `${directory}/`;
    return this.#patterns.some((pattern) => {
      if (pattern.exception !== exception) return false;
      const fixed = /^[^*?[\\]*/.exec(pattern.text)![0];
      if (fixed.startsWith(below)) return true;
      return fixed.length < pattern.text.length && below.startsWith(fixed);
    });
  }
}

function prefixesOf(path: string): string[] {
  const prefixes = [path];
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    prefixes.push(path.slice(0, at));
  return prefixes;
}

function parsePattern(written: string, location: Location | undefined): Pattern[] {
  const trimmed = trim(written);
  if (trimmed === "") return [];
  const clean = cleanPath(trimmed);
  const exception = clean.startsWith("!");
  const text = exception ? clean.slice(1) : clean;
  const locate = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw location === undefined ? error : locateError(error, location);
    }
  };
  locate(() => {
    if (text === "") throw new CooperError("invalid", 'Pattern "!" is malformed: it excepts nothing');
    checkPattern(text);
  });
  let compiled: ((path: string) => boolean) | undefined;
  const test = (path: string) => {
    compiled ??= locate(() => compile(text));
    return compiled(path);
  };
  return [{ exception, text, test }];
}

/**
 * The four ways in which patternmatcher compares, chosen by how the pattern begins and ends. They are not quite the
 * same language: a pattern that starts with `**` and has no other wildcard is a suffix of the text, across name
 * boundaries, and one that ends in `**` a prefix.
 */
function compile(text: string): (path: string) => boolean {
  const scan = translate(text);
  if (scan.kind === "exact") return (path) => path === text;
  if (scan.kind === "prefix") return (path) => path.startsWith(text.slice(0, -2));
  if (scan.kind === "suffix") {
    const suffix = text.slice(2);
    return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
  }
  const expression = compileExpression(text, scan.source);
  return (path) => expression.test(path);
}

interface Translation {
  kind: "exact" | "prefix" | "suffix" | "expression";
  /** In the syntax of Go's regexp package (RE2), to stand between `^` and `$`. */
  source: string;
}

function translate(text: string): Translation {
  const chars = Array.from(text);
  let kind: Translation["kind"] = "exact";
  let source = "";
  for (let at = 0; at < chars.length; ) {
    const first = at === 0;
    const char = chars[at++]!;
    if (char === "*" && chars[at] === "*") {
      at++;
      if (chars[at] === "/") at++;
      if (at < chars.length) {
        source += "(.*/)?";
        kind = "expression";
      } else if (kind === "exact") {
        kind = "prefix";
      } else {
        source += ".*";
        kind = "expression";
      }
      if (first) kind = "suffix";
      continue;
    }
    if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    // At the end of the text it takes the `$` behind the expression for itself.
    else if (char === "\\") source += `\\${chars[at++] ?? ""}`;
    // Not `|`, `{` and `}`, which keep their meaning as expressions once a pattern has a wildcard.
    else if (".+()$".includes(char)) source += `\\${char}`;
    else source += char;
    if ("*?\\[]".includes(char)) kind = "expression";
  }
  return { kind, source };
}

function compileExpression(text: string, source: string): RegExp {
  try {
    return new RegExp(fromRe2(`^${source}$`), "u");
  } catch (error) {
    if (error instanceof CooperError) throw error;
    throw malformed(text);
  }

  /** RE2 to JavaScript: the little of it that can come out of translate(). */
  function fromRe2(re2: string): string {
    const chars = Array.from(re2);
    let out = "";
    for (let at = 0; at < chars.length; ) {
      const char = chars[at++]!;
      if (char === "\\") out += fromEscape(chars[at++]!);
      else if (char === ".") out += "[^\\n]";
      else if (char === "[") {
        const end = readRe2Class(chars, at, text);
        out += end.source;
        at = end.at;
      } else if (char === "{") {
        const count = /^\d+(?:,\d*)?\}/.exec(chars.slice(at, at + 12).join(""))?.[0] ?? "";
        out += count === "" ? literalSource(char) : char + count;
        at += count.length;
      } else if (char === "^" || char === "$") out += assertion(char);
      else if ("()*?|".includes(char)) out += char;
      else out += literalSource(char);
    }
    return out;
  }

  function fromEscape(char: string): string {
    if (/^[dDwW]$/.test(char)) return `\\${char}`;
    if (char === "s") return "[\\t\\n\\f\\r ]";
    if (char === "S") return "[^\\t\\n\\f\\r ]";
    if (char === "b" || char === "B") return assertion(`\\${char}`);
    if (char === "A") return assertion("^");
    if (char === "z") return assertion("$");
    const control = CONTROLS[char];
    if (control !== undefined) return literalSource(control);
    if (/^[A-Za-z0-9]$/.test(char) || char.codePointAt(0)! >= 0x80) throw malformed(text);
    return literalSource(char);
  }
}

/** In RE2 a count may follow it, in JavaScript only in a group. */
function assertion(source: string): string {
  return `(?:${source})`;
}

const CONTROLS: Record<string, string> = { a: "\x07", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

// Classes that may stand as [:name:] within brackets.
const POSIX: Record<string, [number, number][]> = {
  alnum: [[48, 57], [65, 90], [97, 122]], // biome-ignore format: a table
  alpha: [[65, 90], [97, 122]], // biome-ignore format: a table
  ascii: [[0, 127]],
  blank: [[9, 9], [32, 32]], // biome-ignore format: a table
  cntrl: [[0, 31], [127, 127]], // biome-ignore format: a table
  digit: [[48, 57]],
  graph: [[33, 126]],
  lower: [[97, 122]],
  print: [[32, 126]],
  punct: [[33, 47], [58, 64], [91, 96], [123, 126]], // biome-ignore format: a table
  space: [[9, 13], [32, 32]], // biome-ignore format: a table
  upper: [[65, 90]],
  word: [[48, 57], [65, 90], [95, 95], [97, 122]], // biome-ignore format: a table
  xdigit: [[48, 57], [65, 70], [97, 102]], // biome-ignore format: a table
};

const PERL: Record<string, string> = { d: "digit", w: "word" };

/** Reads the class behind `[` at `start`. Wildcards have already become expressions and are members here, as in Go. */
function readRe2Class(chars: string[], start: number, text: string): { source: string; at: number } {
  let at = start;
  const negated = chars[at] === "^";
  if (negated) at++;
  const ranges: [number, number][] = [];
  const member = (): number => {
    let char = chars[at++];
    if (char === "\\") {
      char = chars[at++];
      if (char !== undefined && /^[A-Za-z0-9]$/.test(char)) char = CONTROLS[char];
      if (char !== undefined && char.codePointAt(0)! >= 0x80) char = undefined;
    }
    if (char === undefined) throw malformed(text);
    return char.codePointAt(0)!;
  };
  for (let first = true; chars[at] !== "]" || first; first = false) {
    const named = /^\[:(\w+):\]/.exec(chars.slice(at, at + 10).join(""));
    const perl = chars[at] === "\\" ? PERL[chars[at + 1] ?? ""] : undefined;
    if (named !== null || perl !== undefined) {
      const members = POSIX[perl ?? named![1]!];
      if (members === undefined) throw malformed(text);
      ranges.push(...members);
      at += perl === undefined ? named![0].length : 2;
      continue;
    }
    const low = member();
    let high = low;
    if (chars[at] === "-" && chars[at + 1] !== "]" && at + 1 < chars.length) {
      at++;
      high = member();
    }
    if (high < low) throw malformed(text);
    ranges.push([low, high]);
  }
  return { source: classSource({ negated, ranges }), at: at + 1 };
}

function malformed(text: string): CooperError {
  return new CooperError("invalid", `Pattern "${text}" is malformed`);
}
