// Protects cache keys of copied files: a digest changes with everything that a copy would carry over, and with nothing else.
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseChmod } from "../../src/archive/copy-chmod.ts";
import type { SourceRequest } from "../../src/archive/copy-tree.ts";
import { hashSources, type StatCache, type StatKey } from "../../src/archive/hash-tree.ts";
import type { Digest } from "../../src/base/digest.ts";
import { setXattr } from "../../src/base/libc.ts";
import { parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { makeTree, scratch, type TreeSpec } from "./file-trees.ts";

const isRoot = process.getuid?.() === 0;

const TREE: TreeSpec = {
  "d/a": "1",
  "d/b": { hard: "d/a" },
  "d/s/c": "3",
  "d/l": { link: "a" },
  "d/e": "",
  other: "x",
};

function requestFor(sourceRoot: string, more: Partial<SourceRequest> = {}): SourceRequest {
  return { sourceRoot, sources: ["d"], wildcards: true, parents: false, ...more };
}

/** What is done to a tree, and whether its digest then differs. */
const changes: [name: string, differs: boolean, change: (root: string) => void, needsRoot?: boolean][] = [
  ["nothing", false, () => {}],
  ["a file's time", false, (root) => utimesSync(join(root, "d/a"), 1, 1)],
  ["a directory's time", false, (root) => utimesSync(join(root, "d/s"), 1, 1)],
  ["what is not copied", false, (root) => writeFileSync(join(root, "other"), "y")],
  ["the copied directory's own mode", false, (root) => chmodSync(join(root, "d"), 0o700)],
  ["a content of the same length", true, (root) => writeFileSync(join(root, "d/s/c"), "4")],
  ["a content", true, (root) => writeFileSync(join(root, "d/e"), "4")],
  ["a mode", true, (root) => chmodSync(join(root, "d/s/c"), 0o600)],
  ["a directory's mode", true, (root) => chmodSync(join(root, "d/s"), 0o700)],
  ["an owner", true, (root) => chownSync(join(root, "d/s/c"), 0, 7), true],
  ["a link's owner", true, (root) => lchownSync(join(root, "d/l"), 7, 0), true],
  ["a name", true, (root) => renameSync(join(root, "d/s/c"), join(root, "d/s/cc"))],
  ["a directory's name", true, (root) => renameSync(join(root, "d/s"), join(root, "d/ss"))],
  ["a new file", true, (root) => writeFileSync(join(root, "d/n"), "")],
  ["a new directory", true, (root) => mkdirSync(join(root, "d/n"))],
  ["a file gone", true, (root) => rmSync(join(root, "d/e"))],
  [
    "a link's target",
    true,
    (root) => {
      rmSync(join(root, "d/l"));
      symlinkSync("b", join(root, "d/l"));
    },
  ],
  [
    "a file for a link",
    true,
    (root) => {
      rmSync(join(root, "d/l"));
      writeFileSync(join(root, "d/l"), "a");
    },
  ],
  [
    "a hard link for an equal file",
    true,
    (root) => {
      rmSync(join(root, "d/b"));
      writeFileSync(join(root, "d/b"), "1");
    },
  ],
  ["a name outside for a file inside", false, (root) => linkSync(join(root, "d/s/c"), join(root, "outside"))],
  ["an attribute", true, (root) => setXattr(join(root, "d/s/c"), "user.x", Buffer.from("1"))],
];

describe("hashSources", () => {
  for (const [name, differs, change, needsRoot] of changes) {
    test.skipIf(needsRoot === true && !isRoot)(
      `${name} ${differs ? "changes" : "does not change"} the digest`,
      () => {
        using dir = scratch();
        const root = makeTree(dir.path, TREE);
        const before = hashSources(requestFor(root));
        change(root);
        expect(hashSources(requestFor(root)) !== before).toBe(differs);
      },
    );
  }

  test("is the same wherever the tree lies", () => {
    using one = scratch();
    using two = scratch();
    expect(hashSources(requestFor(makeTree(one.path, TREE)))).toBe(
      hashSources(requestFor(makeTree(join(two.path, "x/y"), TREE))),
    );
  });

  test("takes nothing of owners or modes that the copy replaces", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    const options = { owner: { uid: 1, gid: 2 }, chmod: parseChmod("644") };
    const before = hashSources(requestFor(root), options);
    chmodSync(join(root, "d/s/c"), 0o600);
    if (isRoot) chownSync(join(root, "d/s/c"), 5, 5);
    expect(hashSources(requestFor(root), options)).toBe(before);
  });

  test("a lone file counts with the name that it may keep", () => {
    using dir = scratch();
    const root = makeTree(dir.path, { a: "1", b: "1", l: { link: "a" } });
    const digest = (source: string) => hashSources(requestFor(root, { sources: [source] }));
    expect(digest("a")).not.toBe(digest("b"));
    expect(digest("l")).not.toBe(digest("a"));
    expect(digest("/a")).toBe(digest("a"));
  });

  test("sees what the ignore file and the patterns leave", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    const ignore = parseIgnoreFile("d/s\n", "f");
    const digest = (more: Partial<SourceRequest>) => hashSources(requestFor(root, more));
    const [ignored, excluded, parents] = [
      digest({ ignore }),
      digest({ exclude: ["s"] }),
      digest({ sources: ["d/e"], parents: true }),
    ];
    expect(ignored).toBe(excluded);
    writeFileSync(join(root, "d/s/c"), "4");
    expect([
      digest({ ignore }),
      digest({ exclude: ["s"] }),
      digest({ sources: ["d/e"], parents: true }),
    ]).toEqual([ignored, excluded, parents]);
    chmodSync(join(root, "d"), 0o711);
    expect(digest({ sources: ["d/e"], parents: true })).not.toBe(parents);
  });

  test("names cannot be mistaken for each other", () => {
    using one = scratch();
    using two = scratch();
    const first = makeTree(one.path, { "d/a,1:b": "", "d/\udcff": "" });
    const second = makeTree(two.path, { "d/a": "", "d/1:b": "", "d/\udcfe": "" });
    expect(hashSources(requestFor(first))).not.toBe(hashSources(requestFor(second)));
  });

  test("refuses what copyFiles refuses", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    expect(() => hashSources(requestFor(root, { sources: ["none"] }))).toThrow(/Cannot copy none/);
    expect(() => hashSources(requestFor(root, { sources: ["d/none"], parents: true }))).toThrow(
      /Cannot copy d\/none/,
    );
  });

  test("asks the cache first and tells it what was read", () => {
    using dir = scratch();
    const request = requestFor(makeTree(dir.path, TREE));
    const known = new Map<string, Digest>();
    const text = (key: StatKey) => [key.device, key.inode, key.size, key.mtimeNs, key.ctimeNs].join(":");
    let puts = 0;
    const cache: StatCache = {
      get: (key) => known.get(text(key)),
      put: (key, digest) => {
        puts++;
        known.set(text(key), digest);
      },
    };
    const cold = hashSources(request, {}, cache);
    expect(puts).toBe(2);
    expect(hashSources(request, {}, cache)).toBe(cold);
    expect(puts).toBe(2);
    for (const key of known.keys()) known.set(key, `sha256:${"0".repeat(64)}`);
    expect(hashSources(request, {}, cache)).not.toBe(cold);
  });
});
