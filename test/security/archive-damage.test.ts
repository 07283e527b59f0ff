// Protects against damaged and malformed archives: an error that names the entry, never a crash, a hang or wrong files.
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packLayer } from "../../src/archive/pack-layer.ts";
import { readTar, type TarMember } from "../../src/archive/tar-reader.ts";
import { CooperError } from "../../src/base/errors.ts";

let good: Buffer;

beforeAll(() => {
  const scratch = mkdtempSync(join(tmpdir(), "cooper-damage-"));
  mkdirSync(join(scratch, "d"));
  writeFileSync(join(scratch, "d/file"), Buffer.alloc(3000, "content"));
  writeFileSync(join(scratch, `d/${"long".repeat(40)}`), "");
  writeFileSync(join(scratch, "end"), "the end");
  good = Buffer.concat([...packLayer({ diffs: [scratch], below: [] })]);
  rmSync(scratch, { recursive: true });
});

async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
}

async function members(bytes: Uint8Array): Promise<TarMember[]> {
  const found: TarMember[] = [];
  for await (const member of readTar(stream(bytes))) {
    for await (const _ of member.content());
    found.push(member);
  }
  return found;
}

async function failure(bytes: Uint8Array): Promise<string> {
  try {
    return `read ${(await members(bytes)).map(({ name }) => name)}`;
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

/** One header block, fields by offset, with its checksum. */
function header(fields: Record<number, string | Uint8Array>): Buffer {
  const block = Buffer.alloc(512);
  const usual = {
    0: "name",
    100: "0000644\0",
    108: "0000000\0",
    116: "0000000\0",
    124: "00000000000\0",
    136: "00000000000\0",
    156: "0",
    257: "ustar\x0000",
  };
  for (const [at, value] of Object.entries({ ...usual, ...fields }))
    block.set(Buffer.from(value as string, "latin1"), Number(at));
  block.fill(" ", 148, 156);
  block.write(
    block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0"),
    148,
  );
  return block;
}

function padded(content: string): Buffer {
  const bytes = Buffer.from(content, "latin1");
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

const octal = (value: number) => `${value.toString(8).padStart(11, "0")}\0`;
const extension = (flag: string, content: string, size = content.length) =>
  Buffer.concat([header({ 124: octal(size), 156: flag }), padded(content)]);
const pax = (...records: [key: string, value: string][]) =>
  extension(
    "x",
    records
      .map(([key, value]) => {
        const tail = ` ${key}=${value}\n`;
        let length = tail.length;
        while (`${length}${tail}`.length !== length) length++;
        return `${length}${tail}`;
      })
      .join(""),
  );
const END = Buffer.alloc(1024);
const base256 = (length: number, value: bigint) => {
  const bytes = Buffer.alloc(length);
  let rest = value;
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  bytes[0] = bytes[0]! | 0x80;
  return bytes;
};

test("an archive cut short anywhere but between entries is an error", async () => {
  const boundaries = new Set<number>();
  let at = 0;
  // Offsets at which an entry, with the extensions before it, ends.
  for (const member of await members(good)) {
    for (;;) {
      const flag = String.fromCharCode(good[at + 156]!);
      const size = Number.parseInt(good.toString("latin1", at + 124, at + 135), 8);
      at += 512 + Math.ceil(size / 512) * 512;
      if (flag !== "x") break;
    }
    // Padding of the last block may be missing without a loss.
    for (let missing = 0; missing < 512; missing++)
      if (member.size % 512 !== 0 || missing === 0) boundaries.add(at - missing);
  }
  boundaries.add(0);
  for (let length = 0; length < at; length += 37) {
    if (boundaries.has(length)) continue;
    const result = await failure(good.subarray(0, length));
    expect(`${length} ${result}`).toStartWith(`${length} invalid: Archive ends too early`);
  }
  expect(await failure(good.subarray(0, 4000))).toContain("d/file");
});

test("no damaged byte makes anything but an error or a different member", async () => {
  for (let at = 0; at < good.length; at += 13) {
    const bytes = Buffer.from(good);
    bytes[at] = bytes[at]! ^ 0x55;
    const result = await failure(bytes);
    expect(result).toMatch(/^(read|invalid:|unsupported:)/);
    if (at < 512 && !(at >= 148 && at < 156)) expect(result).toContain("checksum does not match");
  }
});

const malformed: [name: string, bytes: () => Buffer, expected: string][] = [
  ["text", () => Buffer.alloc(2000, "this is not an archive "), "Archive is damaged at its beginning"],
  ["a lone block of zeros", () => Buffer.concat([Buffer.alloc(512), good]), "a header is missing"],
  ["garbage behind an entry", () => Buffer.concat([header({}), Buffer.alloc(512, "x")]), "behind name"],
  ["no name", () => header({ 0: "\0\0\0\0" }), "name is empty"],
  ["no number", () => header({ 100: "zz00644\0" }), "its mode is not a number"],
  ["a negative size", () => header({ 124: Buffer.alloc(12, 0xff) }), "its size is impossible"],
  ["an immense size", () => header({ 124: base256(12, 1n << 70n) }), "its size is impossible"],
  ["a size beyond the end", () => header({ 124: octal(1e9) }), "Archive ends too early"],
  ["owner -1", () => header({ 108: base256(8, 0xffffffffn) }), "its uid 4294967295 is impossible"],
  ["a negative owner", () => Buffer.concat([pax(["gid", "-1"]), header({})]), "its gid -1 is impossible"],
  ["an immense time", () => header({ 136: base256(12, 1n << 80n) }), "its time is impossible"],
  ["a time that is none", () => Buffer.concat([pax(["mtime", "now"]), header({})]), '"now" is not a time'],
  ["an unknown type", () => header({ 156: "M" }), 'type "M"'],
  ["an immense extension", () => extension("x", "", 2 ** 30), "impossible size"],
  [
    "a record without a length",
    () => Buffer.concat([extension("x", "path=x\n"), header({})]),
    "PAX record is malformed",
  ],
  [
    "a record of no length",
    () => Buffer.concat([extension("x", "0 a=b\n"), header({})]),
    "PAX record is malformed",
  ],
  [
    "a record that is too long",
    () => Buffer.concat([extension("x", "99 a=b\n"), header({})]),
    "PAX record is malformed",
  ],
  [
    "a record without a value",
    () => Buffer.concat([extension("x", "6 abc\n"), header({})]),
    "PAX record is malformed",
  ],
  [
    "a record that ends in the middle",
    () => Buffer.concat([extension("x", "6 a=bc\n"), header({})]),
    "PAX record is malformed",
  ],
  ["NUL in a name", () => Buffer.concat([pax(["path", "a\0b"]), header({})]), "contains NUL"],
  [
    "a size that is no number",
    () => Buffer.concat([pax(["size", "1e3"]), header({})]),
    "PAX record size is not a number",
  ],
  [
    "a map that overlaps",
    () =>
      Buffer.concat([
        pax(["GNU.sparse.size", "100"], ["GNU.sparse.map", "0,10,5,10"]),
        header({ 124: octal(20) }),
      ]),
    "map of holes",
  ],
  [
    "a map beyond the end",
    () =>
      Buffer.concat([
        pax(["GNU.sparse.size", "100"], ["GNU.sparse.map", "90,20"]),
        header({ 124: octal(20) }),
      ]),
    "map of holes",
  ],
  [
    "a map of another size",
    () =>
      Buffer.concat([
        pax(["GNU.sparse.size", "100"], ["GNU.sparse.map", "0,10"]),
        header({ 124: octal(20) }),
      ]),
    "map of holes",
  ],
  [
    "a map of half a pair",
    () =>
      Buffer.concat([
        pax(["GNU.sparse.size", "100"], ["GNU.sparse.map", "0,10,50"]),
        header({ 124: octal(10) }),
      ]),
    "map of holes",
  ],
  [
    "an endless map",
    () =>
      Buffer.concat([
        pax(["GNU.sparse.major", "1"], ["GNU.sparse.realsize", "9"]),
        header({ 124: octal(512) }),
        padded("99999999999\n"),
      ]),
    "map of holes",
  ],
];

test("what comes behind the end of an archive is nobody's", async () => {
  for (const rest of [Buffer.alloc(4096, "garbage"), header({ 0: "../behind" }), Buffer.alloc(1)]) {
    const found = await members(Buffer.concat([header({}), END, rest]));
    expect(found.map(({ name }) => name)).toEqual(["name"]);
  }
});

test("an archive of nothing but a label or defaults is empty", async () => {
  for (const only of [header({ 156: "V" }), extension("g", "9 uid=11\n")]) {
    expect(await members(Buffer.concat([only, END]))).toEqual([]);
  }
});

describe("malformed", () => {
  for (const [name, bytes, expected] of malformed) {
    test(name, async () => {
      const result = await failure(bytes());
      expect(result).toContain(expected);
      expect(result).toMatch(/^(invalid|unsupported): /);
    });
  }
});

const dialects: [name: string, bytes: () => Buffer, expected: Partial<TarMember>][] = [
  [
    "v7, a directory by its slash",
    () => header({ 0: "dir/", 257: Buffer.alloc(8), 156: "\0" }),
    { name: "dir", type: "directory" },
  ],
  ["ustar prefix", () => header({ 345: "some/prefix" }), { name: "some/prefix/name" }],
  [
    "GNU, whose prefix field holds times",
    () => header({ 257: "ustar  \0", 345: "14000000000\0" }),
    { name: "name" },
  ],
  ["star prefix", () => header({ 345: "p", 476: "00000000000 ", 508: "tar\0" }), { name: "p/name" }],
  [
    "GNU long names",
    () =>
      Buffer.concat([
        extension("L", `${"n".repeat(300)}\0`),
        extension("K", `${"t".repeat(200)}\0`),
        header({ 156: "2" }),
      ]),
    { name: "n".repeat(300), linkName: "t".repeat(200) },
  ],
  ["volume label", () => Buffer.concat([header({ 156: "V" }), header({ 0: "file" })]), { name: "file" }],
  ["contiguous", () => header({ 156: "7" }), { type: "file" }],
  ["base-256 owner", () => header({ 108: base256(8, 3_000_000n) }), { uid: 3_000_000 }],
  ["negative base-256 time", () => header({ 136: Buffer.alloc(12, 0xff) }), { mtime: -1_000_000_000n }],
  [
    "PAX time before 1970",
    () => Buffer.concat([pax(["mtime", "-1.25"]), header({})]),
    { mtime: -1_250_000_000n },
  ],
  [
    "PAX time with many digits",
    () => Buffer.concat([pax(["mtime", "1.1234567899999"]), header({})]),
    { mtime: 1_123_456_789n },
  ],
  [
    "PAX global and own",
    () => Buffer.concat([extension("g", "9 uid=11\n9 gid=11\n"), pax(["uid", "22"]), header({})]),
    { uid: 22, gid: 11 },
  ],
  [
    "a record taken back",
    () => Buffer.concat([pax(["path", "other"], ["path", ""]), header({})]),
    { name: "name" },
  ],
  [
    "names that are not UTF-8",
    () => Buffer.concat([pax(["path", "caf\xe9"]), header({})]),
    { name: "caf\udce9" },
  ],
  [
    "content in a directory",
    () => Buffer.concat([header({ 0: "dir", 124: octal(5), 156: "D" }), padded("Yabc\0")]),
    { name: "dir", size: 0 },
  ],
];

describe("dialects", () => {
  for (const [name, bytes, expected] of dialects) {
    test(name, async () => {
      const found = await members(
        Buffer.concat([bytes(), header({ 0: "next" }), END, Buffer.alloc(9000, "ignored")]),
      );
      expect(found.map((member) => member.name)).toEqual([found[0]!.name, "next"]);
      expect(found[0]).toMatchObject(expected);
    });
  }
});
