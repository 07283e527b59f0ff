// Protects that skopeo, umoci and podman read what the transports write, and the other way round, with equal digests.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestHex } from "../../src/base/digest.ts";
import type { ImageFormat } from "../../src/oci/types.ts";
import { type MadeImage, makeImage, makeIndex, type MadeIndex } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, validateAt } from "./suite.ts";

setDefaultTimeout(60_000);

const scratch = scratchDirectory("interop");
const { path: dir } = scratch;
let made: MadeImage;
let index: MadeIndex;

beforeAll(async () => {
  made = await makeImage(join(dir, "from"), contents);
  index = await makeIndex(
    join(dir, "from"),
    [
      { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
      {
        platform: { os: "linux", architecture: "arm64", variant: "v8" },
        layers: [[{ path: "a", content: "2" }]],
      },
    ],
    { name: "both" },
  );
  writeFileSync(join(dir, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
  mkdirSync(join(dir, "podman"));
});
afterAll(() => scratch[Symbol.dispose]());

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, TMPDIR: dir },
  });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

const skopeo = (...args: string[]) => run("skopeo", "--policy", join(dir, "policy.json"), ...args);
const podman = (...args: string[]) =>
  run(
    "podman",
    "--root",
    join(dir, "podman/root"),
    "--runroot",
    join(dir, "podman/run"),
    "--storage-driver",
    "vfs",
    ...args,
  );

const places = {
  oci: (name: string) => `oci:${dir}/${name}.oci:v1`,
  "oci-archive": (name: string) => `oci-archive:${dir}/${name}.oci.tar:v1`,
  dir: (name: string) => `dir:${dir}/${name}.dir`,
  "docker-archive": (name: string) => `docker-archive:${dir}/${name}.docker.tar:localhost/hello:v1`,
};
type Place = keyof typeof places;
const all = Object.keys(places) as Place[];
const keepsDigests = (place: Place) => place !== "docker-archive";

describe("skopeo reads what we write", () => {
  test.each(all)("%s", async (place) => {
    const at = places[place](`ours-${place}`);
    const { root } = await copyBetween(made.reference, at);
    const inspected = JSON.parse(skopeo("inspect", at));
    expect(inspected).toMatchObject({ Labels: { a: "b" }, Architecture: made.image.architecture });
    // There is no manifest in a docker-archive; each tool makes its own.
    if (keepsDigests(place)) expect(inspected.Digest).toBe(root.digest);
    else expect(inspected.Layers).toEqual(made.image.rootfs.diff_ids);
    const back = `oci:${dir}/skopeo-${place}.oci:v1`;
    skopeo("copy", "--quiet", at, back);
    const [image] = await validateAt(back);
    expect(image!.image.rootfs).toEqual(made.image.rootfs);
    if (keepsDigests(place)) expect(image!.descriptor.digest).toBe(made.descriptor.digest);
  });

  test.each(["docker", "oci"] as ImageFormat[])("the %s format, converted from the other", async (format) => {
    const from = await makeImage(join(dir, `other-${format}`), {
      ...contents,
      format: format === "oci" ? "docker" : "oci",
    });
    const at = `dir:${dir}/converted-${format}`;
    const { manifest } = await copyBetween(from.reference, at, { format });
    expect(JSON.parse(skopeo("inspect", at)).Digest).toBe(manifest.digest);
    const [image] = await validateAt(at);
    expect(image!.manifest.mediaType).toContain(format === "docker" ? "vnd.docker" : "vnd.oci");
    expect(image!.manifest.config.digest).toBe(from.manifest.config.digest);
  });

  test.each(["oci", "oci-archive", "dir"] as Place[])("a whole index in %s", async (place) => {
    const at = places[place](`index-${place}`);
    await copyBetween(index.reference, at, { all: true });
    skopeo("copy", "--quiet", "--all", at, `dir:${dir}/index-back-${place}`);
    expect(await validateAt(`dir:${dir}/index-back-${place}`)).toHaveLength(2);
    expect(JSON.parse(skopeo("--override-arch", "arm64", "inspect", at)).Architecture).toBe("arm64");
  });

  test("layers compressed anew", async () => {
    const at = `oci:${dir}/zstd:v1`;
    await copyBetween(made.reference, at, { compression: "zstd", forceCompression: true });
    skopeo("copy", "--quiet", at, `dir:${dir}/zstd-back`);
    const [image] = await validateAt(`dir:${dir}/zstd-back`);
    expect(image!.image).toEqual(made.image);
  });
});

describe("we read what skopeo writes", () => {
  test.each(all)("%s", async (place) => {
    const at = places[place](`theirs-${place}`);
    skopeo("copy", "--quiet", made.reference, at);
    const [image] = await validateAt(at);
    expect(image!.image.rootfs).toEqual(made.image.rootfs);
    expect(image!.image.config?.Labels).toEqual({ a: "b" });
    const { root } = await copyBetween(at, `oci:${dir}/read-${place}:v1`);
    if (keepsDigests(place)) expect(root.digest).toBe(made.descriptor.digest);
    expect(await validateAt(`oci:${dir}/read-${place}:v1`)).toHaveLength(1);
  });

  test.each(["oci-archive", "dir"] as Place[])("a whole index in %s", async (place) => {
    const at = places[place](`their-index-${place}`);
    skopeo("copy", "--quiet", "--all", index.reference, at);
    const { root } = await copyBetween(at, `oci:${dir}/their-index:${place}`, { all: true });
    expect(root.digest).toBe(index.descriptor.digest);
    expect(await validateAt(`oci:${dir}/their-index:${place}`)).toHaveLength(2);
  });
});

test("umoci lists and unpacks our layout", async () => {
  await copyBetween(made.reference, `oci:${dir}/umoci:a`);
  await copyBetween(index.reference, `oci:${dir}/umoci:b`, {
    platform: { os: "linux", architecture: "arm64" },
  });
  expect(run("umoci", "ls", "--layout", join(dir, "umoci")).trim().split("\n").sort()).toEqual(["a", "b"]);
  run("umoci", "unpack", "--rootless", "--image", `${dir}/umoci:a`, join(dir, "unpacked"));
  expect(run("ls", join(dir, "unpacked/rootfs")).trim().split("\n")).toEqual(["big", "bin", "etc"]);
});

test("podman loads our archives, and we read what it saves", async () => {
  await copyBetween(made.reference, `docker-archive:${dir}/p.tar:localhost/hello:v1`);
  expect(podman("load", "--quiet", "-i", join(dir, "p.tar"))).toContain("localhost/hello:v1");
  const [inspected] = JSON.parse(podman("image", "inspect", "localhost/hello:v1"));
  expect(inspected.Id).toBe(made.imageId);
  await copyBetween(made.reference, `oci-archive:${dir}/p.oci.tar:localhost/other:v2`);
  podman("load", "--quiet", "-i", join(dir, "p.oci.tar"));

  for (const format of ["docker-archive", "oci-archive"]) {
    const file = join(dir, `saved-${format}.tar`);
    podman("save", "--quiet", "--format", format, "-o", file, "localhost/hello:v1");
    const [image] = await validateAt(`${format}:${file}`);
    expect(image!.image.rootfs).toEqual(made.image.rootfs);
  }
  podman("save", "--quiet", "-m", "-o", join(dir, "many.tar"), "localhost/hello:v1", "localhost/other:v2");
  const [first] = await validateAt(`docker-archive:${dir}/many.tar:localhost/hello:v1`);
  expect(digestHex(first!.manifest.config.digest)).toBe(made.imageId);
});
