// Protects `diff`: comparing stacks says the same as comparing the trees that they show, and looks at no more than it must.
import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { compareStacks } from "../../src/archive/compare-stacks.ts";
import { setXattr } from "../../src/base/xattrs.ts";
import { fsPath } from "../../src/base/path-bytes.ts";
import { makeOpaque, makeWhiteout } from "../../src/archive/whiteouts.ts";
import { mergeDiff } from "../../src/store/merge-diff.ts";

const work = mkdtempSync("/var/tmp/cooper-compare-");
afterAll(() => rmSync(work, { recursive: true, force: true }));
let number = 0;

/** One diff directory: path → content, null for a whiteout; `dir/` makes a directory, `dir/!` an opaque one. */
function diff(entries: Record<string, string | null>): string {
  const root = join(work, `diff-${number++}`);
  mkdirSync(root);
  for (const [name, content] of Object.entries(entries)) {
    const path = join(root, name.replace(/!$/, ""));
    mkdirSync(name.endsWith("/") || name.endsWith("!") ? path : dirname(path), { recursive: true });
    if (name.endsWith("!")) makeOpaque(path.replace(/\/$/, ""));
    else if (content === null) makeWhiteout(path);
    else if (!name.endsWith("/")) writeFileSync(path, content);
  }
  return root;
}

const lines = (before: string[], after: string[]) =>
  [...compareStacks(before, after)].map(
    ({ kind, path, type, sizeBefore, sizeAfter, fields }) =>
      `${kind[0]} ${path}${type === "file" ? ` ${sizeBefore}>${sizeAfter}` : ` ${type}`}${fields.length > 0 ? ` ${fields.join()}` : ""}`,
  );

test("files and directories added, changed, removed, replaced", () => {
  const base = diff({ a: "a", "d/x": "x", "d/y": "y", same: "s", "gone/1": "1", kind: "file" });
  const top = diff({ a: "aa", "d/x": null, "d/z": "zz", gone: null, "kind/in": "in", "empty/": "" });
  expect(lines([base], [base, top])).toEqual([
    "c /a 1>2 content",
    "r /d/x 1>0",
    "a /d/z 0>2",
    "a /empty directory",
    "r /gone directory",
    "r /gone/1 1>0",
    "c /kind directory type",
    "a /kind/in 0>2",
  ]);
  expect(lines([base, top], [base])).toEqual([
    "c /a 2>1 content",
    "a /d/x 0>1",
    "r /d/z 2>0",
    "r /empty directory",
    "a /gone directory",
    "a /gone/1 0>1",
    "c /kind 0>4 type",
    "r /kind/in 2>0",
  ]);
  expect(lines([base, top], [base, top])).toEqual([]);
});

test("an opaque directory hides what is below, and equal content elsewhere is no change", () => {
  const base = diff({ "d/a": "1", "d/b": "2" });
  const top = diff({ "d/!": "", "d/a": "1", "d/c": "3" });
  expect(lines([base], [base, top])).toEqual(["r /d/b 1>0", "a /d/c 0>1"]);
  expect(lines([base], [diff({ "d/a": "1", "d/b": "2" })])).toEqual([]);
});

test("metadata: mode, owner, attributes, link targets; not times", () => {
  const [before, after] = [
    diff({ f: "f", m: "m", x: "x", "d/": "" }),
    diff({ f: "f", m: "m", x: "x", "d/": "" }),
  ];
  chmodSync(join(after, "m"), 0o755);
  chmodSync(join(after, "d"), 0o700);
  setXattr(join(after, "x"), "user.k", Buffer.from("v"));
  symlinkSync("one", join(before, "l"));
  symlinkSync("two", join(after, "l"));
  const expected = ["c /d directory mode", "c /l symlink target", "c /m 1>1 mode", "c /x 1>1 xattrs"];
  if (process.getuid?.() === 0) {
    chownSync(join(after, "f"), 5, 6);
    expected.splice(1, 0, "c /f 1>1 owner");
  }
  expect(lines([before], [after])).toEqual(expected);
});

test("names that are not UTF-8, and hard links", () => {
  const top = diff({ one: "x" });
  linkSync(join(top, "one"), join(top, "two"));
  writeFileSync(fsPath(`${top}/\udcff`), "");
  expect(lines([], [top])).toEqual(["a /one 0>1", "a /two 0>0", "a /\udcff 0>0"]);
});

test("directories that both stacks show through the same diffs are not read", () => {
  const base = diff({ "deep/a/b/c": "1", other: "2" });
  const top = diff({ "deep/new": "3" });
  // A directory that cannot be listed (not even by root: it is a file) would be an error.
  const broken = join(work, "not-there");
  expect(lines([broken, base], [broken, base, top])).toEqual(["a /deep/new 0>1"]);
});

/** Small numbers that are always the same. */
function* numbers(seed: number): Generator<number, number> {
  for (let state = seed; ; ) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    yield state >> 8;
  }
}

test.each(Array.from({ length: 40 }, (_, seed) => seed))(
  "stacks made at random, as their merged trees: %d",
  (seed) => {
    const random = numbers(seed + 1);
    const pick = (below: number) => random.next().value % below;
    const randomDiff = () => {
      const entries: Record<string, string | null> = {};
      for (let i = pick(6); i >= 0; i--) {
        const depth = 1 + pick(3);
        const path = Array.from({ length: depth }, () => "abc"[pick(3)]).join("/");
        // A path and one below it cannot both be entries of one diff, unless the first is a directory.
        if (
          Object.keys(entries).some(
            (other) => `${path}/`.startsWith(`${other}/`) || other.startsWith(`${path}/`),
          )
        )
          continue;
        const kind = pick(5);
        if (kind === 0) entries[path] = null;
        else if (kind === 1) entries[`${path}/!`] = "";
        else entries[path] = String(pick(3));
      }
      return diff(entries);
    };
    const common = [randomDiff(), randomDiff()];
    const [before, after] = [
      [...common, randomDiff()],
      [...common, randomDiff(), randomDiff()],
    ];
    const merged = (stack: string[]) => {
      const tree = join(work, `tree-${number++}`);
      mkdirSync(tree);
      for (const one of stack) mergeDiff(one, tree);
      return tree;
    };
    expect(lines(before, after)).toEqual(lines([merged(before)], [merged(after)]));
  },
);
