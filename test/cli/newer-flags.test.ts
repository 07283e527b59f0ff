// Protects the flags that Buildah got after 1.28: of build, commit, copy, from, info, login, and of the program.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync, symlinkSync, truncateSync } from "node:fs";
import { busyboxBase } from "../support/bases.ts";
import { CommandLine } from "../support/command-line.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("newer-flags");
const FROM = "FROM localhost/busybox\n";

beforeAll(async () => {
  await line.ok("import", busyboxBase(), "localhost/busybox");
});
afterAll(async () => {
  await line.run(["rm", "--all"]);
  line[Symbol.dispose]();
});

interface Layout {
  manifests?: { digest: string }[];
  layers?: { mediaType: string }[];
}
interface Document {
  created: string;
  "os.version"?: string;
  "os.features"?: string[];
  config: {
    WorkingDir?: string;
    Env: string[];
    Labels?: Record<string, string>;
    Cmd?: string[];
    Volumes?: object;
    User?: string;
  };
  history: { created_by: string }[];
}
const ask = async (image: string, template: string) =>
  JSON.parse(await line.ok("inspect", "--type", "image", "--format", `{{json ${template}}}`, image));
const document = (image: string) => ask(image, ".OCIv1") as Promise<Document>;
const annotations = (image: string) => ask(image, ".ImageAnnotations") as Promise<Record<string, string>>;

let builds = 0;
/** Builds a Dockerfile, or files with one of another name; returns the image's name. */
async function build(files: string | Record<string, string>, ...flags: string[]): Promise<string> {
  const name = `build-${++builds}`;
  mkdirSync(line.path(name));
  for (const [file, text] of Object.entries(typeof files === "string" ? { Dockerfile: files } : files))
    writeFileSync(line.path(`${name}/${file}`), text);
  const given = flags.map((flag) => flag.replaceAll("{C}", line.path(name)));
  await line.ok("bud", "-q", "-t", `localhost/${name}`, "--identity-label=false", ...given, line.path(name));
  return `localhost/${name}`;
}
const labels = async (image: string) => (await document(image)).config.Labels ?? {};

