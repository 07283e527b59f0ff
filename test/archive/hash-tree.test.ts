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
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseChmod } from "../../src/archive/copy-chmod.ts";
import type { SourceRequest } from "../../src/archive/copy-tree.ts";
import { hashInTurns, hashSources } from "../../src/archive/hash-tree.ts";
import { atOnce } from "../../src/base/turns.ts";
import type { FileState, StatCache } from "../../src/archive/stat-cache.ts";
import type { Digest } from "../../src/base/digest.ts";
import { setXattr } from "../../src/base/xattrs.ts";
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

const digestOfSources = (...args: Parameters<typeof hashSources>) => atOnce(hashSources(...args));

describe("hashSources", () => {
  for (const [name, differs, change, needsRoot] of changes) {
    test.skipIf(needsRoot === true && !isRoot)(
      `${name} ${differs ? "changes" : "does not change"} the digest`,
      () => {
        using dir = scratch();
        const root = makeTree(dir.path, TREE);
        const before = digestOfSources(requestFor(root));
        change(root);
        expect(digestOfSources(requestFor(root)) !== before).toBe(differs);
      },
    );
  }

  test("is the same wherever the tree lies", () => {
    using one = scratch();
    using two = scratch();
    expect(digestOfSources(requestFor(makeTree(one.path, TREE)))).toBe(
      digestOfSources(requestFor(makeTree(join(two.path, "x/y"), TREE))),
    );
  });

  test("takes nothing of owners or modes that the copy replaces", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    const options = { owner: { uid: 1, gid: 2 }, chmod: parseChmod("644") };
    const before = digestOfSources(requestFor(root), options);
    chmodSync(join(root, "d/s/c"), 0o600);
    if (isRoot) chownSync(join(root, "d/s/c"), 5, 5);
    expect(digestOfSources(requestFor(root), options)).toBe(before);
  });

  test("a lone file counts with the name that it may keep", () => {
    using dir = scratch();
    const root = makeTree(dir.path, { a: "1", b: "1", l: { link: "a" } });
    const digest = (source: string) => digestOfSources(requestFor(root, { sources: [source] }));
    expect(digest("a")).not.toBe(digest("b"));
    expect(digest("l")).not.toBe(digest("a"));
    expect(digest("/a")).toBe(digest("a"));
  });

  test("sees what the ignore file and the patterns leave", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    const ignore = parseIgnoreFile("d/s\n", "f");
    const digest = (more: Partial<SourceRequest>) => digestOfSources(requestFor(root, more));
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
    expect(digestOfSources(requestFor(first))).not.toBe(digestOfSources(requestFor(second)));
  });

  test("refuses what copyFiles refuses", () => {
    using dir = scratch();
    const root = makeTree(dir.path, TREE);
    expect(() => digestOfSources(requestFor(root, { sources: ["none"] }))).toThrow(/Cannot copy none/);
    expect(() => digestOfSources(requestFor(root, { sources: ["d/none"], parents: true }))).toThrow(
      /Cannot copy d\/none/,
    );
  });

  describe("with a cache of what stat(2) said", () => {
    for (const [name, , change, needsRoot] of changes) {
      test.skipIf(needsRoot === true && !isRoot)(`${name}: the digest is the one without it`, async () => {
        using dir = scratch();
        const request = requestFor(makeTree(dir.path, TREE));
        await settled();
        const cache = new MapCache();
        expect(digestOfSources(request, {}, cache)).toBe(digestOfSources(request));
        expect(cache.known.size).toBeGreaterThan(0);
        change(dir.path);
        expect(digestOfSources(request, {}, cache)).toBe(digestOfSources(request));
      });
    }

    test("what is known is not read again, and only that", async () => {
      using dir = scratch();
      const files = Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`d/f${i}`, `${i}`]));
      const large = "x".repeat(1 << 20);
      const request = requestFor(
        makeTree(dir.path, { ...files, "d/large": large, "d/s/large": `${large}y` }),
      );
      await settled();
      const cache = new MapCache();
      const before = digestOfSources(request, {}, cache);
      // Three groups of d and one of d/s, and two large files.
      expect(cache.known.size).toBe(6);
      expect(cache.told).toEqual({ hits: 0, puts: 6 });
      expect(digestOfSources(request, {}, cache)).toBe(before);
      expect(cache.told).toEqual({ hits: 4, puts: 6 });
      const small = join(dir.path, "d/f1");
      writeFileSync(small, "other");
      await settled();
      const after = digestOfSources(request, {}, cache);
      expect(after).toBe(digestOfSources(request));
      expect(after).not.toBe(before);
      // One group anew; it does not have the large file, which comes last.
      expect(cache.told).toEqual({ hits: 7, puts: 7 });
      expect(digestOfSources(request, { owner: { uid: 1, gid: 1 } }, cache)).toBe(
        digestOfSources(request, { owner: { uid: 1, gid: 1 } }),
      );
      for (const state of cache.known.values()) state.digest = `sha256:${"0".repeat(64)}`;
      expect(digestOfSources(request, {}, cache)).not.toBe(after);
    });

    test("in turns it is the same; others have theirs, and one of them may end it", async () => {
      using dir = scratch();
      const request = requestFor(makeTree(dir.path, { ...TREE, "d/hole": "" }));
      // Takes some tenths of a second to hash, and no room.
      truncateSync(join(dir.path, "d/hole"), 400 << 20);
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      const digest = await hashInTurns(request, {}, { cache: new MapCache() });
      clearInterval(timer);
      expect(digest).toBe(digestOfSources(request));
      expect(turns).toBeGreaterThan(1);
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 1);
      await expect(hashInTurns(request, {}, { signal: abort.signal })).rejects.toMatchObject({
        code: "cancelled",
      });
    });

    test("files that have just changed are not remembered: they may change again at the same time", () => {
      using dir = scratch();
      const cache = new MapCache();
      digestOfSources(requestFor(makeTree(dir.path, { "d/large": "x".repeat(1 << 20) })), {}, cache);
      expect(cache.known.size).toBe(0);
    });
  });
});

/** Until times of files that are there lie before the clock's resolution. */
const settled = () => Bun.sleep(50);

class MapCache implements StatCache {
  readonly known = new Map<string, { fingerprint: string; digest: Digest }>();
  readonly told = { hits: 0, puts: 0 };

  get({ identity, fingerprint }: FileState): Digest | undefined {
    const state = this.known.get(identity);
    if (state?.fingerprint !== fingerprint) return undefined;
    this.told.hits++;
    return state.digest;
  }

  put({ identity, fingerprint }: FileState, digest: Digest): void {
    this.told.puts++;
    this.known.set(identity, { fingerprint, digest });
  }
}
