// Protects that skopeo, podman, umoci and docker read what we write in every place, and the reverse, with equal digests.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestHex, digestOf } from "../../src/base/digest.ts";
import { openStore, pull } from "../../src/index.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import type { ImageFormat } from "../../src/oci/types.ts";
import { copyImage, type CopyImageOptions } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { startDockerEngine, type TestEngine, withEnvironment } from "../support/docker-engine.ts";
import { ForeignTools } from "../support/foreign-tools.ts";
import { type MadeImage, makeImage, makeIndex, type MadeIndex } from "../support/make-image.ts";
import { freePort, startRegistry, type TestRegistry } from "./registry-server.ts";
import { contents } from "./suite.ts";

setDefaultTimeout(60_000);

// Podman makes names of paths, in which it does not take upper-case letters.
const dir = `/var/tmp/cooper-interop-${process.pid}-${Date.now()}`;
// The engine, and a store of Podman's without a user namespace, need root.
const isRoot = process.getuid?.() === 0;
let tools: ForeignTools;
let registry: TestRegistry;
let engine: TestEngine | undefined;
let environment: Disposable;
let index: MadeIndex;

/** One image of each kind that there is. */
const kinds = [
  { format: "oci", compression: "gzip" },
  { format: "oci", compression: "zstd" },
  { format: "oci", compression: "none" },
  { format: "docker", compression: "gzip" },
  { format: "docker", compression: "none" },
] as const;
const made = new Map<string, MadeImage>();
const labelOf = ({ format, compression }: (typeof kinds)[number]) => `${format}-${compression}`;

beforeAll(async () => {
  mkdirSync(dir);
  tools = new ForeignTools();
  registry = await startRegistry();
  if (isRoot) engine = await startDockerEngine(await freePort());
  environment = withEnvironment({
    DOCKER_HOST: engine?.host ?? "unix:///nonexistent",
    CONTAINERS_STORAGE_CONF: join(tools.dir, "storage.conf"),
    CONTAINERS_CONF: join(tools.dir, "containers.conf"),
  });
  for (const kind of kinds)
    made.set(labelOf(kind), await makeImage(join(dir, `from-${labelOf(kind)}`), { ...contents, ...kind }));
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
});
afterAll(async () => {
  environment[Symbol.dispose]();
  await engine?.[Symbol.asyncDispose]();
  registry[Symbol.dispose]();
  tools[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, TMPDIR: tools.dir },
  });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout.trimEnd();
}

const skopeo = (...args: string[]) => run("skopeo", "--insecure-policy", ...args);
const skopeoCopy = (from: string, to: string, ...args: string[]) =>
  skopeo(
    ...["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", ...args],
    ...[`--src-daemon-host=${engine?.host}`, `--dest-daemon-host=${engine?.host}`, from, to],
  );
/** What skopeo finds: digest of the manifest and of the config, and the config. */
function seenBySkopeo(at: string) {
  const inspect = (...args: string[]) =>
    spawnSync("skopeo", [
      ...["inspect", "--tls-verify=false", `--daemon-host=${engine?.host}`, "--raw", ...args],
      at,
    ]).stdout;
  const config = inspect("--config");
  return {
    digest: digestOf(inspect()),
    id: digestHex(digestOf(config)),
    diffIds: JSON.parse(config.toString()).rootfs.diff_ids as Digest[],
  };
}

/** Writes and reads as Cooper does. */
async function copyBetween(from: string, to: string, options: CopyImageOptions = {}) {
  await using source = await openSource(parseTransport(from), { tlsVerify: false });
  await using target = await openTarget(parseTransport(to), { tlsVerify: false });
  return await copyImage(source, target, options);
}

async function validateAt(location: string) {
  await using source = await openSource(parseTransport(location), { tlsVerify: false });
  return await validateImage(source);
}

const places = {
  docker: (name: string) => `docker://${registry.host}/${name}:v1`,
  oci: (name: string) => `oci:${dir}/${name}.oci:v1`,
  "oci-archive": (name: string) => `oci-archive:${dir}/${name}.oci.tar:v1`,
  dir: (name: string) => `dir:${dir}/${name}.dir`,
  "docker-archive": (name: string) => `docker-archive:${dir}/${name}.docker.tar:localhost/${name}:v1`,
  "docker-daemon": (name: string) => `docker-daemon:${name}:v1`,
  "containers-storage": (name: string) => `containers-storage:localhost/${name}:v1`,
};
type Place = keyof typeof places;
const all = (Object.keys(places) as Place[]).filter((place) => isRoot || !/daemon|storage/.test(place));
/** There is no manifest in the others; each tool makes its own. */
const keepsDigests = (place: Place) => !["docker-archive", "docker-daemon"].includes(place);
/** Layouts hold images in OCI's format only, for most readers. */
const holds = (place: Place, { manifest }: MadeImage) =>
  !place.startsWith("oci") || manifest.mediaType === MEDIA.ociManifest;