describe("build", () => {
  test("--from replaces the first FROM alone, and keeps its name and its dollars", async () => {
    const other = await build(`${FROM}LABEL base=other`);
    const text = `FROM $UNSET AS one\nLABEL one=1\n${FROM}COPY --from=one /etc/passwd /passwd\n`;
    expect(await labels(await build(`${text}FROM one`, "--from", other))).toEqual({
      base: "other",
      one: "1",
    });
  });

  test("--build-arg-file: comments and empty lines are none, --build-arg is stronger", async () => {
    const files = {
      Dockerfile: `${FROM}ARG A\nARG B\nARG HOME\nLABEL a=$A b=$B home=$HOME\n`,
      args: "# A=no\n\nA=with = signs\nB=file\nHOME\n",
    };
    const flags = ["--build-arg", "B=line", "--build-arg-file", "{C}/args"];
    const home = line.path("home");
    expect(await labels(await build(files, ...flags))).toEqual({ a: "with = signs", b: "line", home });
    const missing = await line.run(["bud", "--build-arg-file", line.path("none"), line.path("home")]);
    expect(missing).toMatchObject({ status: 125 });
    expect(missing.stderr).toStartWith(`Error: Cannot read build arguments from ${line.path("none")}`);
  });

  test.skipIf(Bun.which("cpp") === null)("--cpp-flag, and its variable", async () => {
    const files = {
      "Dockerfile.in": `${FROM}#ifdef ONE\nLABEL one=ONE\n#endif\n#ifdef TWO\nLABEL two=2\n#endif\n`,
    };
    const file = ["-f", "{C}/Dockerfile.in"];
    expect(await labels(await build(files, ...file, "--cpp-flag", "-DONE=1"))).toEqual({ one: "1" });
    const variable = { BUILDAH_CPPFLAGS: "-DONE=3  -DTWO" };
    writeFileSync(line.path("Dockerfile.in"), files["Dockerfile.in"]);
    const argv = ["bud", "-q", "--identity-label=false", "-t", "cpp", "-f", line.path("Dockerfile.in")];
    expect((await line.run(argv, variable)).status).toBe(0);
    expect(await labels("cpp")).toEqual({ one: "3", two: "2" });
  });

  test("--os-version and --os-feature", async () => {
    const base = await build(FROM, "--os-version", "10.0", "--os-feature", "a", "--os-feature", "b");
    expect(await document(base)).toMatchObject({ "os.version": "10.0", "os.features": ["a", "b"] });
    const next = await build(`FROM ${base}`, "--os-feature", "a-", "--os-feature", "c");
    expect(await document(next)).toMatchObject({ "os.version": "10.0", "os.features": ["b", "c"] });
  });

  test("--inherit-labels=false: neither those of the base nor those of stages; the target's own stay", async () => {
    const base = await build(`${FROM}LABEL base=1`);
    const text = `FROM ${base} AS one\nLABEL one=1\nFROM one\nLABEL two=2\n`;
    expect(await labels(await build(text))).toEqual({ base: "1", one: "1", two: "2" });
    expect(await labels(await build(text, "--inherit-labels=false", "--label", "line=3"))).toEqual({
      two: "2",
      line: "3",
    });
  });

  test("--inherit-annotations takes over the base's, of which --unsetannotation takes away", async () => {
    const base = await build(FROM, "--annotation", "a=1", "--annotation", "b=2", "--annotation", "c=3");
    expect(await annotations(await build(`FROM ${base}`))).toEqual({});
    const flags = ["--inherit-annotations", "--unsetannotation", "b,c", "--annotation", "d=4"];
    expect(await annotations(await build(`FROM ${base}`, ...flags))).toEqual({ a: "1", d: "4" });
  });

  test("--created-annotation has the config's time", async () => {
    const image = await build(FROM, "--created-annotation");
    const key = "org.opencontainers.image.created";
    expect((await annotations(image))[key]).toBe((await document(image)).created);
    const dated = await build(FROM, "--created-annotation", "--timestamp", "5");
    expect(await annotations(dated)).toEqual({ [key]: "1970-01-01T00:00:05.000Z" });
  });

  test("--unsetlabel and --unsetenv take several at once", async () => {
    const image = await build(
      `${FROM}LABEL a=1 b=2 c=3\nENV X=1 Y=2 Z=3`,
      "--unsetlabel",
      "a,b",
      "--unsetenv=X,Y",
    );
    const { Labels, Env } = (await document(image)).config;
    expect(Labels).toEqual({ c: "3" });
    expect(Env.filter((entry) => /^[XYZ]=/.test(entry))).toEqual(["Z=3"]);
  });

  test("--group-add: by number and by the container's name", async () => {
    const text = `${FROM}RUN echo extra:x:777:nobody >> /etc/group\nRUN id -G > /groups`;
    const flags = ["--group-add", "88,99"];
    const image = await build(`${text}\nLABEL x=y`, ...flags);
    const box = await line.ok("from", "--group-add", "extra", image);
    expect((await line.ok("run", box, "cat", "/groups")).split(" ")).toEqual(
      expect.arrayContaining(["88", "99"]),
    );
    expect((await line.ok("run", box, "id", "-G")).split(" ")).toContain("777");
  });
});

test("an image with a time that was given has no identity label, unless that is asked for", async () => {
  writeFileSync(line.path("Dated"), FROM);
  const made = async (flags: string[], more: Record<string, string> = {}) => {
    const bud = ["bud", "-q", "-t", "dated", ...flags, "-f", line.path("Dated"), line.path("home")];
    expect(await line.run(bud, more)).toMatchObject({ status: 0 });
    return Object.keys(await labels("dated"));
  };
  const label = ["io.buildah.version"];
  expect(await made([])).toEqual(label);
  expect(await made(["--timestamp", "0"])).toEqual([]);
  expect(await made(["--source-date-epoch", "0"])).toEqual([]);
  expect(await made([], { SOURCE_DATE_EPOCH: "7" })).toEqual([]);
  expect(await made(["--timestamp", "0", "--identity-label"])).toEqual(label);
});

