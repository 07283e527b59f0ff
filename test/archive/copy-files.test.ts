// Protects COPY and ADD's rules: what goes where, what replaces or refuses what, and whose modes, owners and times win.
import { describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseChmod } from "../../src/archive/copy-chmod.ts";
import { type CopyRequest, type CopyTreeOptions, copyFiles } from "../../src/archive/copy-tree.ts";
import { atOnce, inTurns, type Work } from "../../src/base/turns.ts";
import { CooperError } from "../../src/base/errors.ts";
import { getXattr, setXattr } from "../../src/base/xattrs.ts";
import { parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { listTree, makeTree, pathsOf, scratch, type TreeSpec } from "./file-trees.ts";

const copyAll = (...args: Parameters<typeof copyFiles>) => atOnce(copyFiles(...args));

const asRoot = test.skipIf(process.getuid?.() !== 0);

type Copy = [sources: string[], destination: string, more?: Partial<CopyRequest>, options?: CopyTreeOptions];

interface Case {
  name: string;
  from: TreeSpec;
  into?: TreeSpec;
  copies: Copy[];
  /** Lines of listTree, or of pathsOf when they start with no mode. */
  gives: string[];
}

/** Owners are the caller's, so that the cases say the same for everybody; those that name owners run as root. */
function run(base: string, from: TreeSpec, into: TreeSpec, copies: Copy[]): string {
  const sourceRoot = makeTree(join(base, "from"), from);
  const destinationRoot = makeTree(join(base, "into"), into);
  for (const [sources, destination, more, options] of copies) {
    const request: CopyRequest = {
      sourceRoot,
      sources,
      destinationRoot,
      destination,
      wildcards: true,
      parents: false,
      ...more,
    };
    copyAll(request, {
      ...(process.getuid?.() === 0 ? {} : { owner: { uid: process.getuid!(), gid: process.getgid!() } }),
      ...options,
    });
  }
  return destinationRoot;
}

const cases: Case[] = [
  // ---- where things go ----
  { name: "a file to a name", from: { a: "1" }, copies: [[["a"], "/x"]], gives: ["x=1"] },
  {
    name: "a file into a new directory",
    from: { a: "1" },
    copies: [[["a"], "/x/y/"]],
    gives: ["x/", "x/y/", "x/y/a=1"],
  },
  {
    name: "a slash and a dot mean a directory too",
    from: { a: "1" },
    copies: [[["a"], "/x/."]],
    gives: ["x/", "x/a=1"],
  },
  {
    name: "a file into an existing directory",
    from: { a: "1" },
    into: { "x/": {} },
    copies: [[["a"], "/x"]],
    gives: ["x/", "x/a=1"],
  },
  { name: "a file to the root", from: { "d/a": "1" }, copies: [[["d/a"], "/"]], gives: ["a=1"] },
  { name: "a slash behind a file means nothing", from: { a: "1" }, copies: [[["a/"], "/x"]], gives: ["x=1"] },
  {
    name: "a directory stands for its contents",
    from: { "d/1": "1", "d/s/2": "2" },
    copies: [
      [["d"], "/a"],
      [["d/"], "/b/"],
      [["d/."], "/c"],
    ],
    gives: [
      "a/",
      "a/1=1",
      "a/s/",
      "a/s/2=2",
      "b/",
      "b/1=1",
      "b/s/",
      "b/s/2=2",
      "c/",
      "c/1=1",
      "c/s/",
      "c/s/2=2",
    ],
  },
  {
    name: "the whole source, hidden files too",
    from: { ".h": "1", "d/.i": "2" },
    copies: [[["."], "/x"]],
    gives: ["x/", "x/.h=1", "x/d/", "x/d/.i=2"],
  },
  {
    name: "a directory into an existing one merges",
    from: { "d/s/n": "n" },
    into: { "x/s/o": "o" },
    copies: [[["d"], "/x"]],
    gives: ["x/", "x/s/", "x/s/n=n", "x/s/o=o"],
  },
  {
    name: "a directory as itself",
    from: { "d/a": "1" },
    into: { "x/": {} },
    copies: [
      [["d"], "/x", { directoryContents: false }],
      [["d"], "/y", { directoryContents: false }],
    ],
    gives: ["x/", "x/d/", "x/d/a=1", "y/", "y/a=1"],
  },
  {
    name: "several sources",
    from: { a: "1", "d/b": "2" },
    copies: [[["a", "d"], "/x/"]],
    gives: ["x/", "x/a=1", "x/b=2"],
  },
  {
    name: "../ stays at the root of the sources",
    from: { a: "1" },
    copies: [[["../../a"], "/x"]],
    gives: ["x=1"],
  },
  { name: "an empty directory", from: { "d/": {} }, copies: [[["d"], "/x"]], gives: ["x/"] },
  { name: "an empty file", from: { a: "" }, copies: [[["a"], "/x"]], gives: ["x="] },
  {
    name: "the same name twice: the last wins",
    from: { "p/a": "1", "q/a": "2" },
    copies: [[["p/a", "q/a"], "/x/"]],
    gives: ["x/", "x/a=2"],
  },
  // ---- wildcards ----
  {
    name: "a star keeps to one component",
    from: { "a.txt": "1", "b.txt": "2", "d/c.txt": "3" },
    copies: [[["*.txt"], "/x/"]],
    gives: ["x/", "x/a.txt=1", "x/b.txt=2"],
  },
  {
    name: "stars in directories",
    from: { "p/a": "1", "q/a": "2", "q/b": "3", "q/r/a": "4" },
    copies: [[["*/a"], "/x/"]],
    gives: ["x/", "x/a=2"],
  },
  {
    name: "a pattern that matches directories takes their contents",
    from: { "d1/a": "1", "d2/b": "2", "d2/s/c": "3" },
    copies: [[["d*"], "/x/"]],
    gives: ["x/", "x/a=1", "x/b=2", "x/s/", "x/s/c=3"],
  },
  {
    name: "two stars are as good as one",
    from: { "x.txt": "0", "a/x.txt": "1", "a/b/x.txt": "2" },
    copies: [[["**/x.txt"], "/x/"]],
    gives: ["x/", "x/x.txt=1"],
  },
  {
    name: "question mark and classes",
    from: { a1: "1", a2: "2", b1: "3", ab1: "4" },
    copies: [
      [["?1"], "/x/"],
      [["[^b]2"], "/y/"],
      [["a[0-1]"], "/z/"],
    ],
    gives: ["x/", "x/a1=1", "x/b1=3", "y/", "y/a2=2", "z/", "z/a1=1"],
  },
  {
    name: "brackets by class and by backslash",
    from: { "a[1]": "b", a1: "o" },
    copies: [
      [["a[1]"], "/x/"],
      [["a[[]1]"], "/y/"],
      [["*\\[1]"], "/z/"],
    ],
    gives: ["x/", "x/a1=o", "y/", "y/a[1]=b", "z/", "z/a[1]=b"],
  },
  {
    name: "a pattern without a match copies and makes nothing",
    from: { a: "1" },
    copies: [[["*.go", "b?"], "/x/"]],
    gives: [],
  },
  {
    name: "matches onto a name: the last wins",
    from: { a1: "1", a2: "2" },
    copies: [[["a*"], "/x"]],
    gives: ["x=2"],
  },
  {
    name: "without wildcards a name is a name",
    from: { "*": "s", a: "1" },
    copies: [[["*"], "/x/", { wildcards: false }]],
    gives: ["x/", "x/*=s"],
  },
  {
    name: "odd names",
    from: { "a b": "1", "-d": "2", "n\nl": "3", "\udcff": "4", ünï: "5", "...": "6" },
    copies: [[["."], "/x"]],
    gives: ["x/", "x/-d=2", "x/...=6", "x/a b=1", "x/n\nl=3", "x/ünï=5", "x/\udcff=4"],
  },
  // ---- links in sources ----
  {
    name: "a link that is named is followed",
    from: { real: "r", l: { link: "real" } },
    copies: [
      [["l"], "/x"],
      [["l"], "/y/"],
    ],
    gives: ["x=r", "y/", "y/l=r"],
  },
  {
    name: "a link that a pattern matches is followed",
    from: { real: "r", l1: { link: "real" }, l2: { link: "/real" } },
    copies: [[["l*"], "/x/"]],
    gives: ["x/", "x/l1=r", "x/l2=r"],
  },
  {
    name: "a link to a directory stands for its contents",
    from: { "d/a": "1", l: { link: "d" } },
    copies: [[["l"], "/x"]],
    gives: ["x/", "x/a=1"],
  },
  {
    name: "links on the way are followed inside the root",
    from: { "d/a": "1", "e/up": { link: "../../../../d" } },
    copies: [[["e/up/a"], "/x"]],
    gives: ["x=1"],
  },
  {
    name: "links inside a directory stay links",
    from: { r: "r", "d/rel": { link: "../r" }, "d/abs": { link: "/etc/passwd" }, "d/no": { link: "none" } },
    copies: [[["d"], "/x"]],
    gives: ["x/", "x/abs->/etc/passwd", "x/no->none", "x/rel->../r"],
  },
  // ---- what is there already ----
  {
    name: "a file replaces a file",
    from: { a: "new" },
    into: { a: { text: "old", mode: 0o600 } },
    copies: [[["a"], "/a"]],
    gives: ["644 a=new"],
  },
  {
    name: "a file in a tree replaces a link",
    from: { "d/x": "new" },
    into: { "t/real": "keep", "t/x": { link: "real" } },
    copies: [[["d"], "/t"]],
    gives: ["t/", "t/real=keep", "t/x=new"],
  },
  {
    name: "a file in a directory replaces a link of its name",
    from: { x: "new" },
    into: { "t/real": "keep", "t/x": { link: "real" } },
    copies: [[["x"], "/t/"]],
    gives: ["t/", "t/real=keep", "t/x=new"],
  },
  {
    name: "a link replaces a file",
    from: { "d/x": { link: "y" } },
    into: { "t/x": "old" },
    copies: [[["d"], "/t"]],
    gives: ["t/", "t/x->y"],
  },
  {
    name: "a replaced file's other names stay as they were",
    from: { a: "new" },
    into: { a: "old", b: { hard: "a" } },
    copies: [[["a"], "/a"]],
    gives: ["a=new", "b=old"],
  },
  // ---- links in the destination ----
  {
    name: "the destination is a link to a file",
    from: { f: "new" },
    into: { real: "old", l: { link: "/real" } },
    copies: [[["f"], "/l"]],
    gives: ["l->/real", "real=new"],
  },
  {
    name: "the destination is a link to a directory",
    from: { f: "f", "d/h": "h" },
    into: { "real/": {}, abs: { link: "/real" }, rel: { link: "real" } },
    copies: [
      [["f"], "/abs"],
      [["f"], "/rel/g"],
      [["d"], "/abs/"],
    ],
    gives: ["abs->/real", "real/", "real/f=f", "real/g=f", "real/h=h", "rel->real"],
  },
  {
    name: "a broken link with a slash is where a directory is made",
    from: { f: "new" },
    into: { l: { link: "/not/yet" } },
    copies: [[["f"], "/l/"]],
    gives: ["l->/not/yet", "not/", "not/yet/", "not/yet/f=new"],
  },
  {
    name: "a broken link without a slash is where the file is made",
    from: { f: "new", "d/a": "1" },
    into: { l: { link: "/not/yet" }, m: { link: "../../else" } },
    copies: [
      [["f"], "/l"],
      [["d"], "/m"],
    ],
    gives: ["else/", "else/a=1", "l->/not/yet", "m->../../else", "not/", "not/yet=new"],
  },
  // ---- modes ----
  {
    name: "directories on the way are 0755",
    from: { "d/": { mode: 0o700 }, "d/f": "1" },
    copies: [[["d/f"], "/n/m/"]],
    gives: ["755 n/", "755 n/m/", "644 n/m/f=1"],
  },
  {
    name: "a new destination is 0755, what is inside keeps its modes",
    from: { "d/": { mode: 0o700 }, "d/s/": { mode: 0o711 }, "d/s/f": { text: "1", mode: 0o4750 } },
    copies: [[["d"], "/x"]],
    gives: ["755 x/", "711 x/s/", "4750 x/s/f=1"],
  },
  {
    name: "merging: the destination keeps its mode, directories below take the source's",
    from: { "d/s/": { mode: 0o755 }, "d/s/f": "1" },
    into: { "x/": { mode: 0o700 }, "x/s/": { mode: 0o711 } },
    copies: [[["d"], "/x"]],
    gives: ["700 x/", "755 x/s/", "644 x/s/f=1"],
  },
  {
    name: "a directory that nobody may write",
    from: { "d/r/f": "1", "d/r/": { mode: 0o555 } },
    copies: [[["d"], "/x"]],
    gives: ["755 x/", "555 x/r/", "644 x/r/f=1"],
  },
  {
    name: "octal --chmod: everything, and what is made on the way",
    from: { "d/f": "1", "d/s/g": "2" },
    copies: [[["d"], "/p/x", {}, { chmod: parseChmod("750") }]],
    gives: ["750 p/", "750 p/x/", "750 p/x/f=1", "750 p/x/s/", "750 p/x/s/g=2"],
  },
  {
    name: "octal --chmod: setuid is for what is copied only",
    from: { f: "1" },
    copies: [[["f"], "/p/x", {}, { chmod: parseChmod("4711") }]],
    gives: ["711 p/", "4711 p/x=1"],
  },
  {
    name: "symbolic --chmod: what is copied, nothing that is made on the way",
    from: { "d/": { mode: 0o700 }, "d/f": { text: "1", mode: 0o600 }, "d/s/g": { text: "2", mode: 0o711 } },
    copies: [[["d"], "/p/x", {}, { chmod: parseChmod("u=rwX,go=rX") }]],
    gives: ["755 p/", "755 p/x/", "644 p/x/f=1", "755 p/x/s/", "755 p/x/s/g=2"],
  },
  // ---- --exclude ----
  {
    name: "--exclude is relative to the source",
    from: { "a.md": "1", "a.txt": "2", "sub/b.md": "3", "sub/skip/x": "4" },
    copies: [[["."], "/d/", { exclude: ["*.md", "sub/skip"] }]],
    gives: ["d/", "d/a.txt=2", "d/sub/", "d/sub/b.md=3"],
  },
  {
    name: "--exclude with two stars, and below a named source",
    from: { "d/a.txt": "1", "d/b.txt": "2", "d/s/b.md": "3" },
    copies: [
      [["d"], "/d/", { exclude: ["**/*.md"] }],
      [["d"], "/e/", { exclude: ["b.*"] }],
    ],
    gives: ["d/", "d/a.txt=1", "d/b.txt=2", "d/s/", "e/", "e/a.txt=1", "e/s/", "e/s/b.md=3"],
  },
  {
    name: "--exclude with an exception",
    from: { "d/a/x": "1", "d/a/y": "2", "d/b": "3" },
    copies: [[["d"], "/x", { exclude: ["a", "!a/y"] }]],
    gives: ["x/", "x/a/", "x/a/y=2", "x/b=3"],
  },
  {
    name: "--exclude does not judge what is named itself",
    from: { "a.md": "1" },
    copies: [[["a.md"], "/x/", { exclude: ["*.md"] }]],
    gives: ["x/", "x/a.md=1"],
  },
  // ---- --parents ----
  {
    name: "--parents keeps directories and their modes",
    from: { "o/p/": { mode: 0o700 }, "o/p/q/f": "1", "o/p/g": "2" },
    copies: [[["/o/p/q/f"], "/d/", { parents: true }]],
    gives: ["755 d/", "755 d/o/", "700 d/o/p/", "755 d/o/p/q/", "644 d/o/p/q/f=1"],
  },
  {
    name: "--parents from the pivot on",
    from: { "a/b/c/d/e/y": "1", "a/b/c/d/foo": "2", "a/x": "3" },
    copies: [[["a/b/./c/d"], "/o", { parents: true }]],
    gives: ["o/", "o/c/", "o/c/d/", "o/c/d/e/", "o/c/d/e/y=1", "o/c/d/foo=2"],
  },
  {
    name: "--parents: only the first pivot counts",
    from: { "a/b/c/f": "1" },
    copies: [[["/a/./b/./c"], "/o", { parents: true }]],
    gives: ["o/", "o/b/", "o/b/c/", "o/b/c/f=1"],
  },
  {
    name: "--parents with patterns, ** among them",
    from: { "a/b/c/d/e/bay": "1", "a/b2/c/d/e/bar": "2", "a/b/c2/d/e/baz": "3" },
    copies: [
      [["a/b*/./c/**/e"], "/o/", { parents: true }],
      [["./a/*/c2"], "/p/", { parents: true }],
    ],
    gives: [
      "o/",
      "o/c/",
      "o/c/d/",
      "o/c/d/e/",
      "o/c/d/e/bar=2",
      "o/c/d/e/bay=1",
      "p/",
      "p/a/",
      "p/a/b/",
      "p/a/b/c2/",
      "p/a/b/c2/d/",
      "p/a/b/c2/d/e/",
      "p/a/b/c2/d/e/baz=3",
    ],
  },
  {
    name: "--parents: a pattern without a match makes the destination",
    from: { "a/b": "1" },
    copies: [[["a/c*"], "/o/", { parents: true }]],
    gives: ["o/"],
  },
  {
    name: "--parents with --exclude",
    from: { "a/b/x": "1", "a/b/y": "2" },
    copies: [[["a"], "/o/", { parents: true, exclude: ["a/b/x"] }]],
    gives: ["o/", "o/a/", "o/a/b/", "o/a/b/y=2"],
  },
  // ---- --link ----
  {
    name: "--link makes over what is in its way",
    from: { f: "1", "d/s/g": "2" },
    into: { "t/": { mode: 0o1777 }, "t/o": "o", l: { link: "t" }, "x/s": "file" },
    copies: [
      [["f"], "/t/", { link: true }],
      [["f"], "/l/", { link: true }],
      [["d"], "/x/", { link: true }],
    ],
    gives: ["755 l/", "644 l/f=1", "755 t/", "644 t/f=1", "644 t/o=o", "755 x/", "755 x/s/", "644 x/s/g=2"],
  },
  {
    name: "--link with --chmod is no --link",
    from: { f: "1" },
    into: { "t/": {}, l: { link: "t" } },
    copies: [[["f"], "/l/", { link: true }, { chmod: parseChmod("600") }]],
    gives: ["777 l->t", "755 t/", "600 t/f=1"],
  },
  {
    name: "--link: a file takes a directory's place",
    from: { f: "1" },
    into: { "t/a/b": "o" },
    copies: [[["f"], "/t/a", { link: true }]],
    gives: ["755 t/", "644 t/a=1"],
  },
];

describe("copyFiles", () => {
  for (const { name, from, into = {}, copies, gives } of cases) {
    test(name, () => {
      using dir = scratch();
      const root = run(dir.path, from, into, copies);
      const withModes = gives.length > 0 && /^\d+ /.test(gives[0]!);
      const got = withModes ? listTree(root).map((line) => line.replace(/ \d+:\d+/, "")) : pathsOf(root);
      // As JSON, because toEqual does not compare lone surrogates.
      expect(JSON.stringify(got)).toBe(JSON.stringify(gives));
    });
  }
});

const refusals: {
  name: string;
  from: TreeSpec;
  into?: TreeSpec;
  copy: Copy;
  code: string;
  message: RegExp;
  hint?: RegExp;
}[] = [
  {
    name: "a source that does not exist",
    from: { Makefile: "1" },
    copy: [["Makefle"], "/x", { label: "the build context" }],
    code: "not-found",
    message: /^Cannot copy Makefle: not found in the build context$/,
    hint: /Did you mean Makefile\?/,
  },
  {
    name: "one of two sources",
    from: { a: "1" },
    copy: [["a", "b/c"], "/x/"],
    code: "not-found",
    message: /b\/c/,
  },
  {
    name: "a link out of the root to what is outside",
    from: { l: { link: "../../../etc/hostname" } },
    copy: [["l"], "/x"],
    code: "not-found",
    message: /Cannot copy l/,
  },
  {
    name: "a broken link",
    from: { l: { link: "none" } },
    copy: [["l"], "/x"],
    code: "not-found",
    message: /Cannot copy l/,
  },
  {
    name: "a broken link that a pattern matches",
    from: { l: { link: "none" } },
    copy: [["*"], "/x/"],
    code: "not-found",
    message: /\(\/l\)/,
  },
  {
    name: "a circle of links",
    from: { l: { link: "m" }, m: { link: "l" } },
    copy: [["l"], "/x"],
    code: "invalid",
    message: /too many symbolic links/,
  },
  {
    name: "a pattern below a directory that does not exist",
    from: { a: "1" },
    copy: [["no/*.c"], "/x/"],
    code: "not-found",
    message: /no\/\*\.c/,
  },
  {
    name: "a file as a directory of the source",
    from: { a: "1" },
    copy: [["a/b"], "/x"],
    code: "not-found",
    message: /a\/b/,
  },
  {
    name: "a malformed pattern",
    from: { a: "1" },
    copy: [["a[b"], "/x/"],
    code: "invalid",
    message: /bracket is not closed/,
  },
  {
    name: "--parents: a source that does not exist",
    from: { "a/b": "1" },
    copy: [["a/c"], "/o/", { parents: true }],
    code: "not-found",
    message: /a\/c/,
  },
  {
    name: "--parents: a source behind a link",
    from: { "a/b": "1", l: { link: "a" } },
    copy: [["l/b"], "/o/", { parents: true }],
    code: "not-found",
    message: /l\/b/,
  },
  {
    name: "a directory onto a file",
    from: { "d/a": "1" },
    into: { x: "f" },
    copy: [["d"], "/x"],
    code: "invalid",
    message: /Cannot copy a directory to \/x: a file is there/,
  },
  {
    name: "a directory in the tree onto a file",
    from: { "d/s/f": "1" },
    into: { "t/s": "f" },
    copy: [["d"], "/t"],
    code: "invalid",
    message: /to \/t\/s: a file is there/,
  },
  {
    name: "a directory in the tree onto a link to a directory",
    from: { "d/s/f": "1" },
    into: { "r/": {}, "t/s": { link: "/r" } },
    copy: [["d"], "/t"],
    code: "invalid",
    message: /to \/t\/s: a file is there/,
  },
  {
    name: "a link in the tree onto a directory",
    from: { "d/x": { link: "/tmp" } },
    into: { "t/x/": {} },
    copy: [["d"], "/t"],
    code: "invalid",
    message: /Cannot copy a file to \/t\/x: a directory is there/,
  },
  {
    name: "a file where the destination has a directory of its name",
    from: { x: "1" },
    into: { "t/x/": {} },
    copy: [["x"], "/t"],
    code: "invalid",
    message: /\/t\/x: a directory is there/,
  },
  {
    name: "a destination with a slash that is a file",
    from: { a: "1" },
    into: { x: "f" },
    copy: [["a"], "/x/"],
    code: "invalid",
    message: /not a directory/,
  },
  {
    name: "a file among the destination's directories",
    from: { a: "1" },
    into: { x: "f" },
    copy: [["a"], "/x/y"],
    code: "invalid",
    message: /not a directory/,
  },
];

describe("copyFiles refuses", () => {
  for (const { name, from, into = {}, copy, code, message, hint } of refusals) {
    test(name, () => {
      using dir = scratch();
      let error: unknown;
      try {
        run(dir.path, from, into, [copy]);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(CooperError);
      const { code: gotCode, message: gotMessage, hint: gotHint } = error as CooperError;
      expect({ code: gotCode, message: gotMessage }).toEqual({
        code: code as never,
        message: expect.stringMatching(message) as never,
      });
      if (hint !== undefined) expect(gotHint).toMatch(hint);
    });
  }

  test("writes nothing when a later source is missing", () => {
    using dir = scratch();
    expect(() => run(dir.path, { a: "1" }, {}, [[["a", "b"], "/x/"]])).toThrow("Cannot copy b");
    expect(pathsOf(join(dir.path, "into"))).toEqual([]);
  });
});

describe("owners", () => {
  asRoot("stay the source's; what is made on the way is root's; merged directories take the source's", () => {
    using dir = scratch();
    const from: TreeSpec = {
      "d/": { owner: [7, 8] },
      "d/s/": { owner: [3, 4] },
      "d/s/f": { text: "1", owner: [5, 6], mode: 0o4755 },
      "d/l": { link: "f", owner: [9, 10] },
    };
    const root = run(dir.path, from, { "y/": { owner: [1, 2] }, "y/s/": { owner: [1, 2] } }, [
      [["d"], "/p/x"],
      [["d"], "/y"],
    ]);
    expect(listTree(root)).toEqual([
      "755 0:0 p/",
      "755 0:0 p/x/",
      "777 9:10 p/x/l->f",
      "755 3:4 p/x/s/",
      "4755 5:6 p/x/s/f=1",
      "755 1:2 y/",
      "777 9:10 y/l->f",
      "755 3:4 y/s/",
      "4755 5:6 y/s/f=1",
    ]);
  });

  asRoot("are those of --chown, on the way too; an existing destination keeps its own", () => {
    using dir = scratch();
    const owner = { uid: 1000, gid: 50 };
    const root = run(
      dir.path,
      { "d/s/f": { text: "1", owner: [5, 6], mode: 0o2755 } },
      { "y/": { owner: [1, 2] } },
      [
        [["d"], "/p/x", {}, { owner }],
        [["d"], "/y", {}, { owner }],
      ],
    );
    expect(listTree(root)).toEqual([
      "755 1000:50 p/",
      "755 1000:50 p/x/",
      "755 1000:50 p/x/s/",
      "2755 1000:50 p/x/s/f=1",
      "755 1:2 y/",
      "755 1000:50 y/s/",
      "2755 1000:50 y/s/f=1",
    ]);
  });

  asRoot("large numbers", () => {
    using dir = scratch();
    const root = run(dir.path, { f: { text: "", owner: [2147483646, 3000000000] } }, {}, [[["f"], "/f"]]);
    expect(listTree(root)).toEqual(["644 2147483646:3000000000 f="]);
  });

  asRoot("of directories that --parents leads through", () => {
    using dir = scratch();
    const from: TreeSpec = { "o/p/": { mode: 0o700, owner: [5, 6] }, "o/p/f": "x" };
    const root = run(dir.path, from, { "e/o/p/": { mode: 0o711, owner: [1, 2] } }, [
      [["o/p/f"], "/d/", { parents: true }],
      [["o/p/f"], "/e/", { parents: true }],
    ]);
    expect(listTree(root)).toEqual([
      "755 0:0 d/",
      "755 0:0 d/o/",
      "700 5:6 d/o/p/",
      "644 0:0 d/o/p/f=x",
      "755 0:0 e/",
      "755 0:0 e/o/",
      "700 1:2 e/o/p/",
      "644 0:0 e/o/p/f=x",
    ]);
  });

  test("in an attribute, where files cannot be given away", () => {
    using dir = scratch();
    const own = { uid: process.getuid!(), gid: process.getgid!() };
    const root = run(dir.path, { "d/f": { text: "1", mode: 0o640 } }, {}, [
      [["d"], "/x", {}, { owner: { uid: own.uid + 1, gid: 5 }, ownership: "xattr" }],
    ]);
    expect(statSync(join(root, "x/f")).uid).toBe(own.uid);
    expect(getXattr(join(root, "x/f"), "user.containers.override_stat")?.toString()).toBe(
      `${own.uid + 1}:5:0640`,
    );
    expect(getXattr(join(root, "x"), "user.containers.override_stat")?.toString()).toBe(
      `${own.uid + 1}:5:0755`,
    );
    // And from there on it is the owner of the source.
    mkdirSync(join(dir.path, "again"));
    copyAll(
      {
        sourceRoot: root,
        sources: ["x"],
        destinationRoot: join(dir.path, "again"),
        destination: "/y",
        wildcards: true,
        parents: false,
      },
      { ownership: "xattr" },
    );
    expect(getXattr(join(dir.path, "again/y/f"), "user.containers.override_stat")?.toString()).toBe(
      `${own.uid + 1}:5:0640`,
    );
  });
});

describe("times, attributes and links", () => {
  test("files, directories and the destination itself get the source's times", () => {
    using dir = scratch();
    const from: TreeSpec = {
      "d/": { mtime: 1000.5 },
      "d/s/": { mtime: 2000.25 },
      "d/s/f": { text: "1", mtime: 3000.125 },
    };
    const root = run(dir.path, from, { "y/o": "o" }, [
      [["d"], "/x"],
      [["d"], "/y"],
    ]);
    const times = ["x", "x/s", "x/s/f", "y", "y/s"].map((path) => lstatSync(join(root, path)).mtimeMs);
    expect(times).toEqual([1000500, 2000250, 3000125, 1000500, 2000250]);
  });

  test("a timestamp is everybody's, but for directories that were there", () => {
    using dir = scratch();
    const root = run(dir.path, { "d/s/l": { link: "x" }, "d/f": "1" }, { "o/": { mtime: 5 } }, [
      [["d"], "/p/x/", {}, { timestamp: 77_000_000_001n }],
    ]);
    for (const path of ["p", "p/x", "p/x/s", "p/x/s/l", "p/x/f"])
      expect([path, lstatSync(join(root, path), { bigint: true }).mtimeNs]).toEqual([path, 77_000_000_001n]);
    expect(lstatSync(join(root, "o")).mtimeMs).toBe(5000);
  });

  test("nanoseconds before 1970", () => {
    using dir = scratch();
    const root = run(dir.path, { f: "1" }, {}, [[["f"], "/f", {}, { timestamp: -1_500_000_001n }]]);
    expect(lstatSync(join(root, "f"), { bigint: true }).mtimeNs).toBe(-1_500_000_001n);
  });

  test("hard links stay hard links within one source, and only there", () => {
    using dir = scratch();
    const from: TreeSpec = {
      "d/a": "1",
      "d/b": { hard: "d/a" },
      "d/s/c": { hard: "d/a" },
      e: { hard: "d/a" },
    };
    const root = run(dir.path, from, { "x/b": "old" }, [
      [["d"], "/x"],
      [["e", "d/a"], "/y/"],
    ]);
    expect(pathsOf(root)).toEqual([
      "x/",
      "x/a=1 (3)",
      "x/b=1 (3)",
      "x/s/",
      "x/s/c=1 (3)",
      "y/",
      "y/a=1",
      "y/e=1",
    ]);
  });

  test("extended attributes of files and directories, but not of the top", () => {
    using dir = scratch();
    const source = makeTree(join(dir.path, "from"), { "d/s/f": "1" });
    for (const path of ["d", "d/s", "d/s/f"]) setXattr(join(source, path), "user.note", Buffer.from(path));
    setXattr(join(source, "d/s"), "user.overlay.opaque", Buffer.from("y"));
    const root = run(dir.path, {}, {}, [[["d"], "/x"]]);
    expect(getXattr(join(root, "x"), "user.note")).toBeUndefined();
    expect(getXattr(join(root, "x/s"), "user.note")?.toString()).toBe("d/s");
    expect(getXattr(join(root, "x/s"), "user.overlay.opaque")).toBeUndefined();
    expect(getXattr(join(root, "x/s/f"), "user.note")?.toString()).toBe("d/s/f");
  });

  asRoot("file capabilities survive a new owner, unless they come from a build context", () => {
    using dir = scratch();
    const source = makeTree(join(dir.path, "from"), { f: "1" });
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    setXattr(join(source, "f"), "security.capability", capability);
    const owner = { uid: 5, gid: 6 };
    const root = run(dir.path, {}, {}, [
      [["f"], "/x", {}, { owner }],
      [["f"], "/y", {}, { owner, capabilities: false }],
    ]);
    expect(getXattr(join(root, "x"), "security.capability")?.equals(capability)).toBe(true);
    expect(getXattr(join(root, "y"), "security.capability")).toBeUndefined();
  });

  asRoot("devices and fifos; a socket becomes an empty file", () => {
    using dir = scratch();
    const from: TreeSpec = {
      "d/blk": { special: 0o060000, device: 0x700n },
      "d/chr": { special: 0o020000, device: 0x103n },
      "d/fifo": { special: 0o010000 },
      "d/sock": { special: 0o140000 },
    };
    const root = run(dir.path, from, {}, [
      [["d"], "/x"],
      [["d"], "/y", {}, { blockDevices: "character" }],
    ]);
    expect(pathsOf(root)).toEqual([
      "x/",
      "x/blk#60000",
      "x/chr#20000",
      "x/fifo#10000",
      "x/sock=",
      "y/",
      "y/blk#20000",
      "y/chr#20000",
      "y/fifo#10000",
      "y/sock=",
    ]);
    expect([lstatSync(join(root, "x/chr")).rdev, lstatSync(join(root, "y/blk")).rdev]).toEqual([
      0x103, 0x700,
    ]);
  });

  test("holes stay holes and large files arrive whole", () => {
    using dir = scratch();
    const source = makeTree(join(dir.path, "from"), {});
    const big = Buffer.alloc(3 * (1 << 20) + 17, "cooper");
    Bun.spawnSync(["truncate", "-s", "64M", join(source, "hole")]);
    Bun.spawnSync(["dd", `of=${join(source, "hole")}`, "conv=notrunc", "bs=1", "seek=40000000"], {
      stdin: Buffer.from("island"),
    });
    writeFileSync(join(source, "big"), big);
    const root = run(dir.path, {}, {}, [[["*"], "/x/"]]);
    expect(readFileSync(join(root, "x/big")).equals(big)).toBe(true);
    expect(readFileSync(join(root, "x/hole")).equals(readFileSync(join(source, "hole")))).toBe(true);
    expect(statSync(join(root, "x/hole")).blocks).toBeLessThan(2048);
  });
});

describe("with an ignore file", () => {
  const context: TreeSpec = {
    keep: "1",
    "d/x": "2",
    "d/keep": "3",
    "e/y": "4",
    "e/f/z": "5",
    l: { link: "d" },
    "o/": {},
  };
  const copy = (patterns: string, sources: string[], destination = "/c") => {
    using dir = scratch();
    const ignore = parseIgnoreFile(patterns, ".dockerignore");
    return pathsOf(
      run(dir.path, context, {}, [[sources, destination, { ignore, label: "the build context" }]]),
    );
  };

  test.each([
    [
      "what is ignored is not there",
      "d\ne/f\n",
      ["."],
      ["c/", "c/e/", "c/e/y=4", "c/keep=1", "c/l->d", "c/o/"],
    ],
    [
      "an exception brings its directories back",
      "d\ne\n!e/f/z\n",
      ["."],
      ["c/", "c/e/", "c/e/f/", "c/e/f/z=5", "c/keep=1", "c/l->d", "c/o/"],
    ],
    ["an exception for nothing brings nothing back", "d\n!d/none\n", ["*"], ["c=1"]],
    [
      "an emptied directory stays",
      "e/**\n",
      ["."],
      ["c/", "c/d/", "c/d/keep=3", "c/d/x=2", "c/e/", "c/keep=1", "c/l->d", "c/o/"],
    ],
    ["a directory that is ignored but for one file can be named", "d\n!d/keep\n", ["d"], ["c/", "c/keep=3"]],
    ["what a link leads to may be ignored", "l\n", ["d/x"], ["c=2"]],
  ])("%s", (_name, patterns, sources, gives) => {
    if (_name.includes("for nothing")) expect(copy(patterns, ["[k]*"])).toEqual(gives as string[]);
    else expect(copy(patterns, sources as string[])).toEqual(gives as string[]);
  });

  test.each([
    ["a file", "keep\n", ["keep"]],
    ["a link on the way", "l\n", ["l/x"]],
    ["what a link leads to", "d/x\n", ["l/x"]],
    ["a directory of which nothing is left", "d\n!d/none\n", ["d"]],
  ])("%s that is ignored cannot be named, and the hint says why", (_name, patterns, sources) => {
    expect(() => copy(patterns, sources as string[])).toThrow(/not found in the build context/);
  });

  test("the hint names the file", () => {
    try {
      copy("keep\n", ["keep"]);
      throw new Error("copied");
    } catch (error) {
      expect((error as CooperError).hint).toBe("It exists, but .dockerignore excludes it");
    }
  });
});

describe("ADD's archives", () => {
  test("each file is offered, with links followed; directories are not", () => {
    using dir = scratch();
    const offered: string[] = [];
    const from: TreeSpec = { "a.tar": "T", b: "1", l: { link: "a.tar" }, "d/c.tar": "T" };
    const root = run(dir.path, from, {}, [
      [
        ["a.tar", "l", "b", "d"],
        "/p/x",
        {
          unpack: (file, makeDestination) => {
            offered.push(file.slice(dir.path.length));
            if (!file.endsWith(".tar")) return false;
            writeFileSync(join(makeDestination(), `from-${offered.length}`), "");
            return true;
          },
        },
      ],
    ]);
    expect(offered).toEqual(["/from/a.tar", "/from/a.tar", "/from/b"]);
    expect(pathsOf(root)).toEqual(["p/", "p/x/", "p/x/b=1", "p/x/c.tar=T", "p/x/from-1=", "p/x/from-2="]);
  });
});

test("a destination inside the source does not swallow itself", () => {
  using dir = scratch();
  const root = makeTree(join(dir.path, "from"), { a: "1", "out/old": "2" });
  copyAll(
    {
      sourceRoot: root,
      sources: ["."],
      destinationRoot: join(root, "out"),
      destination: "/x",
      wildcards: true,
      parents: false,
    },
    process.getuid?.() === 0 ? {} : { owner: { uid: process.getuid!(), gid: process.getgid!() } },
  );
  expect(pathsOf(root)).toEqual(["a=1", "out/", "out/old=2", "out/x/", "out/x/a=1"]);
});

test("in turns others have theirs, and one of them may end it", async () => {
  using dir = scratch();
  const root = makeTree(dir.path, { "from/a": "x".repeat(64 << 20), "from/b": "2" });
  mkdirSync(join(root, "to"));
  const request = {
    sourceRoot: join(root, "from"),
    sources: ["."],
    destinationRoot: join(root, "to"),
    destination: "/",
    wildcards: true,
    parents: false,
  };
  const own = { owner: { uid: process.getuid!(), gid: process.getgid!() } };
  const abort = new AbortController();
  abort.abort();
  const work = inTurns(slowly(copyFiles(request, own)), abort.signal);
  await expect(work).rejects.toMatchObject({ code: "cancelled" });
  expect(await inTurns(copyFiles(request, own))).toMatchObject({ copied: 2 });
});

/** So slowly that the first turn ends before the work. */
function* slowly<T>(work: Work<T>): Work<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    Bun.sleepSync(60);
    yield;
  }
}
