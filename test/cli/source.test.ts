// Protects source images: what create and add make, the way to a registry and back, and that Buildah reads and writes them.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../support/command-line.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(60_000);
const line = new CommandLine("source");
let registry: TestRegistry;

beforeAll(async () => {
  registry = await startRegistry({ users: { kim: "secret" } });
  line.file("tree/sub/file", "in a tree\n");
  line.file("single.patch", "alone\n");
  Bun.spawnSync(["tar", "-cf", line.path("plain.tar"), "-C", line.path("tree"), "."]);
  Bun.spawnSync(["tar", "-czf", line.path("packed.tgz"), "-C", line.path("tree"), "."]);
});
afterAll(() => {
  registry[Symbol.dispose]();
  line[Symbol.dispose]();
});

interface Manifest {
  config: { mediaType: string; digest: string };
  layers: { mediaType: string; digest: string; annotations?: object }[] | null;
}
const blob = (layout: string, digest: string) => join(layout, "blobs/sha256", digest.slice("sha256:".length));
const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

function manifestOf(layout: string): Manifest {
  const { manifests } = read(join(layout, "index.json")) as { manifests: { digest: string }[] };
  expect(manifests).toHaveLength(1);
  return read(blob(layout, manifests[0]!.digest)) as Manifest;
}

/** Names in each layer, and that it is a gzip-compressed tar. */
const contents = (layout: string) =>
  manifestOf(layout).layers!.map(({ digest }) => {
    const { stdout } = Bun.spawnSync(["tar", "-tzf", blob(layout, digest)]);
    return stdout
      .toString()
      .trim()
      .split("\n")
      .map((name) => name.replace(/^\.\//, ""))
      .filter(Boolean);
  });

test("several that add at once lose nothing of each other", async () => {
  const layout = line.path("crowd");
  await line.ok("source", "create", layout);
  const files = Array.from({ length: 6 }, (_, i) => `one-of-${i}`);
  for (const file of files) line.file(file, file);
  await Promise.all(files.map((file) => line.ok("source", "add", layout, line.path(file))));
  expect(contents(layout).flat().sort()).toEqual(files);
});

test("create: a config of its own type with an author, a time or none; never over something", async () => {
  const layout = line.path("created");
  expect(await line.ok("source", "create", "--author", "kim", layout)).toBe("");
  const { config, layers } = manifestOf(layout);
  expect(config.mediaType).toBe("application/vnd.oci.source.image.config.v1+json");
  expect(layers).toEqual([]);
  const { created, author } = read(blob(layout, config.digest)) as { created: string; author: string };
  expect([author, Date.parse(created) > 0]).toEqual(["kim", true]);
  await line.ok("source", "create", "--time-stamp=false", line.path("timeless"));
  expect(read(blob(line.path("timeless"), manifestOf(line.path("timeless")).config.digest))).toEqual({});
  const again = await line.run(["source", "create", layout]);
  expect([again.status, again.stderr]).toEqual([125, expect.stringContaining("exists already")]);
});

test("add: directories, files and archives become gzip-compressed tars; what is one stays", async () => {
  const layout = line.path("filled");
  await line.ok("source", "create", layout);
  for (const name of ["tree", "single.patch", "plain.tar"])
    await line.ok("source", "add", layout, line.path(name));
  const about = ["--annotation", "kind=archive", "--annotation", "x=a=b"];
  await line.ok("source", "add", ...about, layout, line.path("packed.tgz"));
  expect(contents(layout)).toEqual([
    ["sub/", "sub/file"],
    ["single.patch"],
    ["sub/", "sub/file"],
    ["sub/", "sub/file"],
  ]);
  const last = manifestOf(layout).layers!.at(-1)!;
  expect(last).toMatchObject({
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    annotations: { kind: "archive", x: "a=b" },
  });
  expect(readFileSync(blob(layout, last.digest))).toEqual(readFileSync(line.path("packed.tgz")));
  // Config, four layers of which two are equal or not, and the last manifest: those before it are gone.
  const { layers, config } = manifestOf(layout);
  const known = new Set([config.digest, ...layers!.map(({ digest }) => digest)]);
  expect(readdirSync(join(layout, "blobs/sha256"))).toHaveLength(known.size + 1);
});

test("add refuses what is not there, no source image, and annotations without a value", async () => {
  const layout = line.path("refusing");
  await line.ok("source", "create", layout);
  const before = readFileSync(join(layout, "index.json"), "utf8");
  for (const [argv, message] of [
    [["source", "add", layout, line.path("nothing")], "nothing"],
    [["source", "add", line.path("tree"), line.path("plain.tar")], "is not an OCI layout"],
    [["source", "add", "--annotation", "x", layout, line.path("plain.tar")], "KEY=VALUE"],
  ] as const) {
    const { status, stderr } = await line.run([...argv]);
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  }
  expect(readFileSync(join(layout, "index.json"), "utf8")).toBe(before);
});

test("push and pull: the same bytes come back; an image is no source image", async () => {
  const [layout, back] = [line.path("pushed"), line.path("back")];
  const access = ["--tls-verify=false", "--creds", "kim:secret"];
  await line.ok("source", "create", layout);
  await line.ok("source", "add", layout, line.path("tree"));
  const name = `${registry.host}/hello:1.0-source`;
  expect((await line.run(["source", "push", "--tls-verify=false", layout, name])).stderr).toContain("401");
  await line.ok("source", "push", "--quiet", ...access, "--digestfile", line.path("digest"), layout, name);
  expect(await line.run(["source", "pull", "--tls-verify=false", name, back])).toMatchObject({ status: 125 });
  expect((await line.run(["source", "pull", "--quiet", ...access, name, back])).stderr).toBe("");
  expect(manifestOf(back)).toEqual(manifestOf(layout));
  expect(readFileSync(line.path("digest"), "utf8").trim()).toBe(
    read(join(back, "index.json")).manifests[0].digest,
  );
  expect((await line.run(["source", "pull", ...access, name, back])).stderr).toContain("exists already");
  const box = await line.ok("from", "scratch");
  await line.ok(
    "commit",
    "--quiet",
    "--tls-verify=false",
    "--creds",
    "kim:secret",
    box,
    `docker://${registry.host}/image`,
  );
  const image = await line.run(["source", "pull", ...access, `${registry.host}/image`, line.path("none")]);
  expect([image.status, image.stderr]).toEqual([125, expect.stringContaining("is no source image")]);
  expect(readdirSync(line.path("."))).not.toContain("none");
});

const buildah = process.getuid?.() === 0 ? Bun.which("buildah") : null;
test.skipIf(buildah === null)("Buildah adds to what was made here, and the other way around", async () => {
  mkdirSync(line.path("buildah"));
  const store = [
    "--root",
    line.path("buildah/root"),
    "--runroot",
    line.path("buildah/run"),
    "--storage-driver=vfs",
  ];
  const theirs = (...argv: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync([buildah!, ...store, "source", ...argv]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  };
  const [ours, other] = [line.path("ours"), line.path("theirs")];
  await line.ok("source", "create", ours);
  theirs("add", ours, line.path("tree/sub/file"));
  await line.ok("source", "add", ours, line.path("single.patch"));
  theirs("create", other);
  await line.ok("source", "add", other, line.path("tree"));
  theirs("add", other, line.path("single.patch"));
  expect(contents(ours)).toEqual([["file"], ["single.patch"]]);
  expect(contents(other)).toEqual([["sub/", "sub/file"], ["single.patch"]]);
});
