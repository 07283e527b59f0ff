// Protects reading and writing of compressed streams: formats by their bytes, several members, damage, equal bytes for equal content.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { compress } from "../../src/archive/compress.ts";
import { BLOCK_BYTES, compressBlock, DEFAULT_LEVEL } from "../../src/archive/compress-block.ts";
import { decompressAll, detectCompression, isTarArchive } from "../../src/archive/compression.ts";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import { CooperError } from "../../src/base/errors.ts";

setDefaultTimeout(60_000);
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251));

/** With a checksum, without which much damage is not seen. */
function zstd(bytes: Uint8Array): Buffer {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

function program(name: string, input: Uint8Array, flags = "-c"): Buffer {
  return Buffer.from(Bun.spawnSync([name, flags], { stdin: input }).stdout);
}

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(Uint8Array.from(chunk));
  return Buffer.concat(parts);
}

async function failure(work: Promise<unknown>): Promise<CooperError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CooperError)) throw new Error(`expected a CooperError, got ${error}`);
  return error;
}

const formats: [name: string, format: string, bytes: Buffer][] = [
  ["plain bytes", "none", content],
  ["gzip", "gzip", gzipSync(content)],
  [
    "gzip of two members",
    "gzip",
    Buffer.concat([gzipSync(content.subarray(0, 1000)), gzipSync(content.subarray(1000))]),
  ],
  ["zstd", "zstd", zstd(content)],
  [
    "zstd of two frames",
    "zstd",
    Buffer.concat([zstd(content.subarray(0, 1000)), zstd(content.subarray(1000))]),
  ],
  [
    "zstd behind a skippable frame",
    "zstd",
    Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]), zstd(content)]),
  ],
  ["bzip2", "bzip2", program("bzip2", content)],
  ["xz", "xz", program("xz", content)],
];

describe("decompressAll", () => {
  for (const [name, format, bytes] of formats) {
    test(`${name}, cut anywhere`, async () => {
      expect(detectCompression(bytes)).toBe(format as never);
      for (const size of [1 << 20, 4096, 777, 5])
        expect((await collect(decompressAll(cut(bytes, size)))).equals(content)).toBe(true);
    });
    if (format === "none") continue;
    test(`${name}, cut short or damaged, is invalid`, async () => {
      expect(
        (await failure(collect(decompressAll(cut(bytes.subarray(0, bytes.length - 9), 4096))))).code,
      ).toBe("invalid");
      const damaged = Buffer.from(bytes);
      damaged.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 64);
      expect((await failure(collect(decompressAll(cut(damaged, 4096))))).code).toBe("invalid");
    });
  }

  test("short and empty streams are plain", async () => {
    for (const text of ["", "a", "\x1f\x8b", "BZ"])
      expect((await collect(decompressAll(cut(Buffer.from(text, "latin1"), 1)))).toString("latin1")).toBe(
        text,
      );
  });

  test("the sender's own error comes through, also behind a program", async () => {
    for (const [, , bytes] of formats) {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, bytes.length >> 1);
        throw new CooperError("integrity", "Blob does not match its digest");
      }
      expect((await failure(collect(decompressAll(broken())))).code).toBe("integrity");
    }
  });

  test("a reader that stops early ends the sender", async () => {
    for (const [, , bytes] of formats) {
      let ended = false;
      async function* sender(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) yield bytes;
        } finally {
          ended = true;
        }
      }
      for await (const _ of decompressAll(sender())) break;
      expect(ended).toBe(true);
    }
  });
});

