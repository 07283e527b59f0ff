// Protects the disk from archives that unpack to far more than they are: refused wherever they come in, with what was found and how to allow it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decompress } from "../../src/archive/compression.ts";
import { unpackLimits, whileThereIsRoom } from "../../src/archive/unpack-limits.ts";
import type { CooperError } from "../../src/base/errors.ts";
import { people } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { makeImage, makeLayer } from "../support/make-image.ts";

setDefaultTimeout(60_000);

const MIB = 1 << 20;

async function* times(bytes: Uint8Array, count: number): AsyncGenerator<Uint8Array, void> {
  for (let i = 0; i < count; i++) yield bytes;
}

async function sizeOf(content: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of content) size += chunk.length;
  return size;
}

const failure = (work: Promise<unknown>): Promise<CooperError> =>
  work.then(
    () => expect.unreachable("it was taken"),
    (error) => error as CooperError,
  );

describe("without a setting", () => {
  const frame = Bun.zstdCompressSync(Buffer.alloc(64 * MIB));
  const limits = unpackLimits("");

  test("up to a gibibyte anything goes", async () => {
    expect(await sizeOf(decompress(times(frame, 16), "It", limits))).toBe(1024 * MIB);
  });

  test("beyond it, a thousand times the compressed size", async () => {
    const error = await failure(sizeOf(decompress(times(frame, 20), "Layer x", limits)));
    expect(error).toMatchObject({ code: "invalid", hint: expect.stringContaining("COOPER_MAX_LAYER_SIZE") });
    expect(error.message).toMatch(
      /^Layer x looks like a compression bomb: [\d.]+ KiB became more than 1 GiB, over 1000 times as much$/,
    );
  });

  test("what does not compress has no bound", async () => {
    expect(await sizeOf(decompress(times(Buffer.alloc(16 * MIB, "x"), 66), "It", limits))).toBe(1056 * MIB);
  });
});

test("the setting: a size, or none", async () => {
  expect(["0", "7", "2k", "3M", "4gb"].map((value) => unpackLimits(value).most)).toEqual([
    0,
    7,
    2048,
    3 * MIB,
    4096 * MIB,
  ]);
  for (const value of ["much", "-1", "1.5g", "1x"])
    expect(() => unpackLimits(value)).toThrow("is not a size");
  const frame = Bun.zstdCompressSync(Buffer.alloc(64 * MIB));
  expect(await sizeOf(decompress(times(frame, 20), "It", unpackLimits("unlimited")))).toBe(1280 * MIB);
});

test.skipIf(process.geteuid!() !== 0)("a disk keeps some room for others (needs root)", async () => {
  const site = openSite(people[0]!);
  await using _ = site;
  const directory = join(site.work, "small");
  mkdirSync(directory);
  await Bun.$`mount -t tmpfs -o size=100m tmpfs ${directory}`;
  try {
    writeFileSync(join(directory, "much"), Buffer.alloc(99 * MIB));
    const content = whileThereIsRoom(times(Buffer.alloc(MIB), 65), directory, "layer x");
    const error = await failure(sizeOf(content));
    expect(error.message).toMatch(
      /^Cannot unpack layer x: the disk is nearly full, with 1 MiB left of 100 MiB$/,
    );
    await Bun.$`rm ${join(directory, "much")}`;
    expect(await sizeOf(whileThereIsRoom(times(Buffer.alloc(MIB), 65), directory, "x"))).toBe(65 * MIB);
  } finally {
    await Bun.$`umount ${directory}`;
  }
});

describe("a bomb", () => {
  let site: Site;
  let tar: Uint8Array;
  beforeAll(async () => {
    site = openSite(people[0]!);
    tar = await makeLayer([{ path: "zeros", content: Buffer.alloc(32 * MIB) }]);
    for (const compression of ["gzip", "zstd"] as const)
      await makeImage(join(site.work, compression), { layers: [tar], compression });
    writeFileSync(join(site.work, "bomb.tar.gz"), Bun.gzipSync(Buffer.from(tar)));
    await Bun.$`cd ${site.work}/gzip && tar -czf ../image.tar.gz .`.quiet();
    mkdirSync(join(site.work, "add"));
    await Bun.$`cp ${site.work}/bomb.tar.gz ${site.work}/add/bomb.tgz`;
    writeFileSync(join(site.work, "add/Dockerfile"), "FROM scratch\nADD bomb.tgz /here/\n");
    writeFileSync(
      join(site.work, "bomb.xz"),
      Bun.spawnSync(["xz", "-c"], { stdin: Buffer.from(tar) }).stdout,
    );
    site.give(site.work);
    await site.ok("from", "--name", "box", "scratch");
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  const WAYS: [string, (work: string) => string[]][] = [
    ["pull of gzip", (work) => ["pull", "-q", `oci:${work}/gzip:latest`]],
    ["pull of zstd", (work) => ["pull", "-q", `oci:${work}/zstd:latest`]],
    ["from", (work) => ["from", `oci:${work}/gzip:latest`]],
    ["pull of an archive", (work) => ["pull", "-q", `oci-archive:${work}/image.tar.gz`]],
    ["import", (work) => ["import", `${work}/bomb.tar.gz`, "localhost/x"]],
    ["import of xz", (work) => ["import", `${work}/bomb.xz`, "localhost/x"]],
    ["ADD", (work) => ["bud", "-q", `${work}/add`]],
    ["add", (work) => ["add", "box", `${work}/bomb.tar.gz`, "/here/"]],
    ["a build context", (work) => ["bud", "-q", "-f", "Dockerfile", `${work}/bomb.tar.gz`]],
    [
      "a copy in another compression",
      (work) => [
        ...["image", "copy", "--dest-compress-format", "gzip"],
        `oci:${work}/zstd:latest`,
        `docker-archive:${work}/out.tar`,
      ],
    ],
  ];
  for (const [what, argv] of WAYS) {
    test(`${what}: is refused, with how to allow it`, async () => {
      const args = ["cooper", ...argv(site.work)];
      const refused = await site.run(args, { env: { COOPER_MAX_LAYER_SIZE: "1m" } });
      expect(refused.stderr).toContain("unpacks to more than COOPER_MAX_LAYER_SIZE allows, 1 MiB");
      expect(refused.stderr).toContain("unlimited");
      expect(refused.exitCode).not.toBe(0);
      expect(await site.ok("images", "-q")).toBe("");
      expect(await site.ok("check")).toBeDefined();
    });
  }

  test("a remote cache's entry is not used, and the step is run", async () => {
    const context = site.files({ Dockerfile: "FROM scratch\nCOPY zeros /\n" });
    writeFileSync(join(context, "zeros"), Buffer.alloc(8 * MIB));
    site.give(context);
    const cache = join(site.work, "cache");
    await site.ok("bud", "--cache-to", `type=local,dest=${cache}`, "-t", "localhost/made", context);
    await using other = openSite(people[0]!);
    const { stderr, exitCode } = await other.run(
      [
        "cooper",
        "bud",
        "--layers",
        "--cache-from",
        `type=local,src=${cache}`,
        "-t",
        "localhost/made",
        context,
      ],
      { env: { COOPER_MAX_LAYER_SIZE: "1m" } },
    );
    expect({ stderr, exitCode }).toMatchObject({ exitCode: 0 });
    expect(stderr).toContain("COOPER_MAX_LAYER_SIZE");
    await other.ok("check");
  });
});
