// Protects what is particular to each place: several images in one, names, links, pipes, what it refuses to overwrite.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestHex } from "../../src/base/digest.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import { listDockerArchive } from "../../src/transport/docker-archive.ts";
import { copyImage } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import { type MadeImage, makeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, failureOf, validateAt } from "./suite.ts";

setDefaultTimeout(30_000);

const simple = (content: string) => ({ layers: [[{ path: "f", content }]] });
const resolved = async (location: string) => {
  await using source = await openSource(parseTransport(location));
  return await source.resolve();
};

function tar(file: string, directory: string, ...args: string[]): void {
  const { status, stderr } = spawnSync("tar", ["-cf", file, ...args, "-C", directory, "."], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

describe("oci", () => {
  test("several images in one layout; which one is meant", async () => {
    using scratch = scratchDirectory("places");
    const a = await makeImage(scratch.file("l"), { ...simple("a"), name: "a" });
    const b = await makeImage(scratch.file("l"), { ...simple("b"), name: "b" });
    const at = `oci:${scratch.path}/l`;
    expect((await resolved(`${at}:b`)).digest).toBe(b.descriptor.digest);
    expect((await resolved(`${at}:@0`)).digest).toBe(a.descriptor.digest);
    expect((await resolved(`${at}:b`)).annotations).toEqual({ "org.opencontainers.image.ref.name": "b" });
    expect((await failureOf(resolved(at), "usage")).hint).toBe("append one of :a, :b");
    expect((await failureOf(resolved(`${at}:c`), "not-found")).message).toContain("it holds a, b");
    await failureOf(resolved(`${at}:@2`), "not-found");
    const c = await makeImage(scratch.file("from"), simple("c"));
    await copyBetween(c.reference, at);
    expect((await resolved(at)).digest).toBe(c.descriptor.digest);
    expect((await resolved(`${at}:a`)).digest).toBe(a.descriptor.digest);
  });

  test("many writers at once, in several processes, lose nothing", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), simple("a"));
    const at = `oci:${scratch.path}/to`;
    const names = (writer: number) => Array.from({ length: 25 }, (_, i) => `w${writer}-${i}`);
    const here = Promise.all(names(0).map((name) => copyBetween(made.reference, `${at}:${name}`)));
    const elsewhere = [1, 2, 3].map((writer) =>
      copyInOtherProcess(
        made.reference,
        names(writer).map((name) => `${at}:${name}`),
      ),
    );
    await Promise.all([here, ...elsewhere]);
    const index = JSON.parse(readFileSync(scratch.file("to/index.json"), "utf8"));
    const found = index.manifests.map((m: { annotations: object }) => Object.values(m.annotations)[0]);
    expect(found.sort()).toEqual([0, 1, 2, 3].flatMap(names).sort());
    expect(readdirSync(scratch.file("to")).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    expect(await validateAt(`${at}:w3-24`)).toHaveLength(1);
  });

  test("a directory that holds something else is left alone", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), simple("a"));
    mkdirSync(scratch.file("mine"));
    writeFileSync(scratch.file("mine/version"), "of my thesis");
    await failureOf(copyBetween(made.reference, `oci:${scratch.path}/mine`), "exists");
    await failureOf(copyBetween(made.reference, `dir:${scratch.path}/mine`), "exists");
    await failureOf(copyBetween(made.reference, `oci-archive:${scratch.path}/mine`), "exists");
    expect(readdirSync(scratch.file("mine"))).toEqual(["version"]);
    expect(readFileSync(scratch.file("mine/version"), "utf8")).toBe("of my thesis");
    await failureOf(resolved(`oci:${scratch.path}/mine`), "invalid");
  });

  test("a blob that a crash left short is written again", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    const to = `oci:${scratch.path}/to:x`;
    await copyBetween(made.reference, to);
    writeFileSync(scratch.file(`to/blobs/sha256/${digestHex(made.layers[0]!.descriptor.digest)}`), "short");
    await failureOf(validateAt(to), "integrity");
    await copyBetween(made.reference, to);
    expect(await validateAt(to)).toHaveLength(1);
  });

  test("a manifest is not written without what it needs", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    const bytes = readFileSync(scratch.file(`from/blobs/sha256/${digestHex(made.descriptor.digest)}`));
    for (const to of [
      `oci:${scratch.path}/o`,
      `oci-archive:${scratch.path}/o.tar`,
      `dir:${scratch.path}/d`,
      `docker-archive:${scratch.path}/d.tar`,
    ]) {
      await using target = await openTarget(parseTransport(to));
      await failureOf(target.pushManifest(made.descriptor, bytes), "not-found");
      await failureOf(target.pushManifest(made.descriptor, bytes.subarray(1)), "integrity");
      await failureOf(target.tag(made.descriptor), "not-found");
    }
  });
});

