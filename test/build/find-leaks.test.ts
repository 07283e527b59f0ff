// Protects the search for secrets in directories and documents: where one lies is found, and told to the byte.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { setXattr } from "../../src/base/xattrs.ts";
import { leaksInDirectory, leaksInValue } from "../../src/build/find-leaks.ts";
import { Needles } from "../../src/build/secret-needles.ts";

const SECRET = "correct-horse-battery";
const PIN = "4711";
const MEBI = 1 << 20;
const needles = new Needles(
  new Map([
    ["word", Buffer.from(`${SECRET}\n`)],
    ["pin", Buffer.from(PIN)],
  ]),
);

let directory: string;
beforeEach(() => {
  // On a disk, which keeps attributes.
  directory = mkdtempSync("/var/tmp/cooper-leaks-");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, name);
const zeros = (count: number) => Buffer.alloc(count, ".");
const filled = (count: number, text = SECRET) => Buffer.concat([zeros(count), Buffer.from(text)]);

async function found(): Promise<string[]> {
  const places: string[] = [];
  for await (const { id, form, place } of leaksInDirectory(needles, directory)) {
    expect(place).not.toContain(SECRET);
    places.push(`${id}, ${form}: ${place}`);
  }
  return places;
}

const PLACES: [what: string, make: () => void, expected: string[]][] = [
  ["a file", () => writeFileSync(at("f"), filled(7)), ["word, raw: /f at byte 7"]],
  [
    "a file below directories",
    () => {
      mkdirSync(at("a/b"), { recursive: true });
      writeFileSync(at("a/b/c"), SECRET);
    },
    ["word, raw: /a/b/c at byte 0"],
  ],
  [
    "the end of the first read and the beginning of the second",
    () => writeFileSync(at("f"), filled(MEBI - 5)),
    [`word, raw: /f at byte ${MEBI - 5}`],
  ],
  [
    "the last byte of a read",
    () => writeFileSync(at("f"), filled(2 * MEBI - SECRET.length)),
    [`word, raw: /f at byte ${2 * MEBI - SECRET.length}`],
  ],
  [
    "behind a hole of a terabyte",
    () => {
      truncateSync(makeFile("f"), 2 ** 40);
      spawnSync("dd", [`of=${at("f")}`, "bs=1M", "seek=5000", "conv=notrunc"], { input: SECRET });
    },
    [`word, raw: /f at byte ${5000 * MEBI}`],
  ],
  ["a name", () => writeFileSync(at(`x${SECRET}`), ""), ["word, raw: the name of /x[secret word]"]],
  ["a link", () => symlinkSync(`/x/${SECRET}`, at("l")), ["word, raw: the target of the link /l"]],
  [
    "an attribute",
    () => setXattr(makeFile("f"), "user.note", Buffer.from(`x${SECRET}`)),
    ["word, raw: the attribute user.note of /f"],
  ],
  [
    "gzip",
    () => writeFileSync(at("f.gz"), gzipSync(filled(3))),
    ["word, raw: /f.gz at byte 3 of what it unpacks to"],
  ],
  [
    "the second member of gzip",
    () => writeFileSync(at("f.gz"), Buffer.concat([gzipSync(zeros(9)), gzipSync(SECRET)])),
    ["word, raw: /f.gz at byte 9 of what it unpacks to"],
  ],
  [
    "zstd, far behind",
    // What was there before is not written again: the secret is in no piece of the file.
    () => writeFileSync(at("f.zst"), zstdCompressSync(filled(3 * MEBI, `correct-horse- battery ${SECRET}`))),
    [`word, raw: /f.zst at byte ${3 * MEBI + 23} of what it unpacks to`],
  ],
  ["gzip that is damaged", () => writeFileSync(at("f.gz"), gzipSync(filled(3)).subarray(0, 12)), []],
  ["a short secret alone", () => writeFileSync(at("f"), `${PIN}\n`), ["pin, raw: /f at byte 0"]],
  ["a short secret among others", () => writeFileSync(at("f"), `a ${PIN} b`), []],
  [
    "two secrets in one name and file",
    () => writeFileSync(at(SECRET), PIN),
    ["word, raw: the name of /[secret word]", "pin, raw: /[secret word] at byte 0"],
  ],
  ["a fifo", () => spawnSync("mkfifo", [at("p")]), []],
];

function makeFile(name: string): string {
  writeFileSync(at(name), "");
  return at(name);
}

test.each(PLACES)("%s", async (_what, make, expected) => {
  make();
  expect(await found()).toEqual(expected);
});

describe("documents", () => {
  test.each<[unknown, string[]]>([
    [{ Env: ["A=1", `TOKEN=${SECRET}`] }, ["word: config, Env, 1 at byte 6"]],
    [
      { Labels: { a: `x${SECRET}`, [SECRET]: "b" } },
      ["word: config, Labels, a at byte 1", "word: the name of config, Labels, [secret word]"],
    ],
    [{ Env: [`PIN=${PIN}`, `PORT=8${PIN}`] }, ["pin: config, Env, 0 at byte 0"]],
    [{ a: null, b: 1, c: [true, { d: SECRET }] }, ["word: config, c, 1, d at byte 0"]],
  ])("%j", (value, expected) => {
    expect([...leaksInValue(needles, value, "config")].map(({ id, place }) => `${id}: ${place}`)).toEqual(
      expected,
    );
  });
});