describe("commit", () => {
  test("--config is merged into the image's config; the container's stays", async () => {
    const box = await line.ok("from", "localhost/busybox");
    await line.ok(
      "config",
      "--env",
      "A=a",
      "--env",
      "B=b",
      "--label",
      "a=1",
      "--volume",
      "/a",
      "--cmd",
      "a",
      box,
    );
    const over = {
      Env: ["B=over", "C=c"],
      Labels: { b: "2" },
      Volumes: { "/b": {} },
      Cmd: ["over"],
      User: "5",
    };
    const file = line.file("over.json", JSON.stringify(over));
    await line.ok("commit", "-q", "--identity-label=false", "--config", file, box, "over");
    const { config } = await document("over");
    expect(config.Env.filter((entry) => /^[ABC]=/.test(entry))).toEqual(["A=a", "B=over", "C=c"]);
    expect(config).toMatchObject({
      Labels: { a: "1", b: "2" },
      Volumes: { "/a": {}, "/b": {} },
      Cmd: ["over"],
      User: "5",
    });
    expect(await line.ok("inspect", "--format", "{{.OCIv1.Config.User}}|{{.OCIv1.Config.Cmd}}", box)).toBe(
      "|[a]",
    );
    for (const text of ["{", '{"Env":"A=b"}']) {
      const { status, stderr } = await line.run([
        "commit",
        "--config",
        line.file("bad.json", text),
        box,
        "x",
      ]);
      expect(status).toBe(125);
      expect(stderr).toContain(line.path("bad.json"));
    }
  });

  test("--add-file: a layer of its own, root's, 0644; the container does not get it", async () => {
    const box = await line.ok("from", "localhost/busybox");
    const secret = line.file("added", "added\n");
    await line.ok("commit", "-q", "--add-file", `${secret}:/new/place`, "--add-file", secret, box, "added");
    const image = await line.ok("from", "added");
    expect(await line.ok("run", image, "stat", "-c", "%a %u %g %n", "/new", "/new/place", secret)).toBe(
      `755 0 0 /new\n644 0 0 /new/place\n644 0 0 ${secret}`,
    );
    expect(await line.ok("run", image, "cat", "/new/place")).toBe("added");
    expect((await line.run(["run", box, "ls", "/new"])).status).toBe(1);
    const { history } = await document("added");
    expect(history.slice(-2).map(({ created_by }) => created_by)).toEqual([
      "ADD /new/place",
      `ADD ${secret}`,
    ]);
    // What a link means, and a file larger than should be held in memory, with its holes.
    symlinkSync(secret, line.path("link"));
    truncateSync(line.file("large", ""), 2 ** 32);
    const more = [`${line.path("link")}:/linked`, `${line.path("large")}:/large`];
    await line.ok("commit", "-q", ...more.flatMap((file) => ["--add-file", file]), box, "more");
    const second = await line.ok("from", "more");
    expect(await line.ok("run", second, "stat", "-c", "%F %s %n", "/linked", "/large")).toBe(
      `regular file 6 /linked\nregular file ${2 ** 32} /large`,
    );
    const missing = await line.run(["commit", "--add-file", line.path("none"), box, "x"]);
    expect(missing).toMatchObject({ status: 125 });
    expect(missing.stderr).toContain(`Cannot add ${line.path("none")}`);
  });

  test("-D: what goes to a place is as it says, uncompressed by default", async () => {
    const box = await line.ok("from", "localhost/busybox");
    await line.ok("run", box, "touch", "/new");
    const media = async (name: string, ...flags: string[]) => {
      await line.ok("commit", ...flags, box, `oci:${line.path(name)}`);
      const read = (path: string) => JSON.parse(readFileSync(line.path(`${name}/${path}`), "utf8")) as Layout;
      const digest = read("index.json").manifests![0]!.digest;
      const { layers } = read(`blobs/${digest.replace(":", "/")}`);
      return layers!.map(({ mediaType }) => mediaType.replace("application/vnd.oci.image.layer.v1.", ""));
    };
    expect(await media("plain")).toEqual(["tar", "tar"]);
    expect(await media("asked", "-D")).toEqual(["tar", "tar"]);
    expect(await media("packed", "-D=false")).toEqual(["tar+gzip", "tar+gzip"]);
  });

  test("--created-annotation", async () => {
    const box = await line.ok("from", "localhost/busybox");
    await line.ok("commit", "-q", "--created-annotation", box, "timed");
    expect(Object.keys(await annotations("timed"))).toEqual(["org.opencontainers.image.created"]);
  });
});

