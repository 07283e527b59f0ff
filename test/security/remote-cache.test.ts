// Protects builds from caches that are damaged, hostile or gone, and caches from secrets.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/base/digest.ts";
import type { Manifest } from "../../src/oci/types.ts";
import {
  blobsOf,
  build,
  built,
  type Entry,
  entriesOf,
  FILES,
  fileOf,
  first,
  ran,
  useCacheLab,
} from "../build/cache-lab.ts";
import { FaultProxy } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);

const lab = useCacheLab();

const blobFile = (directory: string, digest: string) => join(directory, "blobs/sha256", digest.slice(7));

/** Ways to break every entry, or its blob. */
const DAMAGES: [string, (directory: string, entry: Entry) => void][] = [
  [
    "a byte of the blob",
    (directory, { manifest }) => {
      const file = blobFile(directory, manifest.layers[0]!.digest);
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(file, bytes);
    },
  ],
  [
    "a blob cut short",
    (directory, { manifest }) => {
      const file = blobFile(directory, manifest.layers[0]!.digest);
      writeFileSync(file, readFileSync(file).subarray(0, 20));
    },
  ],
  [
    "a blob that is gone",
    (directory, { manifest }) => rmSync(blobFile(directory, manifest.layers[0]!.digest), { force: true }),
  ],
  [
    "another blob than the diff_id says",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.annotations!["io.cooper.cache.diff-id"] = digestOf("other");
      }),
  ],
  [
    "no diff_id",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.annotations = {};
      }),
  ],
  [
    "a type that is no layer's",
    (_, entry) =>
      rewrite(entry, (layer) => {
        layer.mediaType = "text/plain";
      }),
  ],
  [
    "an entry of another key",
    (_, { path, manifest }) =>
      writeFileSync(
        path,
        JSON.stringify({
          ...manifest,
          annotations: { ...manifest.annotations, "io.cooper.cache.key": digestOf("x") },
        }),
      ),
  ],
  ["no JSON", (_, { path }) => writeFileSync(path, "\0not json")],
  ["JSON of another shape", (_, { path }) => writeFileSync(path, '{"schemaVersion":2,"layers":"x"}')],
  [
    "a tar with a way out",
    (directory, entry) =>
      rewrite(entry, (layer) => {
        const tar = tarWithWayOut();
        layer.mediaType = "application/vnd.oci.image.layer.v1.tar";
        layer.digest = digestOf(tar);
        layer.size = tar.length;
        layer.annotations!["io.cooper.cache.diff-id"] = digestOf(tar);
        writeFileSync(blobFile(directory, layer.digest), tar);
      }),
  ],
];

function rewrite({ path, manifest }: Entry, change: (layer: Manifest["layers"][number]) => void): void {
  for (const layer of manifest.layers) change(layer);
  writeFileSync(path, JSON.stringify(manifest));
}

/** A symbolic link that leads to the host's root, and a hard link through it. */
function tarWithWayOut(): Uint8Array {
  const header = (name: string, type: string, target: string) => {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write("0000777\0", 100);
    block.write("0000000\0", 108);
    block.write("0000000\0", 116);
    block.write("00000000000\0", 124);
    block.write("00000000000\0", 136);
    block.fill(" ", 148, 156);
    block.write(type, 156);
    block.write(target, 157);
    block.write("ustar\x0000", 257);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return block;
  };
  return Buffer.concat([
    header("../../escaped", "0", ""),
    header("x", "1", "../../../etc/passwd"),
    Buffer.alloc(1024),
  ]);
}

describe("damaged", () => {
  const whole = lab.sharedDirectory();
  test("made", async () => {
    const [maker] = lab.machines(first);
    await built(maker, lab.simple(), ["--cache-to", `type=local,dest=${whole}`]);
    expect(entriesOf(whole)).toHaveLength(2);
  });

  test.each(DAMAGES)("%s is a miss with a warning", async (name, damage) => {
    const directory = lab.sharedDirectory();
    cpSync(whole, directory, { recursive: true });
    for (const entry of entriesOf(directory)) damage(directory, entry);
    const [blank] = lab.machines(first);
    const stderr = await built(blank, lab.simple(), ["--cache-from", `type=local,src=${directory}`]);
    expect(ran(stderr)).toEqual(["one", "two"]);
    expect(stderr).toContain("Warning: ");
    expect(await fileOf(blank, "/two")).toBe("two");
    if (!/byte|JSON/.test(name)) return;
    // Exported again it is whole.
    const [other, third] = lab.machines(first, first);
    await built(other, lab.simple(), ["--cache-to", `type=local,dest=${directory}`]);
    expect(ran(await built(third, lab.simple(), ["--cache-from", `type=local,src=${directory}`]))).toEqual(
      [],
    );
  });
});

