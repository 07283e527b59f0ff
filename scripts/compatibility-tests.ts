/**
 * Which test uses which flag of which command: what stands behind "same" in docs/compatibility.md. The tests are read as
 * text, by their indentation, which the formatter sees to.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ALIASES, COMMAND_NAMES } from "../src/cli/catalog.ts";

const TESTS = resolve(import.meta.dir, "../test");

/** A line of a test with what belongs to it. */
interface Use {
  /** Flags and words of the command line that the line is, or is a part of. */
  words: ReadonlySet<string>;
  /** Words of the whole test. */
  around: ReadonlySet<string>;
  /** `test/cli/x.test.ts: what the test is called`; the file alone for a table that stands outside of tests. */
  place: string;
}

/** Tests of flags that are one table for several commands; their lines name none of these, or do it by a variable. */
const SHARED: Record<string, readonly string[]> = {
  "test/cli/options.test.ts": ["build", "from", "run"],
  "test/cli/registry-flags.test.ts": [
    "add",
    "build",
    "commit",
    "copy",
    "from",
    "login",
    "manifest",
    "pull",
    "push",
  ],
};
const MEMBERS = ["add", "inspect", "push"];

/** Everything in the tests that has a flag in it. */
export function flagUses(): Use[] {
  return readdirSync(TESTS, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .flatMap((name) => usesIn(`test/${name}`, readFileSync(join(TESTS, name), "utf8").split("\n")));
}

/** What a test file has. */
export function usesIn(file: string, lines: string[]): Use[] {
  const uses: Use[] = [];
  for (const [at, line] of lines.entries()) {
    if (!/["'`\s]--?[a-zA-Z]/.test(line)) continue;
    const test = enclosing(lines, at, (opener) => TEST.test(opener));
    const call = enclosing(lines, at, (opener) => /[([]$/.test(opener), 1);
    const name = test === undefined ? undefined : nameOf(lines, test.from);
    uses.push({
      words: wordsOf(call === undefined ? [line] : lines.slice(call.from, call.to)),
      around: new Set([
        ...(test === undefined ? [] : wordsOf(lines.slice(test.from, test.to))),
        ...(SHARED[file] ?? []),
        ...(SHARED[file]?.includes("manifest") ? MEMBERS : []),
      ]),
      place: name === undefined ? file : `${file}: ${name}`,
    });
  }
  return uses;
}

const TEST = /^\s*(?:test|it)(?:\.\w+|\(|\b)/;

/** The name may stand on a line of its own. */
function nameOf(lines: string[], from: number): string | undefined {
  const text = lines.slice(from, from + 3).join("\n");
  return /(?:test(?:\.\w+\([^\n]*?\))*|\))\(\s*(["'`])(.*?)\1,/.exec(text)?.[2];
}

/** The lines from the nearest one above that is less indented and is what is looked for; `most` levels up at most. */
function enclosing(
  lines: string[],
  at: number,
  wanted: (line: string) => boolean,
  most = Number.POSITIVE_INFINITY,
): { from: number; to: number } | undefined {
  let indent = indentOf(lines[at]!);
  if (wanted(lines[at]!) && most > 1) return { from: at, to: endOf(lines, at, indent) };
  for (let from = at - 1, level = 0; from >= 0 && level < most; from--) {
    const line = lines[from]!;
    if (line.trim() === "" || indentOf(line) >= indent) continue;
    indent = indentOf(line);
    level++;
    if (wanted(line)) return { from, to: endOf(lines, from, indent) };
  }
  return undefined;
}

/** Behind the last line that belongs to the one at `from`. */
function endOf(lines: string[], from: number, indent: number): number {
  const end = lines.findIndex((line, at) => at > from && line.trim() !== "" && indentOf(line) <= indent);
  return end === -1 ? lines.length : end + 1;
}

const indentOf = (line: string) => line.length - line.trimStart().length;

/** Flags without their values, and words. */
function wordsOf(lines: string[]): Set<string> {
  const words = lines.join(" ").match(/(?<![\w-])--?[a-zA-Z][\w-]*|[a-zA-Z]\w*/g) ?? [];
  return new Set(words);
}

/**
 * Tests behind a flag, the best first: those with a command line that has both; else those that have the flag on a line
 * without any command and the command elsewhere.
 */
export function testsOf(
  uses: readonly Use[],
  command: string,
  { name, short }: { name: string; short: string | undefined },
): string[] {
  const [first, member] = command.split(" ") as [string, string?];
  const names = [first, ...Object.keys(ALIASES).filter((alias) => ALIASES[alias] === first)];
  const isCommand = (words: ReadonlySet<string>) =>
    command === "" || (names.some((one) => words.has(one)) && (member === undefined || words.has(member)));
  const long = uses.filter(({ words }) => words.has(`--${name}`));
  const flagged =
    long.length > 0 || short === undefined ? long : uses.filter(({ words }) => words.has(`-${short}`));
  const together = flagged.filter(({ words }) => isCommand(words));
  const apart = flagged.filter(({ words, around }) => !hasCommand(words) && isCommand(around));
  // The shortest line is most about it; one that stands in a test has a name.
  const rank = ({ words, place }: Use) => words.size + (place.includes(": ") ? 0 : 1000);
  const sorted = [...(together.length > 0 ? together : apart)].sort((a, b) => rank(a) - rank(b));
  return [...new Set(sorted.map(({ place }) => place))];
}

const ALL = new Set([...COMMAND_NAMES, ...Object.keys(ALIASES)]);
const hasCommand = (words: ReadonlySet<string>) => [...words].some((word) => ALL.has(word));