test("copy and add --timestamp: files, directories and what was in archives", async () => {
  mkdirSync(line.path("tree/sub"), { recursive: true });
  line.file("tree/sub/file", "x");
  Bun.spawnSync(["tar", "-cf", line.path("tree.tar"), "-C", line.path("tree"), "."]);
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("copy", "--timestamp", "1234567", box, line.path("tree"), "/copied");
  await line.ok("add", "--timestamp", "1234568", box, line.path("tree.tar"), "/added");
  const times = await line.ok(
    "run",
    box,
    "stat",
    "-c",
    "%Y",
    "/copied/sub",
    "/copied/sub/file",
    "/added/sub/file",
  );
  expect(times.split("\n")).toEqual(["1234567", "1234567", "1234568"]);
});

test("from scratch: images have the working directory /, as Buildah's do and those of FROM scratch", async () => {
  await line.ok("commit", await line.ok("from", "scratch"), "localhost/empty");
  expect((await document("localhost/empty")).config.WorkingDir).toBe("/");
});

test("copy --exclude takes several patterns at once", async () => {
  for (const name of ["a", "b", "c"]) line.file(`several/${name}`, name);
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("copy", "--exclude", "a,b", box, line.path("several"), "/several");
  expect(await line.ok("run", box, "ls", "/several")).toBe("c");
});

test("run --no-hostname leaves the image's /etc/hostname", async () => {
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("copy", box, line.file("hostname", "of-the-image\n"), "/etc/hostname");
  expect(await line.ok("run", "--no-hostname", box, "cat", "/etc/hostname")).toBe("of-the-image");
});

test("info --debug tells what the program is made of", async () => {
  expect(await line.ok("info", "--format", "{{.debug}}")).toBe("<no value>");
  const debug = JSON.parse(await line.ok("info", "-d", "--format", "{{json .debug}}")) as Record<
    string,
    string
  >;
  expect(debug["bun version"]).toBe(process.versions.bun!);
});

test("rmi --force takes the containers of the image along, those of others stay", async () => {
  await line.ok(
    "bud",
    "-q",
    "-t",
    "going",
    "-f",
    line.file("Going", `${FROM}LABEL going=1\n`),
    line.path("home"),
  );
  const [going, staying] = [await line.ok("from", "going"), await line.ok("from", "localhost/busybox")];
  await line.ok("tag", "going", "going-too");
  await line.ok("rmi", "--force", "going");
  const names = async () => (await line.ok("containers", "--format", "{{.ContainerName}}")).split("\n");
  expect(await names()).toContain(going);
  await line.ok("rmi", "-f", "going-too");
  expect(await names()).not.toContain(going);
  expect(await names()).toContain(staying);
});

test("BUILDAH_RUNTIME and COOPER_RUNTIME name the runtime, and --runtime is stronger", async () => {
  const box = await line.ok("from", "localhost/busybox");
  const missing = await line.run(["run", box, "true"], { BUILDAH_RUNTIME: "/no/such/runtime" });
  expect([missing.status, missing.stderr]).toEqual([125, expect.stringContaining("/no/such/runtime")]);
  const stronger = { BUILDAH_RUNTIME: "/no/such/runtime", COOPER_RUNTIME: "crun" };
  expect(await line.run(["run", box, "true"], stronger)).toMatchObject({ status: 0 });
  expect(await line.run(["run", "--runtime=crun", box, "true"], { BUILDAH_RUNTIME: "/x" })).toMatchObject({
    status: 0,
  });
});

test("images --filter: what containers stand on, lists, digests", async () => {
  await line.ok("from", "localhost/busybox");
  await line.ok("manifest", "create", "a-list");
  const names = (...filters: string[]) =>
    line.ok("images", ...filters.flatMap((filter) => ["--filter", filter]), "--format", "{{.Name}}");
  expect(await names("containers=true", "reference=busybox")).toBe("localhost/busybox");
  expect(await names("manifest=true")).toBe("localhost/a-list");
  const digest = await line.ok("images", "--format", "{{.Digest}}", "localhost/busybox");
  expect(await names(`digest=${digest.slice(0, 20)}`)).toBe("localhost/busybox");
});

test("--cgroup-manager and --storage-opt: what is so anyway, and nothing else", async () => {
  await line.ok(
    "--cgroup-manager",
    "cgroupfs",
    "--storage-opt",
    "overlay.ignore_chown_errors=true",
    "images",
  );
  for (const flags of [["--cgroup-manager=systemd"], ["--storage-opt=overlay.mount_program=/x"]]) {
    const { status, stderr } = await line.run([...flags, "images"]);
    expect(status).toBe(125);
    expect(stderr).toContain("is not supported");
  }
});
