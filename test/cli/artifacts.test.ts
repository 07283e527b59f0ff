// Protects `manifest add --artifact`: what becomes of files, of each of its flags, and that it goes to a registry whole.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxBase } from "../support/bases.ts";
import { CommandLine } from "../support/command-line.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(60_000);
const line = new CommandLine("artifacts");
let registry: TestRegistry;

beforeAll(async () => {
  registry = await startRegistry();
  await line.ok("import", busyboxBase(), "localhost/busybox");
  line.file("note.txt", "a note\n");
  line.file("data.bin", "\0data");
  line.file("about.json", '{"a":1}');
});
afterAll(() => {
  registry[Symbol.dispose]();
  line[Symbol.dispose]();
});

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  data?: string;
  artifactType?: string;
  annotations?: object;
  platform?: object;
}
interface Manifest {
  artifactType: string;
  config: Descriptor;
  layers: Descriptor[];
  subject?: Descriptor;
  annotations?: object;
}
const entries = async (list: string) =>
  (JSON.parse(await line.ok("manifest", "inspect", list)) as { manifests: Descriptor[] }).manifests;

/** Sends a list to a layout; returns a reader of what is there. */
async function sent(list: string): Promise<(digest: string) => string> {
  const layout = line.path(`${list}-layout`);
  await line.ok("manifest", "push", "-q", "--all", list, `oci:${layout}`);
  return (digest) => readFileSync(join(layout, "blobs/sha256", digest.replace("sha256:", "")), "utf8");
}

test("files become the layers of one artifact beside an image, under their names", async () => {
  await line.ok("manifest", "create", "plain", "localhost/busybox");
  const files = [line.path("note.txt"), line.path("data.bin")];
  const added = await line.ok("manifest", "add", "--artifact", "plain", ...files);
  const [image, artifact] = await entries("plain");
  expect(image!.platform).toBeDefined();
  expect(added).toEndWith(`: ${artifact!.digest}`);
  expect(artifact).toMatchObject({ artifactType: "application/vnd.unknown.artifact.v1" });
  const read = await sent("plain");
  const { config, layers } = JSON.parse(read(artifact!.digest)) as Manifest;
  expect(config).toMatchObject({ mediaType: "application/vnd.oci.empty.v1+json", size: 2, data: "e30=" });
  expect(layers.map(({ mediaType, annotations }) => [mediaType, annotations])).toEqual([
    ["text/plain", { "org.opencontainers.image.title": "note.txt" }],
    ["application/octet-stream", { "org.opencontainers.image.title": "data.bin" }],
  ]);
  expect(layers.map(({ digest }) => read(digest))).toEqual(["a note\n", "\0data"]);
});

test("each flag", async () => {
  await line.ok("manifest", "create", "flags");
  const about = ["--artifact-type", "text/x-note", "--artifact-annotation", "made=here,by=kim"];
  const document = [
    "--artifact-config",
    line.path("about.json"),
    "--artifact-config-type",
    "application/x-about",
  ];
  const layers = ["--artifact-layer-type", "text/x-line", "--artifact-exclude-titles"];
  const subject = ["--artifact-subject", "localhost/busybox"];
  const entry = ["--annotation", "of=entry", "--os", "linux", "--arch", "arm64"];
  const flags = ["--artifact", ...about, ...document, ...layers, ...subject, ...entry];
  await line.ok("manifest", "add", ...flags, "flags", line.path("note.txt"));
  const [artifact] = await entries("flags");
  expect(artifact).toMatchObject({
    artifactType: "text/x-note",
    annotations: { of: "entry" },
    platform: { os: "linux", architecture: "arm64" },
  });
  const read = await sent("flags");
  const manifest = JSON.parse(read(artifact!.digest)) as Manifest;
  const digest = await line.ok("images", "--format", "{{.Digest}}", "localhost/busybox");
  expect(manifest).toMatchObject({
    artifactType: "text/x-note",
    annotations: { made: "here", by: "kim" },
    config: { mediaType: "application/x-about" },
    subject: { digest },
  });
  expect(read(manifest.config.digest)).toBe('{"a":1}');
  expect(manifest.layers).toEqual([expect.objectContaining({ mediaType: "text/x-line" })]);
  expect(manifest.layers[0]!.annotations).toBeUndefined();
});

test("it goes to a registry and back, stays when the store is pruned, and the store is sound", async () => {
  await line.ok("manifest", "create", "kept", "localhost/busybox");
  await line.ok("manifest", "add", "--artifact", "kept", line.path("note.txt"));
  await line.ok("prune", "--force");
  const there = `docker://${registry.host}/kept:1`;
  await line.ok("manifest", "push", "-q", "--tls-verify=false", "kept", there);
  await line.ok("manifest", "create", "--all", "--tls-verify=false", "back", there);
  const [, artifact] = await entries("kept");
  expect((await entries("back"))[1]).toEqual(artifact);
  await line.ok("check");
});

test("what cannot be is refused, and the list stays as it is", async () => {
  await line.ok("manifest", "create", "refusing");
  const note = line.path("note.txt");
  for (const [argv, message] of [
    [["--artifact", "refusing", line.path("none")], "there is no such file"],
    [["--artifact", "refusing", note, line.path("home")], "there is no such file"],
    [["--artifact-type", "x", "refusing", note], "--artifact-type needs --artifact"],
    [["refusing", "localhost/busybox", note], "Only one image"],
    [["--artifact", "--artifact-annotation", "x", "refusing", note], "KEY=VALUE"],
  ] as const) {
    const { status, stderr } = await line.run(["manifest", "add", ...argv]);
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  }
  expect(await entries("refusing")).toEqual([]);
});