async function copyInOtherProcess(
  from: string,
  to: string | string[],
  stdout: "ignore" | number = "ignore",
): Promise<void> {
  const module = (path: string) => JSON.stringify(join(import.meta.dir, "../../src", path));
  const code = `
    const { copyImage } = await import(${module("transport/copy-image.ts")});
    const { openSource, openTarget } = await import(${module("transport/open-transport.ts")});
    const { parseTransport } = await import(${module("oci/transport-reference.ts")});
    for (const to of ${JSON.stringify([to].flat())}) {
      await using source = await openSource(parseTransport(${JSON.stringify(from)}));
      await using target = await openTarget(parseTransport(to));
      await copyImage(source, target);
    }`;
  const child = Bun.spawn([process.execPath, "-e", code], { stdout, stderr: "pipe" });
  const errors = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(errors);
}

describe("docker-archive", () => {
  /** An archive as old `docker save` writes it: a directory for each layer, doubles as symbolic links. */
  async function makeLegacy(directory: string, images: MadeImage[]): Promise<string> {
    mkdirSync(directory);
    const seen = new Map<string, string>();
    const list = images.map((image, n) => {
      writeFileSync(join(directory, `${image.imageId}.json`), JSON.stringify(image.image));
      const layers = image.layers.map(({ diffId, tar: bytes }, i) => {
        const id = `${n}${i}`.padStart(64, "0");
        mkdirSync(join(directory, id));
        const known = seen.get(diffId);
        if (known === undefined) writeFileSync(join(directory, id, "layer.tar"), bytes);
        else symlinkSync(`../${known}/layer.tar`, join(directory, id, "layer.tar"));
        seen.set(diffId, known ?? id);
        return `${id}/layer.tar`;
      });
      return { Config: `${image.imageId}.json`, RepoTags: [`image${n}:latest`], Layers: layers };
    });
    writeFileSync(join(directory, "manifest.json"), JSON.stringify(list));
    tar(`${directory}.tar`, directory);
    return `${directory}.tar`;
  }

  test("several images, with layers that are links", async () => {
    using scratch = scratchDirectory("places");
    const a = await makeImage(scratch.file("from"), contents);
    const b = await makeImage(scratch.file("from"), {
      layers: [contents.layers[0]!, [{ path: "more", content: "x" }]],
    });
    const file = await makeLegacy(scratch.file("legacy"), [a, b]);
    expect(await listDockerArchive(file)).toEqual([["image0:latest"], ["image1:latest"]]);
    const [first] = await validateAt(`docker-archive:${file}:image0`);
    expect(first!.image).toEqual(a.image);
    const [second] = await validateAt(`docker-archive:${file}:@1`);
    expect(second!.image).toEqual(b.image);
    expect((await failureOf(validateAt(`docker-archive:${file}`), "usage")).hint).toContain(
      ":image0:latest, :image1:latest",
    );
    await failureOf(validateAt(`docker-archive:${file}:image2`), "not-found");
    await failureOf(validateAt(`docker-archive:${file}:@2`), "not-found");
    expect((await resolved(`docker-archive:${file}:image1`)).annotations).toEqual({
      "org.opencontainers.image.ref.name": "image1:latest",
    });
  });

  test.each(["gzip", "zstd"] as const)(
    "layers that are compressed with %s, by name or by content",
    async (compression) => {
      using scratch = scratchDirectory("places");
      const made = await makeImage(scratch.file("from"), { ...contents, compression });
      const directory = scratch.file("d");
      mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
      const [first, second] = made.layers.map((layer) => digestHex(layer.descriptor.digest));
      const blob = (hex: string | undefined) => readFileSync(scratch.file(`from/blobs/sha256/${hex}`));
      writeFileSync(join(directory, `blobs/sha256/${first}`), blob(first));
      writeFileSync(join(directory, "second.tar.x"), blob(second));
      writeFileSync(join(directory, "config"), JSON.stringify(made.image));
      writeFileSync(
        join(directory, "manifest.json"),
        JSON.stringify([
          { Config: "config", RepoTags: null, Layers: [`blobs/sha256/${first}`, "second.tar.x"] },
        ]),
      );
      tar(scratch.file("d.tar"), directory);
      const [image] = await validateAt(`docker-archive:${scratch.file("d.tar")}`);
      expect(image!.manifest.layers.map((layer) => digestHex(layer.digest))).toEqual([first!, second!]);
    },
  );

  test("one name or several", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    await copyBetween(made.reference, `docker-archive:${scratch.file("d.tar")}`);
    expect(await listDockerArchive(scratch.file("d.tar"))).toEqual([[]]);
    await copyBetween(made.reference, `docker-archive:${scratch.file("d.tar")}:a/b`);
    expect(await listDockerArchive(scratch.file("d.tar"))).toEqual([["docker.io/a/b:latest"]]);
  });
});

