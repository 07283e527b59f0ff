// Protects what travels with an image: referrers, theirs, and nested indexes, through both kinds of registries and layouts.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Digest } from "../../src/base/digest.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import type { Descriptor } from "../../src/oci/types.ts";
import { copyImage, type CopyImageOptions } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import { addToIndex, makeIndex, type MadeIndex, writeBlob } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { MemoryRegistry } from "./memory-registry.ts";
import { startRegistry, type TestRegistry } from "./registry-server.ts";
import { failureOf } from "./suite.ts";

setDefaultTimeout(60_000);
const scratch = scratchDirectory("referrers");
let debian: TestRegistry;
let modern: MemoryRegistry;
let made: MadeIndex;
/** About the index; about the image in it; about that. */
let sbom: Descriptor;
let signature: Descriptor;
let note: Descriptor;
let warnings: string[] = [];

beforeAll(async () => {
  debian = await startRegistry();
  modern = new MemoryRegistry({ referrers: true, page: 1 });
  made = await makeIndex(scratch.file("from"), [
    { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
    { platform: { os: "linux", architecture: "s390x" }, layers: [[{ path: "a", content: "2" }]] },
  ]);
  sbom = artifact("sbom", made.descriptor);
  signature = artifact("signature", made.images[0]!.descriptor);
  note = artifact("note", signature);
  // As regctl lists them, by a tag; and as oras does, without a name.
  addToIndex(made.directory, indexOf([sbom]), made.descriptor.digest.replace(":", "-"));
  addToIndex(made.directory, signature, null);
  addToIndex(made.directory, note, null);
});
afterAll(() => {
  debian[Symbol.dispose]();
  modern[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

function indexOf(manifests: Descriptor[]): Descriptor {
  const document = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests };
  return writeBlob(made.directory, MEDIA.ociIndex, JSON.stringify(document));
}

function artifact(kind: string, { mediaType, digest, size }: Descriptor): Descriptor {
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType: `application/vnd.example.${kind}`,
    config: writeBlob(made.directory, "application/vnd.oci.empty.v1+json", "{}"),
    layers: [writeBlob(made.directory, "text/plain", `${kind} of ${digest}`)],
    subject: { mediaType, digest, size },
    annotations: { kind },
  };
  return {
    ...writeBlob(made.directory, MEDIA.ociManifest, JSON.stringify(document)),
    artifactType: document.artifactType,
  };
}

async function copy(from: string, to: string, options: CopyImageOptions = {}) {
  warnings = [];
  await using source = await openSource(parseTransport(from), { tlsVerify: false });
  await using target = await openTarget(parseTransport(to), { tlsVerify: false });
  return await copyImage(source, target, {
    referrers: true,
    onEvent: (event) => event.type === "warning" && warnings.push(event.message),
    ...options,
  });
}

async function referrersAt(place: string, subject: Digest): Promise<(string | undefined)[]> {
  await using source = await openSource(parseTransport(place), { tlsVerify: false });
  return (await source.referrers!(subject)).map(({ artifactType }) => artifactType?.replace(/.*\./, ""));
}

const allOf = async (place: string) => [
  await referrersAt(place, made.descriptor.digest),
  await referrersAt(place, made.images[0]!.descriptor.digest),
  await referrersAt(place, signature.digest),
];

describe("a whole index and all that speaks of it", () => {
  const places: [string, () => string][] = [
    ["a registry without the API, by tags", () => `docker://${debian.host}/refer/x:1`],
    ["a registry with it", () => `docker://${modern.host}/refer/x:1`],
    ["a layout", () => `oci:${scratch.file("layout")}:x`],
    ["an archive", () => `oci-archive:${scratch.file("archive.tar")}:x`],
  ];
  test.each(places)("to %s and back", async (_name, place) => {
    const there = place();
    const { root } = await copy(made.reference, there, { all: true });
    expect(root.digest).toBe(made.descriptor.digest);
    expect(await allOf(there)).toEqual([["sbom"], ["signature"], ["note"]]);
    const back = `oci:${scratch.file(`back-${places.findIndex((one) => one[1] === place)}`)}`;
    expect((await copy(there, back, { all: true })).root.digest).toBe(root.digest);
    expect(await allOf(back)).toEqual([["sbom"], ["signature"], ["note"]]);
    // A layout in which only the image has no name of a list of referrers needs no name to be said.
    expect(warnings).toEqual([]);
  });

  test("twice is once", async () => {
    for (const place of [`docker://${debian.host}/twice/x:1`, `oci:${scratch.file("twice")}:x`]) {
      for (let i = 0; i < 2; i++) await copy(made.reference, place, { all: true });
      expect(await allOf(place)).toEqual([["sbom"], ["signature"], ["note"]]);
    }
  });

  test("which registry keeps it how", async () => {
    expect(modern.count(/PUT .*manifests\/sha256-/)).toBe(0);
    const tag = `docker://${debian.host}/refer/x:${made.descriptor.digest.replace(":", "-")}`;
    await using source = await openSource(parseTransport(tag), { tlsVerify: false });
    expect((await source.resolve()).mediaType).toBe(MEDIA.ociIndex);
  });
});

test("one image of an index takes its own along", async () => {
  const there = `oci:${scratch.file("one")}:x`;
  await copy(made.reference, there, { platform: { os: "linux", architecture: "amd64" } });
  expect(await allOf(there)).toEqual([[], ["signature"], ["note"]]);
});

test("nobody asked: nothing travels along", async () => {
  const there = `docker://${debian.host}/unasked/x:1`;
  await copy(made.reference, there, { all: true, referrers: false });
  expect(await allOf(there)).toEqual([[], [], []]);
});

test("a digest that changes leaves its referrers without a subject", async () => {
  const error = await failureOf(
    copy(made.reference, `oci:${scratch.file("changed")}:x`, { all: true, format: "docker" }),
    "unsupported",
  );
  expect(error.message).toContain(`the referrers of ${made.images[0]!.descriptor.digest}`);
});

test("a place without room for them", async () => {
  const error = await failureOf(
    copy(made.reference, `dir:${scratch.file("dir")}`, { all: true }),
    "unsupported",
  );
  expect(error.message).toContain("no place for them");
});

test("a registry that names a referrer that is none", async () => {
  using lying = new MemoryRegistry({ referrers: true });
  const there = `docker://${lying.host}/lies/x:1`;
  await copy(made.reference, there, { all: true });
  // Another document under the digest's list: what comes is verified, what it says of itself counts.
  const tag = made.descriptor.digest.replace(":", "-");
  const layout = scratch.file("lies");
  await copy(there, `oci:${layout}:x`, { all: true });
  const index = JSON.parse(readFileSync(`${layout}/index.json`, "utf8"));
  const entry = index.manifests.find(
    (one: Descriptor) => one.annotations?.["org.opencontainers.image.ref.name"] === tag,
  );
  expect(entry).toBeDefined();
  addToIndex(
    layout,
    writeBlob(layout, MEDIA.ociIndex, JSON.stringify({ schemaVersion: 2, manifests: [note] })),
    tag,
  );
  await copy(`oci:${layout}:x`, `oci:${scratch.file("checked")}:x`, { all: true });
  expect(warnings[0]).toContain("and it is none");
  expect(await referrersAt(`oci:${scratch.file("checked")}:x`, made.descriptor.digest)).toEqual([]);
});

describe("attestations and chosen platforms", () => {
  const platform = { os: "unknown", architecture: "unknown" };
  const attestationOf = (image: Descriptor): Descriptor => ({
    ...artifact("attestation", image),
    platform,
    annotations: {
      "vnd.docker.reference.digest": image.digest,
      "vnd.docker.reference.type": "attestation-manifest",
    },
  });
  const entries = async (place: string) => {
    await using source = await openSource(parseTransport(place));
    const chunks = await Array.fromAsync(await source.fetch(await source.resolve()));
    return (JSON.parse(Buffer.concat(chunks).toString()).manifests as Descriptor[]).map(
      ({ digest }) => digest,
    );
  };

  test.each<[string, CopyImageOptions, number[]]>([
    ["all of it", { all: true }, [0, 1, 2, 3]],
    ["without attestations", { all: true, attestations: false }, [0, 1]],
    ["one platform as a list", { all: true, platforms: [{ os: "linux", architecture: "s390x" }] }, [1, 3]],
    [
      "one platform, without",
      { all: true, attestations: false, platforms: [{ os: "linux", architecture: "s390x" }] },
      [1],
    ],
  ])("%s: what stays keeps its digest", async (name, options, kept) => {
    const images = made.images.map(({ descriptor }) => descriptor);
    const all = [...images, ...images.map(attestationOf)];
    addToIndex(made.directory, indexOf(all), "attested");
    const to = `oci:${scratch.file(`attested-${name}`)}:x`;
    await copy(`oci:${made.directory}:attested`, to, { ...options, referrers: false });
    expect(await entries(to)).toEqual(kept.map((i) => all[i]!.digest));
  });

  test("--preserve-digests keeps Docker's format in a layout, which else becomes OCI's there", async () => {
    const docker = await makeIndex(
      scratch.file("docker"),
      [{ platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] }],
      { format: "docker" },
    );
    const to = (name: string) => `oci:${scratch.file(`docker-${name}`)}:x`;
    const options = { all: true, referrers: false };
    const kept = await copy(docker.reference, to("kept"), { ...options, preserveDigests: true });
    expect(kept.root.digest).toBe(docker.descriptor.digest);
    expect((await copy(docker.reference, to("usual"), options)).root.mediaType).toBe(MEDIA.ociIndex);
  });

  test("--preserve-digests refuses a list that would be another one", async () => {
    const place = (name: string) => `oci:${scratch.file(`kept-${name}`)}:x`;
    const options = { all: true, referrers: false, preserveDigests: true };
    expect((await copy(made.reference, place("same"), options)).root.digest).toBe(made.descriptor.digest);
    for (const change of [
      { platforms: [{ os: "linux", architecture: "s390x" }] },
      { format: "docker" },
      { compression: "zstd", forceCompression: true },
    ] satisfies CopyImageOptions[]) {
      const error = await failureOf(
        copy(made.reference, place("other"), { ...options, ...change }),
        "unsupported",
      );
      expect(error.hint).toContain("--preserve-digests");
    }
  });
});
