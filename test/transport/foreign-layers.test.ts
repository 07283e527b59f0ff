// Protects layers that their publisher keeps elsewhere: not sent unless asked, fetched where they are, verified always.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Digest } from "../../src/base/digest.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import type { Descriptor, Manifest } from "../../src/oci/types.ts";
import { copyImage, type CopyImageOptions } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import { addToIndex, makeImage, writeBlob } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { MemoryRegistry } from "./memory-registry.ts";
import { failureOf } from "./suite.ts";

setDefaultTimeout(60_000);
const scratch = scratchDirectory("foreign");
const types = {
  oci: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  docker: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};
const asked: { path: string; authorization: string | null }[] = [];
let content = new Uint8Array();
let publisher: ReturnType<typeof Bun.serve>;
let registry: MemoryRegistry;
let count = 0;

beforeAll(() => {
  registry = new MemoryRegistry();
  publisher = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname } = new URL(request.url);
      asked.push({ path: pathname, authorization: request.headers.get("authorization") });
      if (pathname === "/moved") return Response.redirect("/layer", 302);
      if (pathname === "/layer") return new Response(Buffer.from(content));
      if (pathname === "/other") return new Response(Buffer.alloc(content.length, 1));
      return new Response(null, { status: 403 });
    },
  });
});
afterAll(() => {
  void publisher.stop(true);
  registry[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

/** An image with a foreign layer, which its layout lacks. */
async function foreign(
  format: "oci" | "docker",
  paths: string[],
): Promise<{ reference: string; layer: Digest }> {
  const directory = scratch.file(`image-${++count}`);
  const made = await makeImage(directory, {
    format,
    layers: [[{ path: "theirs", content: `theirs ${count}` }], [{ path: "ours", content: "ours" }]],
  });
  const [layer, own] = made.manifest.layers as [Descriptor, Descriptor];
  const blob = `${directory}/blobs/sha256/${layer.digest.slice("sha256:".length)}`;
  content = new Uint8Array(await Bun.file(blob).arrayBuffer());
  rmSync(blob);
  const urls = paths.map((path) =>
    path.includes(":") ? path : `http://kim:pw@127.0.0.1:${publisher.port}${path}`,
  );
  const manifest: Manifest = {
    ...made.manifest,
    layers: [{ ...layer, mediaType: types[format], urls }, own],
  };
  const mediaType = manifest.mediaType ?? MEDIA.ociManifest;
  addToIndex(directory, writeBlob(directory, mediaType, JSON.stringify(manifest)), "latest");
  asked.length = 0;
  return { reference: `oci:${directory}:latest`, layer: layer.digest };
}

async function copy(from: string, to: string, options: CopyImageOptions = {}) {
  const warnings: string[] = [];
  await using source = await openSource(parseTransport(from), { tlsVerify: false });
  await using target = await openTarget(parseTransport(to), { tlsVerify: false });
  const onEvent: CopyImageOptions["onEvent"] = (event) =>
    event.type === "warning" && warnings.push(event.message);
  return { ...(await copyImage(source, target, { onEvent, ...options })), warnings };
}

const there = () => `docker://${registry.host}/foreign/x:${count}`;

test.each(["oci", "docker"] as const)("a push (%s) leaves it where it is, and says so", async (format) => {
  const { reference, layer } = await foreign(format, ["/layer"]);
  await using source = await openSource(parseTransport(reference));
  const { root, warnings } = await copy(reference, there());
  expect(root.digest).toBe((await source.resolve()).digest);
  expect(registry.blobs.has(layer)).toBe(false);
  expect(asked).toEqual([]);
  expect(warnings.join()).toContain(
    `Layer ${layer} of ${reference} is not copied: its publisher keeps it at http`,
  );
  // From there it goes on to places that do without, and to those that do not.
  await copy(there(), `oci:${scratch.file(`layout-${count}`)}:x`);
  expect(asked).toEqual([]);
  await copy(there(), `dir:${scratch.file(`dir-${count}`)}`);
  expect(asked).toEqual([{ path: "/layer", authorization: null }]);
});

test("a push that is asked to sends it", async () => {
  const { reference, layer } = await foreign("oci", ["/gone", "ftp://127.0.0.1/layer", "/moved"]);
  await copy(reference, there(), { foreignLayers: true });
  expect(registry.blobs.has(layer)).toBe(true);
  expect(asked.map(({ path }) => path)).toEqual(["/gone", "/moved", "/layer"]);
  // Then the registry has it, and nobody else is asked.
  asked.length = 0;
  await copy(there(), `dir:${scratch.file(`dir-${count}`)}`);
  expect(asked).toEqual([]);
});

test("formats: the type follows, and an archive of Docker's has it as a layer like others", async () => {
  const { reference } = await foreign("oci", ["/layer"]);
  const { root } = await copy(reference, there(), { format: "docker" });
  const manifest = JSON.parse(Buffer.from(registry.manifests.get(root.digest)!.bytes).toString()) as Manifest;
  expect(manifest.layers[0]!.mediaType).toBe(types.docker);
  expect(manifest.layers[0]!.urls).toHaveLength(1);
  const archive = `docker-archive:${scratch.file(`${count}.tar`)}`;
  await copy(reference, archive);
  await copy(archive, `dir:${scratch.file(`from-archive-${count}`)}`);
});

test("what comes from elsewhere is verified", async () => {
  const { reference } = await foreign("oci", ["/other"]);
  await failureOf(copy(reference, `dir:${scratch.file(`bad-${count}`)}`), "integrity");
  expect(await Bun.file(scratch.file(`bad-${count}/manifest.json`)).exists()).toBe(false);
});

test("nobody has it: every address is told", async () => {
  const { reference, layer } = await foreign("oci", ["/gone", "ftp://127.0.0.1/layer"]);
  const error = await failureOf(copy(reference, `dir:${scratch.file(`none-${count}`)}`), "not-found");
  expect(error.message).toStartWith(`Cannot read the foreign layer ${layer} of ${reference}: http://`);
  expect(error.message).toContain("/gone answered 403; ftp://127.0.0.1/layer is no address of HTTP");
});

test("a foreign layer without an address is copied like others, or is missing like others", async () => {
  const { reference } = await foreign("oci", []);
  await failureOf(copy(reference, there()), "not-found");
});