describe("compress", () => {
  for (const format of ["none", "gzip", "zstd"] as const) {
    test(`${format}: equal content, equal bytes, read back`, async () => {
      const once = await collect(compress(cut(content, 5000), format));
      const again = await collect(compress(cut(content, 77_777), format));
      expect(once.equals(again)).toBe(true);
      expect((await collect(decompressAll(cut(once, 4096)))).equals(content)).toBe(true);
    });
  }

  test("the bytes are the same on one core and on many, stored pieces included", async () => {
    const dense = new Uint8Array(randomBytes(700_000));
    const mixed = Buffer.concat([...Array(9).fill(content), dense, ...Array(20).fill(content), dense, dense]);
    for (const format of ["gzip", "zstd"] as const) {
      const threads = await collect(compress(cut(mixed, 65_536), format));
      const size = BLOCK_BYTES[format];
      const blocks = Array.from({ length: Math.ceil(mixed.length / size) }, (_, i) => {
        const block = Uint8Array.from(mixed.subarray(i * size, (i + 1) * size));
        return compressBlock(block, { name: format, level: DEFAULT_LEVEL[format] });
      });
      expect(threads.equals(Buffer.concat(blocks.flat()))).toBe(true);
      expect((await collect(decompressAll(cut(threads, 65_536)))).equals(mixed)).toBe(true);
      if (Bun.which(format) !== null) expect(program(format, threads, "-dc").equals(mixed)).toBe(true);
      // Three dense pieces of 700,000 bytes, the rest repeats itself.
      expect(threads.length).toBeLessThan(2_500_000);
    }
  });

  test("an empty stream is an empty gzip or zstd stream", async () => {
    for (const format of ["gzip", "zstd"] as const) {
      const bytes = await collect(compress(cut(Buffer.alloc(0), 1), format));
      expect(detectCompression(bytes)).toBe(format);
      expect((await collect(decompressAll(cut(bytes, 4096)))).length).toBe(0);
    }
  });

  test("the sender's own error comes through while blocks are under way", async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 30; i++) yield content;
      throw new CooperError("integrity", "Blob does not match its digest");
    }
    for (const format of ["gzip", "zstd"] as const)
      expect((await failure(collect(compress(broken(), format)))).code).toBe("integrity");
  });

  test.each(["none", "gzip", "zstd"] as const)(
    "%s: what was compressed is told at the end",
    async (format) => {
      for (const copies of [0, 1, 40]) {
        const bytes = Buffer.concat(Array<Buffer>(copies).fill(content));
        const told: Digest[] = [];
        const plain = await collect(compress(cut(bytes, 65_536), format));
        const checked = await collect(
          compress(cut(bytes, 65_536), format, undefined, (digest) => told.push(digest)),
        );
        expect(checked.equals(plain)).toBe(true);
        expect(told).toEqual([digestOf(bytes)]);
        const refuse = () => {
          throw new CooperError("integrity", "Not what it was");
        };
        expect((await failure(collect(compress(cut(bytes, 65_536), format, undefined, refuse)))).code).toBe(
          "integrity",
        );
      }
    },
  );

  test("several streams at a time have their own digests", async () => {
    const streams = [1, 2, 3].map((fill) => Buffer.alloc(20 << 20, fill));
    const told = new Map<number, Digest>();
    await Promise.all(
      streams.map((bytes, i) =>
        collect(compress(cut(bytes, 1 << 20), "zstd", undefined, (digest) => told.set(i, digest))),
      ),
    );
    expect(streams.map((_, i) => told.get(i))).toEqual(streams.map((bytes) => digestOf(bytes)));
  });

  test("gzip's header tells neither time nor system, and its level counts", async () => {
    const bytes = await collect(compress(cut(content, 4096), "gzip"));
    expect([...bytes.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    expect(bytes[9]).toBe(255);
    expect(gunzipSync(bytes).equals(content)).toBe(true);
    const fast = await collect(compress(cut(content, 4096), "gzip", 1));
    const small = await collect(compress(cut(content, 4096), "gzip", 9));
    expect(fast.length).toBeGreaterThan(small.length);
  });
});

test("isTarArchive knows archives by their content, not by their names", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "cooper-archive-"));
  const file = join(scratch, "file");
  try {
    writeFileSync(join(scratch, "member"), "text");
    const tar = Buffer.from(Bun.spawnSync(["tar", "-C", scratch, "-cf", "-", "member"]).stdout);
    const packed = [tar, gzipSync(tar), zstd(tar), program("bzip2", tar), program("xz", tar)];
    for (const bytes of packed) {
      writeFileSync(file, bytes);
      expect(await isTarArchive(file)).toBe(true);
    }
    const others = [
      "",
      "text",
      gzipSync("text"),
      gzipSync(content),
      "\x1f\x8b\x08 not gzip",
      Buffer.alloc(10240),
      content,
    ];
    for (const bytes of others) {
      writeFileSync(file, bytes);
      expect(await isTarArchive(file)).toBe(false);
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
