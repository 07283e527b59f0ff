// Protects the checks that every manifest, index and config from outside passes before anything relies on it.
import { describe, expect, test } from "bun:test";
import { CooperError, type ErrorCode } from "../../src/base/errors.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import {
  MAX_DOCUMENT_BYTES,
  parseImageConfig,
  parseIndex,
  parseLayoutFile,
  parseManifest,
  parseManifestOrIndex,
} from "../../src/oci/schema.ts";

const digest = `sha256:${"a".repeat(64)}`;
const descriptor = { mediaType: MEDIA.ociLayerGzip, digest, size: 12 };
const manifest = {
  schemaVersion: 2,
  config: { ...descriptor, mediaType: MEDIA.ociConfig },
  layers: [descriptor],
};
const index = { schemaVersion: 2, manifests: [{ ...descriptor, mediaType: MEDIA.ociManifest }] };
const config = { os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [digest] } };
const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

function failure(work: () => unknown): CooperError {
  try {
    work();
  } catch (error) {
    if (error instanceof CooperError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("what is accepted", () => {
  test("unknown fields survive", () => {
    const parsed = parseManifest(bytes({ ...manifest, "x-new": { a: [1] } }), "m") as unknown as Record<
      string,
      unknown
    >;
    expect(parsed["x-new"]).toEqual({ a: [1] });
    const image = parseImageConfig(bytes({ ...config, config: { OnNew: 1 }, docker_version: "20" }), "c");
    expect(image).toMatchObject({ docker_version: "20", config: { OnNew: 1 } });
  });

  test("null stands for absent, as Go writes it", () => {
    const image = parseImageConfig(
      bytes({
        ...config,
        config: {
          Entrypoint: null,
          Cmd: null,
          Labels: null,
          Env: null,
          Volumes: null,
          ExposedPorts: null,
          Healthcheck: null,
          OnBuild: null,
        },
        history: null,
        rootfs: { type: "layers", diff_ids: null },
      }),
      "c",
    );
    expect(image).toEqual({
      os: "linux",
      architecture: "amd64",
      config: {},
      rootfs: { type: "layers", diff_ids: [] },
    });
    expect(parseManifest(bytes({ ...manifest, layers: null, annotations: null }), "m").layers).toEqual([]);
    expect(parseIndex(bytes({ schemaVersion: 2, manifests: null }), "i").manifests).toEqual([]);
  });

  test("a command given as one text is a list of one", () => {
    expect(parseImageConfig(bytes({ ...config, config: { Cmd: "/bin/sh" } }), "c").config?.Cmd).toEqual([
      "/bin/sh",
    ]);
  });

  test("a config as Docker writes it", () => {
    const image = parseImageConfig(
      bytes({
        ...config,
        created: "2024-02-03T04:05:06.789012345Z",
        config: {
          Healthcheck: { Test: ["CMD", "x"], Interval: 5e9 },
          ExposedPorts: { "80/tcp": {} },
          Shell: ["/bin/sh", "-c"],
        },
        history: [{ created: "2024-02-03T04:05:06+02:00", created_by: "x", empty_layer: true }],
      }),
      "c",
    );
    expect(image.config?.Healthcheck?.Interval).toBe(5_000_000_000);
    expect(image.history?.[0]?.empty_layer).toBe(true);
  });

  test("a manifest without media type is told from an index by its shape", () => {
    expect(parseManifestOrIndex(bytes(manifest), "m")).toMatchObject({
      kind: "manifest",
      mediaType: MEDIA.ociManifest,
    });
    expect(parseManifestOrIndex(bytes(index), "i")).toMatchObject({
      kind: "index",
      mediaType: MEDIA.ociIndex,
    });
    expect(parseManifestOrIndex(bytes(manifest), "m", MEDIA.dockerManifest).mediaType).toBe(
      MEDIA.dockerManifest,
    );
    expect(parseManifestOrIndex(bytes({ ...index, mediaType: MEDIA.dockerList }), "i").mediaType).toBe(
      MEDIA.dockerList,
    );
  });
});

describe("what is refused, with the document and the field", () => {
  const cases: [name: string, work: () => unknown, code: ErrorCode, message: RegExp][] = [
    ["no JSON", () => parseManifest(bytes("{"), "M"), "invalid", /^M is not valid JSON$/],
    ["no object", () => parseManifest(bytes("[]"), "M"), "invalid", /^M is malformed/],
    [
      "bytes that are no UTF-8",
      () => parseManifest(Uint8Array.of(0x22, 0xff, 0x22), "M"),
      "invalid",
      /not valid JSON/,
    ],
    [
      "too large",
      () => parseManifest(new Uint8Array(MAX_DOCUMENT_BYTES + 1), "M"),
      "invalid",
      /M has 4194305 bytes/,
    ],
    ["absurdly nested", () => parseManifest(bytes("[".repeat(1_000_000)), "M"), "invalid", /not valid JSON/],
    [
      "no config",
      () => parseManifest(bytes({ schemaVersion: 2, layers: [] }), "M"),
      "invalid",
      /field "config"/,
    ],
    [
      "a digest that is a path",
      () =>
        parseManifest(
          bytes({ ...manifest, layers: [{ ...descriptor, digest: "sha256:../../etc/passwd" }] }),
          "M",
        ),
      "invalid",
      /field "layers\.0\.digest": not a digest/,
    ],
    [
      "an upper-case digest",
      () =>
        parseIndex(bytes({ ...index, manifests: [{ ...descriptor, digest: digest.toUpperCase() }] }), "I"),
      "invalid",
      /manifests\.0\.digest/,
    ],
    [
      "a negative size",
      () => parseManifest(bytes({ ...manifest, config: { ...descriptor, size: -1 } }), "M"),
      "invalid",
      /config\.size/,
    ],
    [
      "a fractional size",
      () => parseManifest(bytes({ ...manifest, config: { ...descriptor, size: 1.5 } }), "M"),
      "invalid",
      /config\.size/,
    ],
    [
      "a manifest that is an index too",
      () => parseManifest(bytes({ ...manifest, manifests: [] }), "M"),
      "invalid",
      /also be an index/,
    ],
    [
      "an index that is a manifest too",
      () => parseIndex(bytes({ ...index, layers: [] }), "I"),
      "invalid",
      /also be a manifest/,
    ],
    [
      "schema 1",
      () => parseManifest(bytes({ schemaVersion: 1, fsLayers: [] }), "M"),
      "unsupported",
      /schema 1/,
    ],
    [
      "schema 1 by media type",
      () => parseManifestOrIndex(bytes({}), "M", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
      "unsupported",
      /schema 1/,
    ],
    [
      "an index announced as manifest",
      () => parseManifestOrIndex(bytes({ ...index, mediaType: MEDIA.ociIndex }), "M", MEDIA.ociManifest),
      "invalid",
      /announced as/,
    ],
    [
      "another document",
      () => parseManifestOrIndex(bytes({ mediaType: "text/x" }), "M"),
      "unsupported",
      /text\/x/,
    ],
    [
      "null in a list",
      () => parseImageConfig(bytes({ ...config, config: { Env: [null] } }), "C"),
      "invalid",
      /config\.Env\.0/,
    ],
    [
      "a time that does not exist",
      () => parseImageConfig(bytes({ ...config, created: "2024-13-01T00:00:00Z" }), "C"),
      "invalid",
      /field "created"/,
    ],
    [
      "no rootfs",
      () => parseImageConfig(bytes({ os: "linux", architecture: "x" }), "C"),
      "invalid",
      /rootfs/,
    ],
    [
      "labels that are no texts",
      () => parseImageConfig(bytes({ ...config, config: { Labels: { a: 1 } } }), "C"),
      "invalid",
      /config\.Labels\.a/,
    ],
    [
      "a layout of another version",
      () => parseLayoutFile(bytes({ imageLayoutVersion: "2.0.0" }), "L"),
      "invalid",
      /imageLayoutVersion/,
    ],
  ];
  test.each(cases)("%s", (_name, work, code, message) => {
    const error = failure(work);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });
});