const cases = kinds.flatMap((kind) => all.map((place) => [labelOf(kind), place, kind] as const));
/** Podman reaches an engine at its usual place only. */
const forPodman = cases.filter(([, place]) => !/daemon|storage/.test(place));

describe("what we write", () => {
  test.each(cases)("%s in %s: skopeo", async (label, place) => {
    const image = made.get(label)!;
    const at = places[place](`ours-${label}`);
    const { root } = await copyBetween(image.reference, at);
    const seen = seenBySkopeo(at);
    expect([seen.id, seen.diffIds]).toEqual([image.imageId, image.image.rootfs.diff_ids]);
    if (keepsDigests(place)) expect(seen.digest).toBe(root.digest);
    if (keepsDigests(place) && holds(place, image)) expect(root.digest).toBe(image.descriptor.digest);
    // Reads the layers too, and checks them.
    skopeoCopy(at, `dir:${dir}/skopeo-${label}-${place}`);
  });

  test.if(isRoot).each(forPodman)("%s in %s: podman", async (label, place) => {
    const image = made.get(label)!;
    const at = places[place](`podman-${label}`);
    await copyBetween(image.reference, at);
    const tls = place === "docker" ? ["--tls-verify=false"] : [];
    expect(
      run("podman", "pull", "--quiet", ...tls, at)
        .split("\n")
        .at(-1),
    ).toBe(image.imageId);
  });

  test.if(isRoot).each(kinds.map(labelOf))("%s in docker-daemon: docker", async (label) => {
    const image = made.get(label)!;
    await copyBetween(image.reference, places["docker-daemon"](`docker-${label}`));
    const format = "{{.Id}} {{json .RootFS.Layers}}";
    expect(run("docker", "image", "inspect", "--format", format, `docker-${label}:v1`)).toBe(
      `sha256:${image.imageId} ${JSON.stringify(image.image.rootfs.diff_ids)}`,
    );
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

  test.each(["docker", "oci", "oci-archive", "dir"] as Place[])("a whole index in %s", async (place) => {
    const at = places[place](`index-${place}`);
    await copyBetween(index.reference, at, { all: true });
    skopeoCopy(at, `dir:${dir}/index-back-${place}`, "--all");
    expect(await validateAt(`dir:${dir}/index-back-${place}`)).toHaveLength(2);
    expect(
      JSON.parse(skopeo("--override-arch", "arm64", "inspect", "--tls-verify=false", at)).Architecture,
    ).toBe("arm64");
  });

  test("layers compressed anew", async () => {
    const at = `oci:${dir}/zstd:v1`;
    await copyBetween(made.get("oci-gzip")!.reference, at, { compression: "zstd", forceCompression: true });
    skopeoCopy(at, `dir:${dir}/zstd-back`);
    const [image] = await validateAt(`dir:${dir}/zstd-back`);
    expect(image!.image).toEqual(made.get("oci-gzip")!.image);
  });
});

const formatName = { oci: "oci", docker: "v2s2" };

describe("what others write", () => {
  // There are no zstd layers in an archive of docker's.
  const written = cases.filter(([label, place]) => label !== "oci-zstd" || keepsDigests(place));
  test.each(written)("%s in %s: skopeo", async (label, place, { format, compression }) => {
    const at = places[place](`theirs-${label}`);
    const from = `dir:${dir}/for-skopeo-${label}-${place}`;
    await copyBetween(made.get(label)!.reference, from);
    // Without these it compresses, and makes of Docker's format what it takes for fitting.
    const asIs = compression === "none" ? [] : [`--dest-compress-format=${compression}`];
    const keeps = format === "oci" || !place.startsWith("oci");
    skopeoCopy(
      from,
      at,
      ...asIs,
      ...(keeps && keepsDigests(place) ? [`--format=${formatName[format]}`] : []),
    );
    const seen = seenBySkopeo(at);
    const [image] = await validateAt(at);
    expect(digestHex(image!.manifest.config.digest)).toBe(seen.id);
    expect(image!.image.rootfs.diff_ids).toEqual(made.get(label)!.image.rootfs.diff_ids);
    const { root } = await copyBetween(at, `dir:${dir}/read-${label}-${place}`);
    // Podman's store gives out plain layers, for which skopeo shows the manifest of the compressed ones.
    if (keepsDigests(place) && (place !== "containers-storage" || compression === "none"))
      expect(root.digest).toBe(seen.digest);
  });

  test
    .if(isRoot)
    .each(
      all
        .filter((place) => !/daemon|storage/.test(place))
        .flatMap((place) => [[place, "oci"] as const, [place, "v2s2"] as const]),
    )("podman in %s, %s", async (place, format) => {
    const image = made.get("oci-gzip")!;
    run("podman", "pull", "--quiet", image.reference);
    const at = places[place](`by-podman-${format}`);
    const isTyped = place !== "docker-archive" && (format === "oci" || !place.startsWith("oci"));
    const tls = place === "docker" ? ["--tls-verify=false"] : [];
    run("podman", "push", "--quiet", ...tls, ...(isTyped ? [`--format=${format}`] : []), image.imageId, at);
    const seen = seenBySkopeo(at);
    expect(seen.diffIds).toEqual(image.image.rootfs.diff_ids);
    // In directories it says gzip of layers that are not compressed: what counts is what they are.
    await using store = await openStore({ root: join(dir, "store"), runRoot: join(dir, "run") });
    expect((await pull(store, at, { tlsVerify: false })).id).toBe(seen.id);
    await using source = await openSource(parseTransport(at), { tlsVerify: false });
    if (keepsDigests(place)) expect((await source.resolve()).digest).toBe(seen.digest);
  });

  test.if(isRoot)("docker in docker-daemon and docker-archive", async () => {
    const image = made.get("docker-none")!;
    await copyBetween(image.reference, places["docker-daemon"]("built"));
    run("docker", "tag", "built:v1", "again:v2");
    run("docker", "save", "-o", join(dir, "saved.tar"), "built:v1", "again:v2");
    for (const at of ["docker-daemon:again:v2", `docker-archive:${dir}/saved.tar:again:v2`])
      expect(digestHex((await validateAt(at))[0]!.manifest.config.digest)).toBe(image.imageId);
  });

  test.if(isRoot)("umoci in oci", async () => {
    run("umoci", "init", "--layout", join(dir, "made-by-umoci"));
    run("umoci", "new", "--image", `${dir}/made-by-umoci:v1`);
    run("umoci", "insert", "--rootless", "--image", `${dir}/made-by-umoci:v1`, import.meta.path, "/test.ts");
    const at = `oci:${dir}/made-by-umoci:v1`;
    expect((await copyBetween(at, `oci:${dir}/from-umoci:v1`)).root.digest).toBe(seenBySkopeo(at).digest);
    await using store = await openStore({ root: join(dir, "store"), runRoot: join(dir, "run") });
    expect((await pull(store, at)).id).toBe(seenBySkopeo(at).id);
  });

  test.each(["docker", "oci-archive", "dir"] as Place[])("a whole index in %s", async (place) => {
    const at = places[place](`their-index-${place}`);
    skopeoCopy(index.reference, at, "--all");
    const { root } = await copyBetween(at, `oci:${dir}/their-index:${place}`, { all: true });
    expect(root.digest).toBe(index.descriptor.digest);
    expect(await validateAt(`oci:${dir}/their-index:${place}`)).toHaveLength(2);
  });
});

test("umoci lists and unpacks our layout", async () => {
  await copyBetween(made.get("oci-gzip")!.reference, `oci:${dir}/umoci:a`);
  await copyBetween(index.reference, `oci:${dir}/umoci:b`, {
    platform: { os: "linux", architecture: "arm64" },
  });
  expect(run("umoci", "ls", "--layout", join(dir, "umoci")).trim().split("\n").sort()).toEqual(["a", "b"]);
  run("umoci", "unpack", "--rootless", "--image", `${dir}/umoci:a`, join(dir, "unpacked"));
  expect(run("ls", join(dir, "unpacked/rootfs")).trim().split("\n")).toEqual(["big", "bin", "etc"]);
});

test("podman loads our archives, and we read what it saves", async () => {
  await copyBetween(made.get("oci-gzip")!.reference, `docker-archive:${dir}/p.tar:localhost/hello:v1`);
  expect(run("podman", "load", "--quiet", "-i", join(dir, "p.tar"))).toContain("localhost/hello:v1");
  const [inspected] = JSON.parse(run("podman", "image", "inspect", "localhost/hello:v1"));
  expect(inspected.Id).toBe(made.get("oci-gzip")!.imageId);
  await copyBetween(made.get("oci-gzip")!.reference, `oci-archive:${dir}/p.oci.tar:localhost/other:v2`);
  run("podman", "load", "--quiet", "-i", join(dir, "p.oci.tar"));

  for (const format of ["docker-archive", "oci-archive"]) {
    const file = join(dir, `saved-${format}.tar`);
    run("podman", "save", "--quiet", "--format", format, "-o", file, "localhost/hello:v1");
    const [image] = await validateAt(`${format}:${file}`);
    expect(image!.image.rootfs).toEqual(made.get("oci-gzip")!.image.rootfs);
  }
  run(
    "podman",
    "save",
    "--quiet",
    "-m",
    "-o",
    join(dir, "many.tar"),
    "localhost/hello:v1",
    "localhost/other:v2",
  );
  const [first] = await validateAt(`docker-archive:${dir}/many.tar:localhost/hello:v1`);
  expect(digestHex(first!.manifest.config.digest)).toBe(made.get("oci-gzip")!.imageId);
});