test("one broken entry of several costs that step and what stands on it", async () => {
  const directory = lab.sharedDirectory();
  const [maker, blank] = lab.machines(first, first);
  await built(maker, lab.stages(), ["--cache-to", `type=local,dest=${directory}`], FILES);
  const sizes = blobsOf(directory).sort((a, b) => b.size - a.size);
  // The builder's first step: nobody needs it, so nobody notices.
  rmSync(join(directory, "blobs/sha256", sizes[0]!.name));
  const from = ["--cache-from", `type=local,src=${directory}`];
  expect(ran(await built(blank, lab.stages(), from, FILES))).toEqual([]);
  // Now it is needed.
  const changed = lab.stages().replace("/out /out", "/out /out2");
  const stderr = await built(blank, changed.replace("cat /out/file", "cat /out2/file"), from, FILES);
  expect(stderr).toContain("Warning: An entry of the cache");
  expect(
    ran(stderr)
      .filter((name) => name !== "four")
      .sort(),
  ).toEqual(["one", "two"]);
  expect(await fileOf(blank, "/all")).toBe("made\nfrom the context");
});

test("a registry that fails: a warning for --cache-from, an error for --cache-to unless it is ignored", async () => {
  const dead = "127.0.0.1:1/cache";
  const [site] = lab.machines(first);
  const stderr = await built(site, lab.simple(), ["--cache-from", dead]);
  expect(stderr.match(/Warning: .*goes on without this cache/g)).toHaveLength(1);
  expect(ran(stderr)).toEqual(["one", "two"]);
  const failed = await build(site, lab.simple(), ["--cache-to", dead]);
  expect([failed.exitCode, failed.stderr]).toEqual([125, expect.stringContaining("Cannot export the cache")]);
  expect(
    await built(site, lab.simple(), ["--cache-to", `type=registry,ref=${dead},ignore-error=true`]),
  ).toContain("Warning: The cache was not exported");
  // In the middle of a layer, too.
  using faulty = await FaultProxy.start(lab.registry.port);
  const repository = lab.newRepository();
  await built(site, lab.simple(), ["--cache-to", repository]);
  faulty.fail(/^GET .*\/cache\d+\/blobs\//, { kind: "truncate", after: 10 }, 100);
  const [blank] = lab.machines(first);
  const cut = await built(blank, lab.simple(), [
    "--cache-from",
    repository.replace(lab.proxy.host, faulty.host),
  ]);
  expect(ran(cut)).toEqual(["one", "two"]);
});

test("nothing that holds a secret is exported", async () => {
  const directory = lab.sharedDirectory();
  const secret = "Tr0ub4dor-and-3";
  const text = `FROM ${lab.base} AS leaky
RUN echo ran-one
RUN --mount=type=secret,id=s --mount=type=cache,target=/c cp /run/secrets/s /leaked; cp /run/secrets/s /c/leaked; echo x > /x
RUN echo after > /after
FROM ${lab.base}
COPY --from=leaky /x /x
`;
  const [site] = lab.machines(first);
  writeFileSync(join(site.work, "secret"), secret);
  site.give(site.work);
  const flags = [
    "--secret",
    `id=s,src=${join(site.work, "secret")}`,
    "--cache-to",
    `type=local,dest=${directory},mounts=true`,
  ];
  const stderr = await built(site, text, flags);
  expect(stderr).toMatch(
    /Warning: The step "RUN --mount=type=secret.*not exported: the secret "s" is in \/leaked at byte 0/,
  );
  expect(stderr).toMatch(
    /Warning: The cache mount "\/?c" is not exported: the secret "s" is in \/leaked at byte 0/,
  );
  const contents = blobsOf(directory).map(({ name }) => {
    const bytes = readFileSync(join(directory, "blobs/sha256", name));
    return bytes.readUInt32LE(0) === 0xfd2fb528 ? Buffer.from(Bun.zstdDecompressSync(bytes)) : bytes;
  });
  expect(contents.length).toBeGreaterThan(0);
  expect(contents.some((content) => content.includes(secret) || content.includes("after"))).toBe(false);
});
