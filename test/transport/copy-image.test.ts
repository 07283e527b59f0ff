// Protects what one copy does: formats, compression, platforms, what is verified, what is told on the way.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import type { BuildEvent } from "../../src/base/events.ts";
import { layerMediaType, MEDIA } from "../../src/oci/media-types.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import type { Descriptor, Manifest } from "../../src/oci/types.ts";
import { copyImage } from "../../src/transport/copy-image.ts";
import { openOciLayoutTarget } from "../../src/transport/oci-layout.ts";
import { openSource } from "../../src/transport/open-transport.ts";
import { mapConcurrent } from "../../src/transport/map-concurrent.ts";
import type { BlobRole, Target } from "../../src/transport/types.ts";
import { addToIndex, makeImage, makeIndex, type MadeImage, writeBlob } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, failureOf, validateAt } from "./suite.ts";

const formats = ["oci", "docker"] as const;
const compressions = ["none", "gzip", "zstd"] as const;

describe("formats and compressions", () => {
  const all = formats.flatMap((from) =>
    compressions.flatMap((had) =>
      formats.flatMap((to) => compressions.map((want) => ({ from, had, to, want }))),
    ),
  );
  test.each(all)("%j", async ({ from, had, to, want }) => {
    using scratch = scratchDirectory("copy");
    const made = await makeImage(scratch.file("a"), { ...contents, format: from, compression: had });
    const copying = copyBetween(made.reference, `oci:${scratch.path}/b:x`, {
      format: to,
      compression: want,
      forceCompression: true,
    });
    if (to === "docker" && want === "zstd") {
      await failureOf(copying, "unsupported");
      return;
    }
    const { manifest } = await copying;
    const [image] = await validateAt(`oci:${scratch.path}/b:x`);
    expect(image!.image).toEqual(made.image);
    expect(image!.manifest.layers.map((layer) => layer.mediaType)).toEqual(
      made.layers.map(() => layerMediaType(to, want)),
    );
    expect(image!.manifest.config.digest).toBe(made.manifest.config.digest);
    if (from === to && had === want) expect(manifest.digest).toBe(made.descriptor.digest);
    else expect(manifest.digest).not.toBe(made.descriptor.digest);
  });

  const gentle: [
    had: (typeof compressions)[number],
    want: (typeof compressions)[number] | "keep",
    becomes: string,
  ][] = [
    ["none", "gzip", "gzip"],
    ["none", "zstd", "zstd"],
    ["gzip", "zstd", "gzip"],
    ["zstd", "gzip", "zstd"],
    ["gzip", "none", "none"],
    ["zstd", "keep", "zstd"],
  ];
  test.each(gentle)("without force, %s asked for %s becomes %s", async (had, want, becomes) => {
    using scratch = scratchDirectory("copy");
    const made = await makeImage(scratch.file("a"), { ...contents, compression: had });
    await copyBetween(made.reference, `oci:${scratch.path}/b:x`, { compression: want });
    const [image] = await validateAt(`oci:${scratch.path}/b:x`);
    expect(image!.manifest.layers[0]!.mediaType).toBe(layerMediaType("oci", becomes as "gzip"));
  });

  test("zstd becomes gzip where the format changes to Docker's, which has none", async () => {
    using scratch = scratchDirectory("copy");
    const made = await makeImage(scratch.file("a"), { ...contents, compression: "zstd" });
    await copyBetween(made.reference, `oci:${scratch.path}/b:x`, { format: "docker" });
    const [image] = await validateAt(`oci:${scratch.path}/b:x`);
    expect(image!.manifest.layers[0]!.mediaType).toBe(MEDIA.dockerLayerGzip);
    expect(image!.manifest.annotations).toBeUndefined();
  });

  test("compressing twice gives the same digest, and a level makes a difference", async () => {
    using scratch = scratchDirectory("copy");
    const made = await makeImage(scratch.file("a"), { ...contents, compression: "none" });
    const copy = async (name: string, level?: number) =>
      (
        await copyBetween(made.reference, `oci:${scratch.path}/${name}:x`, {
          compression: "gzip",
          ...(level === undefined ? {} : { compressionLevel: level }),
        })
      ).root.digest;
    expect(await copy("b")).toBe(await copy("c"));
    expect(await copy("d", 1)).not.toBe(await copy("e", 9));
  });
});

