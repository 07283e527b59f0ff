// Protects .dockerignore: files are read, and paths judged, exactly as Docker's builder does.
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import { type IgnoreMatcher, parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { PatternList } from "../../src/dockerfile/pattern-list.ts";

/** Content of the file, paths that are ignored, paths that are not. */
const cases: [name: string, text: string, ignored: string[], kept: string[]][] = [
  ["names from the root only", "a\n", ["a", "a/b", "a/b/c"], ["b/a", "ab", "A"]],
  ["paths", "a/b\n", ["a/b", "a/b/c"], ["a", "a/c", "b"]],
  ["comments and blank lines", "# a\n\n   \n#b\nc\n", ["c"], ["a", "b", "# a", "#b"]],
  ["a comment starts in the first column", " #a\n", ["#a"], ["a"]],
  ["blanks around", "  a b\t \n\u00a0c\u3000\n", ["a b", "c"], ["a"]],
  ["CRLF and a BOM", "\ufeffa\r\nb\r\n", ["a", "b"], ["c"]],
  ["a BOM hides no comment", "\ufeff#a\n", [], ["#a", "a"]],
  ["no newline at the end", "a", ["a"], []],
  [
    "leading slashes, dots and trailing slashes",
    "/a\n./b\nc/\nd/.\nx/../e\n//f\n",
    ["a", "b", "c", "c/x", "d", "e", "f"],
    ["x"],
  ],
  ["what leaves the root, and the root itself", "../a\n.\n/\n..\n", [], ["a", "x/a"]],
  ["a star keeps to one component", "*.md\nd/*\n", ["a.md", ".md", "d/x", "d/x/y"], ["d", "s/a.md"]],
  ["a star alone takes everything", "*\n", ["a", "a/b", ".h"], []],
  ["question marks", "a?\n", ["ab", "a\u00fc", "a\u{1f600}"], ["a", "abc", "a/b"]],
  ["classes", "[a-c]x\n[^a-c]y\n", ["ax", "cx", "dy", "^y"], ["dx", "ay"]],
  ["a class may match a slash", "a[^x]b\n", ["a/b", "ayb"], ["axb"]],
  ["named classes", "[[:digit:]]\n", ["7"], ["a", ":"]],
  ["backslashes", "\\*\na\\?\n\\[b]\n\\!c\n\\#d\n", ["*", "a?", "[b]", "!c", "#d"], ["x", "ab", "b"]],
  ["wildcards in a class are expressions", "[*]\n", ["[]", "]", "^[]"], ["*", "x]"]],
  [
    "dots and plus signs are themselves",
    "a.b\na+*\n(x)*\n$z*\na|b\na{2}\n",
    ["a.b", "a+", "a+c", "(x)q", "$z", "a|b", "a{2}"],
    ["axb", "aa", "x", "z", "a", "b"],
  ],
  [
    "bars and counts mean something once there is a wildcard",
    "a|b*\nx{2}?\n",
    ["a", "ac", "ab", "xxy"],
    ["cd", "x{2}y"],
  ],
  ["two stars: any depth", "**/a\n", ["a", "x/a", "x/y/a", "a/b"], ["xa", "x/ba"]],
  ["two stars before a name, without a slash, end the text", "**a\n", ["a", "xa", "x/ya", "xa/b"], ["ab"]],
  ["two stars with another wildcard stop at names", "**/*.go\n", ["a.go", "x/y/b.go"], ["a.goo"]],
  ["two stars inside", "a/**/b\n", ["a/b", "a/x/b", "a/x/y/b", "a/b/c"], ["a", "b", "ab", "a/xb"]],
  ["two stars at the end: what is below", "a/**\n", ["a/b", "a/b/c"], ["a", "ab"]],
  ["two stars right behind a name are a prefix", "a**\n", ["a", "ab", "ab/c", "a/b"], ["ba"]],
  ["two stars around", "**/a/**\n", ["a/b", "x/a/b", "x/a/b/c"], ["a", "x/a"]],
  ["two stars alone", "**\n", ["a", "a/b"], []],
  ["exceptions in order", "*.md\n!a*.md\nab.md\n", ["x.md", "ab.md"], ["a.md", "ac.md"]],
  ["an exception before anything says nothing", "!a\na\n", ["a"], []],
  ["exceptions below an ignored directory", "d\n!d/keep\n", ["d", "d/x"], ["d/keep", "d/keep/y"]],
  ["ignored again below the exception", "d\n!d/e\nd/e/f\n", ["d/x", "d/e/f"], ["d/e", "d/e/g"]],
  ["a blank behind the mark", "*\n! a\n!  /b/\n", ["c"], ["a", "b"]],
  [
    "an exception's own parents do not count, if they were no matter",
    "a/b\n!a\n",
    ["a/b", "a/b/c"],
    ["a", "a/c"],
  ],
  ["everything but", "*\n!src/**\n!go.mod\n", ["x", "src", "srcs/a"], ["src/a", "src/b/c", "go.mod"]],
  ["case and composition matter", "É\n", ["É"], ["é", "E\u0301"]],
  ["bytes that are no UTF-8", "\udcff*\n", ["\udcffa"], ["\udcfea"]],
];

describe("parseIgnoreFile", () => {
  test.each(cases)("%s", (_name, text, ignored, kept) => {
    const matcher = parseIgnoreFile(text, ".dockerignore");
    const verdicts = (paths: string[]) => paths.map((path) => `${path}: ${matcher.ignores(path)}`);
    expect(JSON.stringify(verdicts(ignored))).toBe(JSON.stringify(ignored.map((path) => `${path}: true`)));
    expect(JSON.stringify(verdicts(kept))).toBe(JSON.stringify(kept.map((path) => `${path}: false`)));
  });

  test.each([
    "[",
    "a[",
    "[]",
    "[]a]",
    "[^]",
    "[a-]",
    "[-a]",
    "[a-b-c]",
    "a\\",
    "[a\\",
    "[b-a]",
    "\\y*",
    "!",
    "! ",
    "![",
    "[[:no:]]",
  ])("%p is malformed", (line) => {
    let error: unknown;
    try {
      parseIgnoreFile(`# first\nfine\n${line}\n`, "ctx/.dockerignore").ignores("any");
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(CooperError);
    const { code, message, location } = error as CooperError;
    expect({ code, location }).toEqual({ code: "invalid", location: { file: "ctx/.dockerignore", line: 3 } });
    expect(message).toStartWith("Pattern ");
  });

  test("nothing is ignored by nothing, and the root never", () => {
    expect(parseIgnoreFile("", "f").ignores("a")).toBe(false);
    expect(parseIgnoreFile("**\n", "f").ignores("")).toBe(false);
    expect(parseIgnoreFile("**\n", "f").ignores(".")).toBe(false);
  });

  test("tells which ignored directories must be walked", () => {
    const may = (text: string, directory: string) => parseIgnoreFile(text, "f").mayUnignoreBelow(directory);
    expect(may("*\n", "a")).toBe(false);
    expect(may("*\n!b/c\n", "a")).toBe(false);
    expect(may("*\n!b/c\n", "b")).toBe(true);
    expect(may("*\n!b/c\n", "b/c")).toBe(false);
    expect(may("*\n!b/*.c\n", "a")).toBe(false);
    expect(may("*\n!b/**\n", "b/d")).toBe(true);
    expect(may("*\n!**/x\n", "a/b")).toBe(true);
    expect(may("*\n!a*/x\n", "ab")).toBe(true);
  });
});

// ---- against a slow judge that goes by the rules one by one ----

/** Whether a pattern matches a whole path, character by character. */
function matchesText(pattern: string, path: string): boolean {
  const rest = pattern.slice(2);
  // A suffix of the text when nothing but the two stars is special.
  if (pattern.startsWith("**") && pattern !== "**" && !/[*?[\]\\]/.test(rest))
    return path.endsWith(rest) || (rest.startsWith("/") && path === rest.slice(1));
  return matchesFrom(Array.from(pattern), Array.from(path));
}

function matchesFrom(pattern: string[], path: string[]): boolean {
  const [first, second] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === "*" && second === "*") {
    const after = pattern.slice(pattern[2] === "/" ? 3 : 2);
    if (after.length === 0) return true;
    if (matchesFrom(after, path)) return true;
    return path.some((char, index) => char === "/" && matchesFrom(after, path.slice(index + 1)));
  }
  if (first === "*") {
    if (matchesFrom(pattern.slice(1), path)) return true;
    return path.length > 0 && path[0] !== "/" && matchesFrom(pattern, path.slice(1));
  }
  if (path.length === 0) return false;
  if (first === "?") return path[0] !== "/" && matchesFrom(pattern.slice(1), path.slice(1));
  if (first === "\\") return second === path[0] && matchesFrom(pattern.slice(2), path.slice(1));
  if (first === "[") {
    const end = pattern.indexOf("]");
    const members = pattern.slice(1, end);
    const negated = members[0] === "^";
    const hit = expandClass(negated ? members.slice(1) : members).includes(path[0]!);
    return hit !== negated && matchesFrom(pattern.slice(end + 1), path.slice(1));
  }
  return first === path[0] && matchesFrom(pattern.slice(1), path.slice(1));
}

/** The generator makes single letters and one range, a-c. */
function expandClass(members: string[]): string[] {
  return members.join("") === "a-c" ? ["a", "b", "c"] : members;
}

interface Rule {
  exception: boolean;
  text: string;
}

/** Which rules hold for a path: asked in order, of the path itself, once its directory's answers are known. */
function heldBy(rules: Rule[], path: string): { held: boolean[]; ignored: boolean } {
  const cut = path.lastIndexOf("/");
  const inherited = cut === -1 ? [] : heldBy(rules, path.slice(0, cut)).held;
  const held: boolean[] = [];
  let ignored = false;
  for (const [index, rule] of rules.entries()) {
    const wouldChange = rule.exception ? ignored : !ignored;
    const holds = inherited[index] === true || (wouldChange && matchesText(rule.text, path));
    held.push(holds);
    if (holds) ignored = !rule.exception;
  }
  return { held, ignored };
}

/** A repeatable source of chance (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const PARTS = [
  "a",
  "b",
  "c",
  "ab",
  "a.b",
  "*",
  "?",
  "a*",
  "*b",
  "**",
  "a**",
  "**b",
  "[ab]",
  "[^a]",
  "[a-c]b",
  "a\\.b",
  "?b",
  "*.b",
  "a?c",
];
const NAMES = ["a", "b", "c", "ab", "bb", "a.b", "abc", ".b"];

function generate(pick: (below: number) => number): { lines: string[]; rules: Rule[] } {
  const lines: string[] = [];
  const rules: Rule[] = [];
  for (let count = 1 + pick(5); count > 0; count--) {
    const parts = Array.from({ length: 1 + pick(3) }, () => PARTS[pick(PARTS.length)]!);
    const exception = pick(3) === 0;
    const text = parts.join("/");
    const dressed = `${["", "", "/", "./", "x/../"][pick(5)]}${text}${["", "", "/", "/.", "//"][pick(5)]}`;
    lines.push(`${["", " "][pick(2)]}${exception ? "!" : ""}${dressed}${["", "  ", "\r"][pick(3)]}`);
    rules.push({ exception, text });
  }
  return { lines, rules };
}

function allPaths(depth: number): string[] {
  if (depth === 0) return [""];
  return allPaths(depth - 1).flatMap((head) => NAMES.map((name) => (head === "" ? name : `${head}/${name}`)));
}

describe("generated files", () => {
  const paths = [...allPaths(1), ...allPaths(2), ...allPaths(3)];

  test("give the same verdicts as going by the rules one by one", () => {
    const pick = chance(7);
    for (let round = 0; round < 400; round++) {
      const { lines, rules } = generate(pick);
      const matcher = parseIgnoreFile(lines.join("\n"), "f");
      for (let index = 0; index < 60; index++) {
        const path = paths[pick(paths.length)]!;
        const verdict = matcher.ignores(path);
        if (verdict !== heldBy(rules, path).ignored)
          throw new Error(`${JSON.stringify(lines)} judges ${path} as ${verdict}`);
      }
    }
  });

  test("mayUnignoreBelow never hides an exception, whatever the order of questions", () => {
    const pick = chance(11);
    for (let round = 0; round < 150; round++) {
      const { lines } = generate(pick);
      const matcher: IgnoreMatcher = parseIgnoreFile(lines.join("\n"), "f");
      for (const path of paths) {
        const cut = path.lastIndexOf("/");
        if (cut === -1 || matcher.ignores(path)) continue;
        const parent = path.slice(0, cut);
        if (matcher.ignores(parent) && !matcher.mayUnignoreBelow(parent))
          throw new Error(`${JSON.stringify(lines)} hides ${path}`);
      }
    }
  });
});

test("a single path is judged with all of its parents", () => {
  const list = new PatternList(["a/b", "!a/b/c", "d"]);
  expect(["a", "a/b", "a/b/x", "a/b/c", "a/b/c/d", "d/e/f"].map((path) => list.matches(path))).toEqual([
    false,
    true,
    true,
    false,
    false,
    true,
  ]);
});