describe("archives", () => {
  test("an archive of the other kind is recognised", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    await copyBetween(made.reference, `docker-archive:${scratch.file("d.tar")}:x`);
    await copyBetween(made.reference, `oci-archive:${scratch.file("o.tar")}:x`);
    expect((await failureOf(resolved(`oci-archive:${scratch.file("d.tar")}`), "invalid")).hint).toContain(
      "docker-archive:",
    );
    expect((await failureOf(resolved(`docker-archive:${scratch.file("o.tar")}`), "invalid")).hint).toContain(
      "oci-archive:",
    );
  });

  test.each(["--format=gnu", "--format=posix", "--format=ustar"])("made by GNU tar %s", async (format) => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    mkdirSync(scratch.file(`from/${"long-".repeat(19)}`));
    writeFileSync(scratch.file(`from/${"long-".repeat(19)}/${"n".repeat(99)}`), "x");
    tar(scratch.file("o.tar"), scratch.file("from"), format);
    const [image] = await validateAt(`oci-archive:${scratch.file("o.tar")}`);
    expect(image!.descriptor.digest).toBe(made.descriptor.digest);
  });

  test("a layout with a name longer than tar's field, in either extension", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(90)}`;
    const config = join(scratch.file("d"), long);
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, "config.json"), JSON.stringify(made.image));
    for (const [i, layer] of made.layers.entries())
      writeFileSync(join(scratch.file("d"), `${i}.tar`), layer.tar);
    writeFileSync(
      join(scratch.file("d"), "manifest.json"),
      JSON.stringify([{ Config: `${long}/config.json`, RepoTags: [], Layers: ["0.tar", "1.tar"] }]),
    );
    for (const format of ["gnu", "posix"]) {
      tar(scratch.file("d.tar"), scratch.file("d"), `--format=${format}`);
      expect((await validateAt(`docker-archive:${scratch.file("d.tar")}`))[0]!.image).toEqual(made.image);
    }
  });

  test.each(["gzip", "zstd"])("compressed whole with %s", async (program) => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    await copyBetween(made.reference, `oci-archive:${scratch.file("o.tar")}:x`);
    const bytes = await Bun.file(scratch.file("o.tar")).bytes();
    writeFileSync(
      scratch.file("o.tar"),
      program === "gzip" ? Bun.gzipSync(bytes) : Bun.zstdCompressSync(bytes),
    );
    const [image] = await validateAt(`oci-archive:${scratch.file("o.tar")}:x`);
    expect(image!.descriptor.digest).toBe(made.descriptor.digest);
  });

  test("a link stays a link, and what it leads to is replaced", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    writeFileSync(scratch.file("real.tar"), "old");
    symlinkSync("real.tar", scratch.file("link.tar"));
    await copyBetween(made.reference, `oci-archive:${scratch.file("link.tar")}:x`);
    expect(readlinkSync(scratch.file("link.tar"))).toBe("real.tar");
    expect(await validateAt(`oci-archive:${scratch.file("real.tar")}:x`)).toHaveLength(1);
  });

  test("to /dev/stdout that is a file", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    const before = readlinkSync("/dev/stdout");
    const out = openSync(scratch.file("out.tar"), "w");
    await copyInOtherProcess(made.reference, "oci-archive:/dev/stdout:x", out);
    closeSync(out);
    expect(readlinkSync("/dev/stdout")).toBe(before);
    expect(await validateAt(`oci-archive:${scratch.file("out.tar")}:x`)).toHaveLength(1);
  });

  test("from a pipe and to a pipe", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    await copyBetween(made.reference, `oci-archive:${scratch.file("o.tar")}:x`);
    spawnSync("mkfifo", [scratch.file("pipe")]);
    const feeding = Bun.spawn([
      "sh",
      "-c",
      'exec cat "$0" > "$1"',
      scratch.file("o.tar"),
      scratch.file("pipe"),
    ]);
    const [image] = await validateAt(`oci-archive:${scratch.file("pipe")}:x`);
    expect(image!.descriptor.digest).toBe(made.descriptor.digest);
    await feeding.exited;
    const draining = Bun.spawn([
      "sh",
      "-c",
      'exec cat "$0" > "$1"',
      scratch.file("pipe"),
      scratch.file("o2.tar"),
    ]);
    await copyBetween(made.reference, `docker-archive:${scratch.file("pipe")}:x`);
    await draining.exited;
    expect((await validateAt(`docker-archive:${scratch.file("o2.tar")}`))[0]!.image).toEqual(made.image);
  });
});

test.each(["oci-archive", "docker-archive"])(
  "%s: a blob that breaks off leaves no trace among the others",
  async (transport) => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    const to = `${transport}:${scratch.file("a.tar")}:x`;
    await using source = await openSource(parseTransport(made.reference));
    await using target = await openTarget(parseTransport(to));
    const broken = async function* () {
      yield Buffer.alloc(5 << 20, "junk");
      throw new Error("broken off");
    };
    await expect(target.push(broken())).rejects.toThrow("broken off");
    await target.push((async function* () {})());
    await expect(target.push(broken())).rejects.toThrow("broken off");
    await copyImage(source, target);
    expect(await validateAt(to)).toHaveLength(1);
    expect(readFileSync(scratch.file("a.tar")).includes("junkjunk")).toBe(false);
    const { status } = spawnSync("tar", ["-tf", scratch.file("a.tar")]);
    expect(status).toBe(0);
  },
);

describe("dir", () => {
  test("has the files that containers/image expects", async () => {
    using scratch = scratchDirectory("places");
    const made = await makeImage(scratch.file("from"), contents);
    await copyBetween(made.reference, `dir:${scratch.file("d")}`);
    const blobs = [made.manifest.config, ...made.manifest.layers].map((blob) => digestHex(blob.digest));
    expect(readdirSync(scratch.file("d")).sort()).toEqual([...blobs, "manifest.json", "version"].sort());
    expect(readFileSync(scratch.file("d/version"), "utf8")).toBe("Directory Transport Version: 1.1\n");
    const other = await makeImage(scratch.file("from"), simple("b"));
    await copyBetween(other.reference, `dir:${scratch.file("d")}`);
    expect(readdirSync(scratch.file("d"))).toHaveLength(4);
    rmSync(scratch.file("d/version"));
    expect(await validateAt(`dir:${scratch.file("d")}`)).toHaveLength(1);
    renameSync(scratch.file("d/manifest.json"), scratch.file("d/other"));
    await failureOf(validateAt(`dir:${scratch.file("d")}`), "not-found");
  });
});

test("a location that cannot be opened says why", async () => {
  await failureOf(openTarget(parseTransport("hello")), "usage");
  await failureOf(openSource(parseTransport("hello")), "usage");
  await failureOf(openTarget(parseTransport("oci:/x:@1")), "usage");
});