/** An image whose manifest or config is changed after it was made. */
async function makeChanged(
  directory: string,
  change: (made: MadeImage) => { manifest?: Partial<Manifest>; diffIds?: Digest[] },
): Promise<string> {
  const made = await makeImage(directory, contents);
  const { manifest = {}, diffIds } = change(made);
  const config =
    diffIds === undefined
      ? made.manifest.config
      : writeBlob(
          directory,
          MEDIA.ociConfig,
          JSON.stringify({ ...made.image, history: [], rootfs: { type: "layers", diff_ids: diffIds } }),
        );
  addToIndex(
    directory,
    writeBlob(directory, MEDIA.ociManifest, JSON.stringify({ ...made.manifest, config, ...manifest })),
    "bad",
  );
  return `oci:${directory}:bad`;
}

describe("what does not fit together", () => {
  test("a layer that is not its diff_id is found when it is recompressed", async () => {
    using scratch = scratchDirectory("copy");
    const from = await makeChanged(scratch.file("a"), (made) => ({
      diffIds: made.layers.map((l) => l.diffId).reverse(),
    }));
    const to = `oci:${scratch.path}/b:x`;
    const error = await failureOf(copyBetween(from, to, { compression: "none" }), "integrity");
    expect(error.message).toContain("diff_id");
    expect(existsSync(scratch.file("b"))).toBe(false);
    await copyBetween(from, to);
    await failureOf(validateAt(to), "integrity");
  });

  test("more layers than diff_ids", async () => {
    using scratch = scratchDirectory("copy");
    const from = await makeChanged(scratch.file("a"), (made) => ({ diffIds: [made.layers[0]!.diffId] }));
    await failureOf(copyBetween(from, `oci:${scratch.path}/b:x`), "invalid");
  });

  test.each([
    ["gzip", "junk", "invalid"],
    ["gzip", "\0", "integrity"],
    ["zstd", "junk", "invalid"],
  ] as const)(
    "bytes behind the compressed content of a layer: %s and %j",
    async (compression, junk, code) => {
      using scratch = scratchDirectory("copy");
      const from = await makeChanged(scratch.file("a"), (made) => {
        const tar = Uint8Array.from(made.layers[0]!.tar);
        const bytes = Buffer.concat([
          compression === "gzip" ? Bun.gzipSync(tar) : Bun.zstdCompressSync(tar),
          Buffer.alloc(3 << 20, junk),
        ]);
        const layer = writeBlob(made.directory, layerMediaType("oci", compression), bytes);
        return { manifest: { layers: [layer, made.manifest.layers[1]!] } };
      });
      await failureOf(copyBetween(from, `oci:${scratch.path}/b:x`, { compression: "none" }), code);
      expect(existsSync(scratch.file("b"))).toBe(false);
    },
  );

  test("another artifact is copied as it is and cannot be converted", async () => {
    using scratch = scratchDirectory("copy");
    const from = await makeChanged(scratch.file("a"), (made) => ({
      manifest: {
        config: writeBlob(made.directory, "application/vnd.example.config+json", "{}"),
        layers: [writeBlob(made.directory, "application/vnd.example.data", "data")],
      },
    }));
    const { root } = await copyBetween(from, `dir:${scratch.path}/b`, { compression: "gzip" });
    await using source = await openSource(parseTransport(from));
    expect(root.digest).toBe((await source.resolve()).digest);
    await failureOf(copyBetween(from, `oci:${scratch.path}/c`, { format: "docker" }), "unsupported");
  });
});

