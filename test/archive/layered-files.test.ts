// Protects the count of what layers waste, for every way in which one layer can hide another's files.
import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { layerEntries } from "../../src/archive/layer-entries.ts";
import { type LayerFile, LayeredFiles } from "../../src/archive/layered-files.ts";
import { makeOpaque, makeWhiteout } from "../../src/archive/whiteouts.ts";
import { scratchDirectory } from "../support/scratch.ts";

const scratch = scratchDirectory("layered");
afterAll(() => scratch[Symbol.dispose]());
let number = 0;

/** A layer's diff directory: bytes of files by path; `gone` is a whiteout, `opaque` a directory that hides, `->` links. */
function layer(
  files: Record<string, number | "gone" | "opaque" | "directory" | `=${string}` | `->${string}`>,
): string {
  const root = scratch.file(`layer-${number++}`);
  mkdirSync(root);
  for (const [name, what] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof what === "number") writeFileSync(path, Buffer.alloc(what));
    else if (what === "gone") makeWhiteout(path);
    else if (what.startsWith("->")) symlinkSync(what.slice(2), path);
    else if (what.startsWith("=")) linkSync(join(root, what.slice(1)), path);
    else mkdirSync(path, { recursive: true });
    if (what === "opaque") makeOpaque(path);
  }
  return root;
}

type Layer = Parameters<typeof layer>[0];

/** All layers one after another: what the last does, the waste of each, and what wastes it. */
function explore(layers: Layer[]): { last: string[]; hidden: number[]; wasted: string[] } {
  const seen = new LayeredFiles();
  const below: string[] = [];
  let last: LayerFile[] = [];
  for (const files of layers) {
    const root = layer(files);
    last = seen.add(layerEntries([root], [...below]));
    below.push(root);
  }
  return {
    last: last.map(({ kind, path, size }) => `${kind} ${path} ${size}`),
    hidden: seen.hiddenBytes,
    wasted: seen.wasted().map(({ path, bytes, layers: of }) => `${path} ${bytes} ${of.join("+")}`),
  };
}

const CASES: [title: string, layers: Layer[], last: string[], hidden: number[], wasted: string[]][] = [
  ["one layer", [{ "a/b": 5, c: 0 }], ["added /a/b 5", "added /c 0"], [0], []],
  ["a file overwritten", [{ a: 5 }, { a: 7 }], ["changed /a 7"], [5, 0], ["/a 5 0+1"]],
  ["overwritten twice", [{ a: 5 }, { a: 7 }, { a: 9 }], ["changed /a 9"], [5, 7, 0], ["/a 12 0+1+2"]],
  ["deleted", [{ a: 5 }, { a: "gone" }], ["removed /a 5"], [5, 0], ["/a 5 0+1"]],
  ["deleted and made again", [{ a: 5 }, { a: "gone" }, { a: 1 }], ["added /a 1"], [5, 0, 0], ["/a 5 0+1"]],
  ["a whiteout of nothing", [{ b: 1 }, { a: "gone" }], [], [0, 0], []],
  [
    "a directory deleted, of two layers",
    [{ "d/a": 5 }, { "d/s/b": 3 }, { d: "gone" }],
    ["removed /d 8"],
    [5, 3, 0],
    ["/d 8 0+1+2"],
  ],
  [
    "a directory replaced",
    [
      { "d/a": 5, "d/e": 2 },
      { d: "opaque", "d/a": 1 },
    ],
    ["removed /d/a 5", "removed /d/e 2", "added /d/a 1"],
    [7, 0],
    ["/d 7 0+1"],
  ],
  ["a directory that becomes a file", [{ "d/a": 5 }, { d: 2 }], ["changed /d 2"], [5, 0], ["/d 5 0+1"]],
  [
    "a file that becomes a directory",
    [{ d: 5 }, { "d/a": 2 }],
    ["removed /d 5", "added /d/a 2"],
    [5, 0],
    ["/d 5 0+1"],
  ],
  ["directories alone", [{ "d/a": 5 }, { d: "directory", e: "directory" }], [], [0, 0], []],
  [
    "a second name of a file has no bytes",
    [
      { a: 5, b: "=a" },
      { a: 1, b: 1 },
    ],
    ["changed /a 1", "changed /b 1"],
    [5, 0],
    ["/a 5 0+1"],
  ],
  ["links have no bytes", [{ a: "->b" }, { a: 3 }], ["changed /a 3"], [0, 0], []],
];

test.each(CASES)("%s", (_, layers, last, hidden, wasted) => {
  expect(explore(layers)).toEqual({ last, hidden, wasted });
});
