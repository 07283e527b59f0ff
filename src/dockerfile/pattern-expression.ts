/**
 * How moby/patternmatcher compares one pattern: by way of a regular expression of Go's regexp package (RE2), whose
 * language therefore shows through in places, as Docker's users may rely on.
 */
import { CooperError } from "../base/errors.ts";
import { addStep, FEW_WILDCARDS, type MatchStep, matchSteps } from "./match-steps.ts";
import { classSource, literalSource, oneOf } from "./pattern.ts";

/**
 * The four ways in which patternmatcher compares, chosen by how the pattern begins and ends. They are not quite the
 * same language: a pattern that starts with `**` and has no other wildcard is a suffix of the text, across name
 * boundaries, and one that ends in `**` a prefix. Throws `invalid` for what RE2, Go's engine, does not take.
 */
export function compileExpression(text: string): (path: string) => boolean {
  const scan = translate(text);
  if (scan.kind === "exact") return (path) => path === text;
  if (scan.kind === "prefix") return (path) => path.startsWith(text.slice(0, -2));
  if (scan.kind === "suffix") {
    const suffix = text.slice(2);
    return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
  }
  const expression = toRegExp(text, scan.source);
  if (wildcardsOf(scan.source) <= FEW_WILDCARDS) return (path) => expression.test(path);
  const steps = toSteps(text, scan.source);
  if (steps !== undefined) return (path) => matchSteps(steps, path);
  // What is no wildcard but means something to Go's engine needs an expression, which many wildcards would make slow.
  if (wildcardsOf(scan.source) <= MOST_WILDCARDS) return (path) => expression.test(path);
  throw new CooperError(
    "unsupported",
    `Pattern "${text}" has more than ${MOST_WILDCARDS} wildcards together with {, |, ^ or an expression's escape`,
  );
}

const MOST_WILDCARDS = 4;

/** Wildcards and counts, by the `*` and `{` that they become. */
function wildcardsOf(source: string): number {
  return source.match(/[*{]/g)?.length ?? 0;
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

function toRegExp(text: string, source: string): RegExp {
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
      if (char === "\\") out += fromEscape(chars[at++]!, text);
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
}

/** The same as parts that can be matched one by one; undefined where there is more in it than characters and wildcards. */
function toSteps(text: string, source: string): MatchStep[] | undefined {
  const chars = Array.from(source);
  const steps: MatchStep[] = [];
  for (let at = 0; at < chars.length; ) {
    const wildcard = WILDCARDS.find(([written]) => chars.slice(at, at + written.length).join("") === written);
    if (wildcard !== undefined) {
      addStep(steps, { kind: wildcard[1] });
      at += wildcard[0].length;
      continue;
    }
    const char = chars[at++]!;
    if ("(){}|^$*?".includes(char)) return undefined;
    if (char === "[") {
      const end = readRe2Class(chars, at, text);
      addStep(steps, oneOf(end.source));
      at = end.at;
    } else if (char === "\\") {
      const escaped = chars[at++];
      if (escaped === undefined || /^[AzbB]$/.test(escaped)) return undefined;
      addStep(steps, oneOf(fromEscape(escaped, text)));
    } else addStep(steps, oneOf(literalSource(char)));
  }
  return steps;
}

/** How translate() writes them. */
const WILDCARDS: [written: string, kind: "directories" | "rest" | "star"][] = [
  ["(.*/)?", "directories"],
  [".*", "rest"],
  ["[^/]*", "star"],
];

function fromEscape(char: string, text: string): string {
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
