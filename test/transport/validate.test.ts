// Protects the oracle of other tests: an image with any one fault does not pass it.
import { describe, expect, test } from "bun:test";
import type { Digest } from "../../src/base/digest.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import type { ImageConfig, Manifest } from "../../src/oci/types.ts";
import {
  addToIndex,
  type LayerEntry,
  makeImage,
  makeIndex,
  makeLayer,
  writeBlob,
} from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, failureOf, validateAt } from "./suite.ts";

test("a sound image passes and is described", async () => {
  using scratch = scratchDirectory("validate");
  const made = await makeImage(scratch.file("a"), { ...contents, compression: "zstd" });
  const [image] = await validateAt(made.reference);
  expect(image!.layers).toEqual([
    ["etc", "etc/motd", "bin"],
    ["etc/.wh.motd", "big"],
  ]);
  expect(image!.image).toEqual(made.image);
});

describe("entries of a layer", () => {
  const faults: [string, LayerEntry[], RegExp][] = [
    ["twice the same name", [{ path: "a" }, { path: "a" }], /"a" is there twice/],
    ["a directory and a file of one name", [{ path: "a/" }, { path: "./a" }], /is there twice/],
    ["an absolute name", [{ path: "/a" }], /absolute/],
    ["a name that leads out", [{ path: "../a" }], /unsafe/],
    ["a name that leads up on its way", [{ path: "a/../b" }], /unsafe/],
    ["a whiteout with content", [{ path: ".wh.a", content: "x" }], /no empty file/],
    ["a whiteout that is a directory", [{ path: ".wh.a/" }], /no empty file/],
    ["a whiteout of nothing", [{ path: "a/.wh." }], /malformed whiteout/],
    ["a whiteout of the directory itself", [{ path: "a/.wh.." }], /malformed whiteout/],
    ["a whiteout of a whiteout", [{ path: ".wh..wh.a" }], /malformed whiteout/],
    ["a file below a whiteout", [{ path: ".wh.a/b" }], /below a whiteout/],
    ["a whiteout of what the layer has", [{ path: "a" }, { path: ".wh.a" }], /its own layer adds/],
    ["a hard link to nothing", [{ path: "a", type: "link", target: "b" }], /hard link to "b"/],
    [
      "a hard link before its target",
      [{ path: "a", type: "link", target: "b" }, { path: "b" }],
      /hard link to "b"/,
    ],
  ];
  test.each(faults)("%s", async (_name, entries, message) => {
    using scratch = scratchDirectory("validate");
    const made = await makeImage(scratch.file("a"), { layers: [entries] });
    expect((await failureOf(validateAt(made.reference), "invalid")).message).toMatch(message);
  });

  test("what is right: opaque directories, links, devices, names that are not UTF-8", async () => {
    using scratch = scratchDirectory("validate");
    const made = await makeImage(scratch.file("a"), {
      layers: [
        [
          { path: "d/" },
          { path: "d/.wh..wh..opq" },
          { path: "d/new" },
          { path: "d/link", type: "link", target: "d/new" },
          { path: "null", type: "character-device", major: 1, minor: 3 },
          { path: "pipe", type: "fifo" },
          { path: "long/".repeat(60), type: "directory" },
        ],
      ],
    });
    expect((await validateAt(made.reference))[0]!.layers[0]).toHaveLength(7);
  });

  test("a tar that is cut off", async () => {
    using scratch = scratchDirectory("validate");
    const tar = await makeLayer([{ path: "a", content: "x".repeat(5000) }]);
    const made = await makeImage(scratch.file("a"), { layers: [tar.subarray(0, 3000)] });
    expect((await failureOf(validateAt(made.reference), "invalid")).message).toContain(
      "is not a readable tar",
    );
  });
});

describe("documents that do not fit together", () => {
  const oneDiffId = (image: ImageConfig): Digest[] => image.rootfs.diff_ids.slice(0, 1);
  const faults: [
    string,
    (image: ImageConfig, manifest: Manifest) => { image?: object; manifest?: object; descriptor?: object },
    RegExp,
  ][] = [
    [
      "fewer diff_ids than layers",
      (image) => ({ image: { rootfs: { type: "layers", diff_ids: oneDiffId(image) }, history: [] } }),
      /2 layers and 1 diff_ids/,
    ],
    [
      "diff_ids in another order",
      (image) => ({ image: { rootfs: { type: "layers", diff_ids: image.rootfs.diff_ids.toReversed() } } }),
      /has the diff_id/,
    ],
    [
      "a history of more layers",
      (image) => ({ image: { history: [...image.history!, { created_by: "x" }] } }),
      /history tells of 3/,
    ],
    [
      "a history without layers",
      () => ({ image: { history: [{ empty_layer: true }] } }),
      /history tells of 0/,
    ],
    ["no platform", () => ({ image: { os: "" } }), /no platform/],
    [
      "another platform than announced",
      () => ({ descriptor: { platform: { os: "linux", architecture: "mips" } } }),
      /announced for linux\/mips/,
    ],
    [
      "mixed formats",
      (_, manifest) => ({
        manifest: {
          layers: manifest.layers.map((layer) => ({ ...layer, mediaType: MEDIA.dockerLayerGzip })),
        },
      }),
      /mixes formats/,
    ],
    [
      "a wrong media type",
      (_, manifest) => ({
        manifest: { layers: manifest.layers.map((layer) => ({ ...layer, mediaType: MEDIA.ociLayer })) },
      }),
      /its compression is gzip/,
    ],
  ];
  test.each(faults)("%s", async (_name, fault, message) => {
    using scratch = scratchDirectory("validate");
    const directory = scratch.file("a");
    const made = await makeImage(directory, contents);
    const { image = {}, manifest = {}, descriptor = {} } = fault(made.image, made.manifest);
    const config = writeBlob(directory, MEDIA.ociConfig, JSON.stringify({ ...made.image, ...image }));
    const written = writeBlob(
      directory,
      MEDIA.ociManifest,
      JSON.stringify({ ...made.manifest, config, ...manifest }),
    );
    addToIndex(directory, { ...written, ...descriptor }, "bad");
    const error = await validateAt(`oci:${directory}:bad`).then(
      () => undefined,
      (e) => e,
    );
    expect(["invalid", "integrity"]).toContain(error.code);
    expect(error.message).toMatch(message);
  });

  test("a fault in one image of an index", async () => {
    using scratch = scratchDirectory("validate");
    const index = await makeIndex(scratch.file("a"), [
      { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a" }]] },
      { platform: { os: "linux", architecture: "arm64" }, layers: [[{ path: "../a" }]] },
    ]);
    await failureOf(validateAt(index.reference), "invalid");
  });
});
