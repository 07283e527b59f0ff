// Protects Cooper from documents of images that are made to crash or mislead their readers, as in advisories of the field.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MEDIA } from "../../src/oci/media-types.ts";
import { hostPlatform } from "../../src/oci/platform.ts";
import { people } from "../support/as-users.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { addToIndex, type MadeImage, makeImage, writeBlob } from "../support/make-image.ts";

setDefaultTimeout(120_000);

let site: Site;
let made: MadeImage;
beforeAll(async () => {
  site = openSite(people[0]!);
  made = await makeImage(join(site.work, "layout"), { layers: [[{ path: "file", content: "x" }]] });
});
afterAll(() => site[Symbol.asyncDispose]());

/** An image of the layout with another config; its reference. */
function withConfig(config: string): string {
  const descriptor = writeBlob(made.directory, MEDIA.ociConfig, config);
  return withManifest({ ...made.manifest, config: descriptor });
}

function withManifest(manifest: unknown, mediaType: string = MEDIA.ociManifest): string {
  const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
  addToIndex(made.directory, writeBlob(made.directory, mediaType, text), "hostile");
  return `oci:${made.directory}:hostile`;
}

/** A config with nothing wrong. */
const good = () => ({
  ...hostPlatform(),
  config: {},
  rootfs: { type: "layers", diff_ids: made.layers.map(({ diffId }) => diffId) },
});
const NESTED = 200_000;

/**
 * CVE-2024-23650: BuildKit's daemon panicked on requests and results of frontends with parts missing. Cooper has neither
 * daemon nor frontends; what comes from elsewhere in that way are the configs, manifests and attestations of images.
 */
const CONFIGS: [what: string, config: () => string][] = [
  ["null", () => "null"],
  ["a list", () => "[]"],
  ["no text", () => ""],
  ["a number", () => "1e400"],
  ["lists in lists", () => "[".repeat(NESTED)],
  ["objects in objects", () => `${'{"config":'.repeat(NESTED)}1${"}".repeat(NESTED)}`],
  ["half of it", () => JSON.stringify(good()).slice(0, 60)],
  ["no platform", () => JSON.stringify({ ...good(), architecture: undefined, os: undefined })],
  ["a platform of other types", () => JSON.stringify({ ...good(), architecture: {}, os: ["linux"] })],
  ["no rootfs", () => JSON.stringify({ ...good(), rootfs: undefined })],
  ["a rootfs of null", () => JSON.stringify({ ...good(), rootfs: null })],
  ["diff_ids of null", () => JSON.stringify({ ...good(), rootfs: { type: "layers", diff_ids: null } })],
  [
    "more diff_ids than layers",
    () =>
      JSON.stringify({
        ...good(),
        rootfs: { type: "layers", diff_ids: [made.layers[0]!.diffId, made.layers[0]!.diffId] },
      }),
  ],
  ["a history of nulls", () => JSON.stringify({ ...good(), history: [null, null] })],
  ["a history that is an object", () => JSON.stringify({ ...good(), history: { 0: {} } })],
  ["a config of null", () => JSON.stringify({ ...good(), config: null })],
  ["a config that is a text", () => JSON.stringify({ ...good(), config: "x" })],
  ...(
    [
      ["Env", [null, 1, "", "=", "A"]],
      ["Env", "A=1"],
      ["Cmd", [null]],
      ["Entrypoint", { 0: "sh" }],
      ["Labels", ["a"]],
      ["Labels", { a: null }],
      ["ExposedPorts", ["80"]],
      ["Volumes", null],
      ["Healthcheck", { Test: 1, Interval: "soon" }],
      ["OnBuild", [null, "FROM x", "ONBUILD RUN true", "\u0000"]],
      ["User", 1],
      ["WorkingDir", null],
      ["Shell", []],
      ["__proto__", { polluted: true }],
    ] as const
  ).map(([key, value]): [string, () => string] => [
    `${key} as ${JSON.stringify(value)}`,
    () =>
      `${JSON.stringify({ ...good(), config: {} }).replace('"config":{}', `"config":{${JSON.stringify(key)}:${JSON.stringify(value)}}`)}`,
  ]),
];

/** Ends with a result or with an error that somebody thought of. */
async function expectHandled(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await site.cooper(...args);
  expect(exitCode, stderr).toBeLessThan(126);
  expect(stderr).not.toMatch(
    /TypeError|RangeError|SyntaxError|undefined is not|is not a function|internal error/,
  );
  if (exitCode !== 0) expect(stderr).toMatch(/^Error: .{20}/m);
}

describe("CVE-2024-23650: a config that is", () => {
  test.each(CONFIGS)("%s", async (_what, config) => {
    const reference = withConfig(config());
    await expectHandled("pull", reference);
    const context = site.files({ Dockerfile: `FROM hostile\nLABEL a=b\n` });
    await expectHandled(
      "bud",
      "-q",
      "-t",
      "localhost/made",
      "--build-context",
      `hostile=oci-layout://${made.directory}:hostile`,
      context,
    );
    await expectHandled("image", "inspect", reference);
    const left = await site.cooper("inspect", "--type", "image", "localhost/made");
    if (left.exitCode === 0) {
      await expectHandled("history", "localhost/made");
      await site.ok("rmi", "localhost/made");
    }
  });
});

describe("CVE-2024-23650: an attestation that is", () => {
  test.each<[string, string, string]>([
    ["no statement", "null", "application/vnd.in-toto+json"],
    [
      "half a statement",
      '{"_type":"https://in-toto.io/Statement/v0.1","subject":[{}',
      "application/vnd.in-toto+json",
    ],
    ["of a type that is a path", "{}", "../../x"],
  ])("%s", async (_what, statement, mediaType) => {
    const layer = {
      ...writeBlob(made.directory, mediaType, statement),
      annotations: { "in-toto.io/predicate-type": "x" },
    };
    const manifest = writeBlob(
      made.directory,
      MEDIA.ociManifest,
      JSON.stringify({ ...made.manifest, layers: [layer] }),
    );
    const index = {
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [
        { ...made.descriptor, platform: { os: "linux", architecture: "amd64" } },
        {
          ...manifest,
          platform: { os: "unknown", architecture: "unknown" },
          annotations: {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": null,
          },
        },
      ],
    };
    const reference = withManifest(index, MEDIA.ociIndex);
    await expectHandled("image", "copy", "--all", reference, `oci:${site.work}/copied:x`);
    await expectHandled("image", "inspect", reference);
    await expectHandled("pull", reference);
    rmSync(join(site.work, "copied"), { recursive: true, force: true });
  });
});

describe("misleading manifests", () => {
  test("CVE-2021-41190: one that others would read as a list", async () => {
    const both = { ...made.manifest, manifests: [made.descriptor] };
    const { exitCode, stderr } = await site.cooper("pull", withManifest(both));
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/^Error: /m);
  });

  test.each(["sha256:../../../../canary", "sha256:", "../canary", `sha256:${"a".repeat(63)}/`])(
    "CVE-2024-3727: the digest %s",
    async (digest) => {
      writeFileSync(join(site.work, "canary"), "alive");
      for (const manifest of [
        { ...made.manifest, config: { ...made.manifest.config, digest } },
        { ...made.manifest, layers: [{ ...made.manifest.layers[0]!, digest }] },
      ]) {
        const { exitCode, stderr } = await site.cooper("pull", withManifest(manifest));
        expect(exitCode).not.toBe(0);
        expect(stderr).toMatch(/digest/);
      }
    },
  );
});