describe("indexes", () => {
  const two = (directory: string) =>
    makeIndex(directory, [
      { platform: { os: "linux", architecture: "amd64" }, ...contents },
      { platform: { os: "linux", architecture: "arm64" }, ...contents, compression: "none" },
    ]);

  test("converted whole, each image in it", async () => {
    using scratch = scratchDirectory("copy");
    const index = await two(scratch.file("a"));
    const to = `oci:${scratch.path}/b:x`;
    const { root } = await copyBetween(index.reference, to, { all: true, format: "docker" });
    expect(root.mediaType).toBe(MEDIA.dockerList);
    const images = await validateAt(to);
    expect(images.map((image) => image.image.architecture)).toEqual(["amd64", "arm64"]);
    expect(images.map((image) => image.manifest.mediaType)).toEqual([
      MEDIA.dockerManifest,
      MEDIA.dockerManifest,
    ]);
  });

  test("attestations follow their images to new digests", async () => {
    using scratch = scratchDirectory("copy");
    const directory = scratch.file("a");
    const image = await makeImage(directory, {
      ...contents,
      compression: "none",
      platform: { os: "linux", architecture: "amd64" },
    });
    const statement = writeBlob(directory, "application/vnd.in-toto+json", "{}");
    const config = writeBlob(
      directory,
      MEDIA.ociConfig,
      JSON.stringify({
        os: "unknown",
        architecture: "unknown",
        rootfs: { type: "layers", diff_ids: [statement.digest] },
      }),
    );
    const attestation: Descriptor = {
      ...writeBlob(
        directory,
        MEDIA.ociManifest,
        JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers: [statement] }),
      ),
      platform: { os: "unknown", architecture: "unknown" },
      annotations: {
        "vnd.docker.reference.digest": image.descriptor.digest,
        "vnd.docker.reference.type": "attestation-manifest",
      },
    };
    const bytes = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [image.descriptor, attestation],
    });
    addToIndex(directory, writeBlob(directory, MEDIA.ociIndex, bytes), "both");
    await copyBetween(`oci:${directory}:both`, `dir:${scratch.path}/b`, { all: true, compression: "gzip" });
    await using source = await openSource(parseTransport(`dir:${scratch.path}/b`));
    const index = JSON.parse(
      Buffer.concat(await Array.fromAsync(await source.fetch(await source.resolve()))).toString(),
    );
    expect(index.manifests[0].digest).not.toBe(image.descriptor.digest);
    expect(index.manifests[1].digest).toBe(attestation.digest);
    expect(index.manifests[1].annotations["vnd.docker.reference.digest"]).toBe(index.manifests[0].digest);
    const events: BuildEvent[] = [];
    const docker = await copyBetween(`oci:${directory}:both`, `dir:${scratch.path}/c`, {
      all: true,
      format: "docker",
      onEvent: (e) => events.push(e),
    });
    expect(docker.root.mediaType).toBe(MEDIA.dockerList);
    expect(events.filter((event) => event.type === "warning")).toHaveLength(1);
  });

  test("indexes within indexes, but not without end", async () => {
    using scratch = scratchDirectory("copy");
    const directory = scratch.file("a");
    let inner: Descriptor = (await two(directory)).descriptor;
    const nest = (name: string) => {
      inner = writeBlob(
        directory,
        MEDIA.ociIndex,
        JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [inner] }),
      );
      addToIndex(directory, inner, name);
    };
    nest("one");
    const { root } = await copyBetween(`oci:${directory}:one`, `oci:${scratch.path}/b:x`, { all: true });
    expect(root.digest).toBe(inner.digest);
    expect(await validateAt(`oci:${scratch.path}/b:x`)).toHaveLength(2);
    for (let i = 0; i < 6; i++) nest("deep");
    const deep = `oci:${directory}:deep`;
    for (const options of [{ all: true }, {}])
      await failureOf(copyBetween(deep, `oci:${scratch.path}/c:x`, options), "invalid");
  });

  test("a list of a thousand times the same list, four deep, is walked once", async () => {
    using scratch = scratchDirectory("copy");
    const directory = scratch.file("a");
    let inner: Descriptor = (await two(directory)).descriptor;
    for (let depth = 0; depth < 4; depth++) {
      const manifests = Array.from({ length: 1000 }, () => inner);
      inner = writeBlob(
        directory,
        MEDIA.ociIndex,
        JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests }),
      );
    }
    addToIndex(directory, inner, "wide");
    const { root } = await copyBetween(`oci:${directory}:wide`, `oci:${scratch.path}/b:x`, { all: true });
    expect(root.digest).toBe(inner.digest);
  });

  test("a list that lists itself is no content of its digest", async () => {
    using scratch = scratchDirectory("copy");
    const directory = scratch.file("a");
    const { descriptor } = await two(directory);
    const bytes = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [descriptor] });
    const path = join(directory, "blobs/sha256", descriptor.digest.slice("sha256:".length));
    writeFileSync(path, bytes);
    const itself = { ...descriptor, size: bytes.length };
    addToIndex(directory, itself, "itself");
    const error = await failureOf(
      copyBetween(`oci:${directory}:itself`, `oci:${scratch.path}/b:x`, { all: true }),
      "integrity",
    );
    expect(error.message).toContain(descriptor.digest);
  });

  test("an image for another platform than the wanted one is copied with a warning", async () => {
    using scratch = scratchDirectory("copy");
    const made = await makeImage(scratch.file("a"), {
      ...contents,
      platform: { os: "linux", architecture: "s390x" },
    });
    const warnings: string[] = [];
    const onEvent = (event: BuildEvent) => event.type === "warning" && warnings.push(event.message);
    await copyBetween(made.reference, `oci:${scratch.path}/b`, {
      platform: { os: "linux", architecture: "amd64" },
      onEvent,
    });
    expect(warnings).toEqual([`${made.reference} is an image for linux/s390x, not for linux/amd64`]);
  });
});

