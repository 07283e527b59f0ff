// Protects against images in layouts and directories that are made to mislead: digests that are paths, giants, mixtures.
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { digestHex } from "../../src/base/digest.ts";
import { CooperError } from "../../src/base/errors.ts";
import { listImages, openStore, pull } from "../../src/index.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import type { Descriptor } from "../../src/oci/types.ts";
import { addToIndex, type MadeImage, makeImage, writeBlob } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, failureOf } from "../transport/suite.ts";

type Place = ReturnType<typeof scratchDirectory>;

async function copyHostile(
  spoil: (made: MadeImage, scratch: Place) => void,
  check: (copying: Promise<unknown>, scratch: Place) => Promise<void>,
) {
  using scratch = scratchDirectory("hostile");
  const made = await makeImage(scratch.file("from"), contents);
  spoil(made, scratch);
  await check(copyBetween(made.reference, `oci:${scratch.path}/to:x`), scratch);
  expect(existsSync(scratch.file("to/index.json"))).toBe(false);
}

const writeIndex = (made: MadeImage, descriptor: object) =>
  writeFileSync(
    `${made.directory}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }),
  );

describe("index.json", () => {
  test.each([
    "sha256:../../../../etc/passwd",
    `sha256:${"a".repeat(63)}/`,
    "sha256:",
    `sha256:${"A".repeat(64)}`,
    `SHA256:${"a".repeat(64)}`,
    `md5:${"a".repeat(32)}`,
    `sha512:${"a".repeat(128)}`,
    `sha256:${"a".repeat(64)}\u0000`,
    "",
  ])("with the digest %j", async (digest) => {
    await copyHostile(
      (made) => writeIndex(made, { mediaType: MEDIA.ociManifest, digest, size: 3 }),
      async (copying) =>
        expect((await failureOf(copying, "invalid")).message).toContain('field "manifests.0.digest"'),
    );
  });

  test("that claims an enormous manifest", async () => {
    await copyHostile(
      (made) => addToIndex(made.directory, { ...made.descriptor, size: 1 << 30 }, "latest"),
      async (copying) =>
        expect((await failureOf(copying, "invalid")).message).toContain("more than the 4194304 allowed"),
    );
  });

  test("that is enormous itself", async () => {
    await copyHostile(
      (made) => truncateSync(`${made.directory}/index.json`, 5 << 30),
      async (copying) =>
        expect((await failureOf(copying, "invalid")).message).toContain("allowed for a document"),
    );
  });

  test("that is a link to a device or a pipe", async () => {
    await copyHostile(
      (made) => {
        rmSync(`${made.directory}/index.json`);
        symlinkSync("/dev/zero", `${made.directory}/index.json`);
      },
      async (copying) => void (await failureOf(copying, "not-found")),
    );
  });

  test("that lists itself through an index", async () => {
    await copyHostile(
      (made) => {
        const self = readFileSync(`${made.directory}/index.json`);
        addToIndex(
          made.directory,
          { ...writeBlob(made.directory, MEDIA.ociIndex, self), mediaType: MEDIA.ociManifest },
          "latest",
        );
      },
      async (copying) => expect((await failureOf(copying, "invalid")).message).toContain("announced as"),
    );
  });
});

test("indexes in indexes, deeper than anybody needs", async () => {
  using scratch = scratchDirectory("hostile");
  const made = await makeImage(scratch.file("from"), contents);
  let inner: object = { ...made.descriptor };
  for (let depth = 0; depth < 64; depth++) {
    const index = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [inner] };
    const { platform } = made.descriptor;
    inner = { ...writeBlob(made.directory, MEDIA.ociIndex, JSON.stringify(index)), platform };
  }
  writeIndex(made, inner);
  await using store = await openStore({ root: scratch.file("store"), runRoot: scratch.file("run") });
  expect((await failureOf(pull(store, `oci:${made.directory}`), "invalid")).message).toContain(
    "more than 4 deep",
  );
  expect(await listImages(store)).toEqual([]);
});

describe.each(["text/html", "application/vnd.oci.image.layer.v1.tar+br", "", "../../etc"])(
  "a layer of the media type %j",
  (mediaType) => {
    async function pullWith(layers: (made: MadeImage) => Descriptor[]): Promise<string[]> {
      using scratch = scratchDirectory("hostile");
      const made = await makeImage(scratch.file("from"), contents);
      const manifest = { ...made.manifest, layers: layers(made) };
      const descriptor = writeBlob(made.directory, MEDIA.ociManifest, JSON.stringify(manifest));
      addToIndex(made.directory, descriptor, "latest");
      await using store = await openStore({ root: scratch.file("store"), runRoot: scratch.file("run") });
      const failed = await pull(store, made.reference).then(
        () => [],
        (error: unknown) => [error instanceof CooperError ? error.code : String(error)],
      );
      return [...failed, ...(await listImages(store)).map(({ id }) => (id === made.imageId ? "it" : id))];
    }

    test("is what its diff_id says", async () => {
      const found = await pullWith((made) => made.manifest.layers.map((layer) => ({ ...layer, mediaType })));
      expect(found).toEqual(["it"]);
    });

    test("that is no layer is refused", async () => {
      const found = await pullWith((made) =>
        made.manifest.layers.map(() => writeBlob(made.directory, mediaType, "<html>not found</html>")),
      );
      expect(found).toEqual(["invalid"]);
    });
  },
);

describe("manifests", () => {
  const withManifest = (made: MadeImage, manifest: object, mediaType: string = MEDIA.ociManifest) =>
    addToIndex(made.directory, writeBlob(made.directory, mediaType, JSON.stringify(manifest)), "latest");

  test("a layer whose digest is a path", async () => {
    await copyHostile(
      (made) =>
        withManifest(made, {
          ...made.manifest,
          layers: [{ ...made.manifest.layers[0], digest: "sha256:../../index.json" }],
        }),
      async (copying) =>
        expect((await failureOf(copying, "invalid")).message).toContain('field "layers.0.digest"'),
    );
  });

  test("one that another client would read as an index", async () => {
    await copyHostile(
      (made) => withManifest(made, { ...made.manifest, manifests: [made.descriptor] }),
      async (copying) => void (await failureOf(copying, "invalid")),
    );
  });

  test("schema 1", async () => {
    await copyHostile(
      (made) =>
        withManifest(
          made,
          { schemaVersion: 1, name: "x", fsLayers: [] },
          "application/vnd.docker.distribution.manifest.v1+json",
        ),
      async (copying) => expect((await failureOf(copying, "unsupported")).message).toContain("schema 1"),
    );
  });

  test("a config that claims to be enormous", async () => {
    await copyHostile(
      (made) =>
        withManifest(made, {
          ...made.manifest,
          config: { ...made.manifest.config, size: Number.MAX_SAFE_INTEGER },
        }),
      async (copying) => void (await failureOf(copying, "invalid")),
    );
  });

  test("a config that is no image config", async () => {
    await copyHostile(
      (made) =>
        withManifest(made, { ...made.manifest, config: writeBlob(made.directory, MEDIA.ociConfig, "[]") }),
      async (copying) => expect((await failureOf(copying, "invalid")).message).toContain("Config sha256:"),
    );
  });
});

describe("blobs", () => {
  const blobOf = (made: MadeImage, index: number) =>
    `${made.directory}/blobs/sha256/${digestHex(made.layers[index]!.descriptor.digest)}`;

  test("a layer that is a link to an endless device is not read", async () => {
    await copyHostile(
      (made) => {
        rmSync(blobOf(made, 0));
        symlinkSync("/dev/zero", blobOf(made, 0));
      },
      async (copying) => void (await failureOf(copying, "not-found")),
    );
  });

  test("a layer that is a directory", async () => {
    await copyHostile(
      (made) => {
        rmSync(blobOf(made, 0));
        mkdirSync(blobOf(made, 0));
      },
      async (copying) => void (await failureOf(copying, "not-found")),
    );
  });

  test("a layer much longer than declared is not read on", async () => {
    await copyHostile(
      (made) => truncateSync(blobOf(made, 0), 1 << 40),
      async (copying) => expect((await failureOf(copying, "integrity")).message).toContain("has more"),
    );
  });

  test("a layer with other content of the same size, which is decompressed", async () => {
    using scratch = scratchDirectory("hostile");
    const made = await makeImage(scratch.file("from"), contents);
    const path = blobOf(made, 1);
    const bytes = readFileSync(path);
    bytes[bytes.length - 6]! ^= 0xff;
    writeFileSync(path, bytes);
    const copying = copyBetween(made.reference, `docker-archive:${scratch.file("d.tar")}`);
    const error = await copying.then(
      () => undefined,
      (e) => e,
    );
    expect(["integrity", "invalid"]).toContain(error.code);
    expect(existsSync(scratch.file("d.tar"))).toBe(false);
  });
});