test("progress: every layer from nothing to all of it, and what is there already is skipped", async () => {
  using scratch = scratchDirectory("copy");
  const made = await makeImage(scratch.file("a"), { ...contents, compression: "none" });
  const collect = async () => {
    const events: BuildEvent[] = [];
    await copyBetween(made.reference, `oci:${scratch.path}/b:x`, {
      onEvent: (event) => events.push(event),
      action: "pull",
    });
    return events.flatMap((event) => (event.type === "blob" ? [event] : []));
  };
  const first = await collect();
  for (const layer of made.layers) {
    const own = first.filter((event) => event.digest === layer.descriptor.digest);
    expect(own[0]).toMatchObject({ done: 0, total: layer.descriptor.size, action: "pull" });
    expect(own.at(-1)!.done).toBe(layer.descriptor.size);
    expect(own.map((event) => event.done)).toEqual(own.map((event) => event.done).sort((a, b) => a - b));
  }
  expect((await collect()).map((event) => event.skipped)).toEqual([true, true]);
});

test("targets are told what each blob is", async () => {
  using scratch = scratchDirectory("copy");
  const made = await makeImage(scratch.file("a"), contents);
  const inner = openOciLayoutTarget(scratch.file("b"));
  const roles: (BlobRole | undefined)[] = [];
  const target: Target = {
    name: "spy",
    exists: (descriptor) => inner.exists(descriptor),
    push(content, expected, role) {
      roles.push(role);
      return inner.push(content, expected);
    },
    pushManifest: (descriptor, bytes) => inner.pushManifest(descriptor, bytes),
    tag: (root) => inner.tag(root),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
  await using source = await openSource(parseTransport(made.reference));
  await copyImage(source, target, { concurrency: 1 });
  expect(roles).toEqual([
    ...made.layers.map((layer) => ({
      kind: "layer" as const,
      mediaType: MEDIA.ociLayerGzip,
      diffId: layer.diffId,
    })),
    { kind: "config", mediaType: MEDIA.ociConfig },
  ]);
});

test("an oci-archive of the same image has the same bytes", async () => {
  using scratch = scratchDirectory("copy");
  const made = await makeImage(scratch.file("a"), { ...contents, compression: "none" });
  const digests: Digest[] = [];
  for (const name of ["b.tar", "c.tar"]) {
    await copyBetween(made.reference, `oci-archive:${scratch.file(name)}:x`, { compression: "gzip" });
    digests.push(digestOf(await Bun.file(scratch.file(name)).bytes()));
  }
  expect(digests[0]!).toBe(digests[1]!);
  expect(readdirSync(scratch.path).sort()).toEqual(["a", "b.tar", "c.tar"]);
});

describe("mapConcurrent", () => {
  test("keeps the order and the limit", async () => {
    let running = 0;
    let most = 0;
    const results = await mapConcurrent([30, 10, 20, 5], 2, async (milliseconds, i) => {
      most = Math.max(most, ++running);
      await Bun.sleep(milliseconds);
      running--;
      return `${i}:${milliseconds}`;
    });
    expect(results).toEqual(["0:30", "1:10", "2:20", "3:5"]);
    expect(most).toBe(2);
  });

  test("the first failure stops the rest and waits for what runs", async () => {
    const started: number[] = [];
    let ended = 0;
    const failures: unknown[] = [];
    const work = mapConcurrent(
      [0, 1, 2, 3],
      2,
      async (n) => {
        started.push(n);
        await Bun.sleep(n === 0 ? 1 : 30);
        ended++;
        if (n < 2) throw new Error(`failure ${n}`);
      },
      (error) => failures.push(error),
    );
    await expect(work).rejects.toThrow("failure 0");
    expect(started).toEqual([0, 1]);
    expect(ended).toBe(2);
    expect(failures).toHaveLength(1);
  });
});
