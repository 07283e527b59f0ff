// Protects image sync: the names that skopeo gives, in both directions and from lists, and what happens when one fails.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../support/command-line.ts";
import { makeImage, makeIndex, type MadeImage, type MadeIndex } from "../support/make-image.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("sync");
const INSECURE = ["--src-tls-verify=false", "--dest-tls-verify=false"];
let registry: TestRegistry;
let secure: TestRegistry;
let app: MadeImage;
let list: MadeIndex;

beforeAll(async () => {
  [registry, secure] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true, users: { kim: "pa:ss" } }),
  ]);
  app = await makeImage(line.path("app"), { layers: [[{ path: "a", content: "1" }]] });
  list = await makeIndex(line.path("list"), [
    { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
    { platform: { os: "linux", architecture: "s390x" }, layers: [[{ path: "a", content: "2" }]] },
  ]);
  for (const tag of ["1.2.0", "1.10", "2.0.0-rc1", "latest"]) await put(app.reference, `team/app:${tag}`);
  await put(list.reference, "lists/many:all");
  const there = `docker://${secure.host}/private/app:1`;
  await line.ok("image", "copy", "-q", "--tls-verify=false", "--creds", "kim:pa:ss", app.reference, there);
});
afterAll(() => {
  registry[Symbol.dispose]();
  secure[Symbol.dispose]();
  line[Symbol.dispose]();
});

const put = (from: string, name: string) =>
  line.ok("image", "copy", "-q", "--all", "--tls-verify=false", from, `docker://${registry.host}/${name}`);
const sync = (...args: string[]) => line.run(["image", "sync", "-q", ...INSECURE, ...args]);

async function ok(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await sync(...args);
  if (status !== 0) throw new Error(`sync ${args.join(" ")}: ${stderr}`);
  return stdout;
}

function skopeo(...args: string[]): void {
  const { status, stderr } = spawnSync("skopeo", ["--insecure-policy", "sync", ...INSECURE, ...args], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`skopeo sync ${args.join(" ")}: ${stderr}`);
}

/** Every file with its content; `version` differs in its words. */
function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .flatMap((name) => {
      if (name.endsWith("/version") || name === "version") return [];
      const isFile = /manifest\.json$|\/[0-9a-f]{64}$/.test(name);
      return [isFile ? `${name} ${Bun.hash(readFileSync(join(directory, name)))}` : name];
    });
}

const tagsOf = async (name: string) => {
  const place = `docker://${registry.host}/${name}`;
  return JSON.parse(await line.ok("image", "list-tags", "--tls-verify=false", place)).Tags.sort();
};

describe("the same directories as skopeo's", () => {
  const cases: [string, string[], () => string][] = [
    ["all tags", ["--src", "docker"], () => `${registry.host}/team/app`],
    ["one tag", ["--src", "docker"], () => `${registry.host}/team/app:1.10`],
    ["a digest", ["--src", "docker"], () => `${registry.host}/team/app@${app.descriptor.digest}`],
    ["whole names", ["--src", "docker", "--scoped"], () => `${registry.host}/team/app`],
    ["lists", ["--src", "docker", "--all"], () => `${registry.host}/lists/many`],
    ["a file", ["--src", "yaml", "--scoped"], () => yaml()],
  ];
  const yaml = () =>
    line.file(
      "images.yaml",
      `${registry.host}:
  tls-verify: false
  images:
    team/app:
      - 1.10            # text, not 1.1
      - "latest"
      - "${app.descriptor.digest}"
    lists/many: []
  images-by-tag-regex:
    team/app: ^2\\.
${secure.host}:
  tls-verify: false
  credentials: {username: kim, password: "pa:ss"}
  images: {private/app: ["1"]}
`,
    );

  test.each(cases)("%s", async (name, flags, source) => {
    const [ours, theirs] = [line.path(`ours ${name}`), line.path(`theirs ${name}`)];
    const printed = await ok(...flags, "--dest", "dir", source(), ours);
    skopeo(...flags, "--dest", "dir", source(), theirs);
    expect(tree(ours)).toEqual(tree(theirs));
    expect(tree(ours).length).toBeGreaterThan(3);
    expect(printed).toMatch(/^sha256:[0-9a-f]{64} dir:/);
    // Each reads what the other one wrote.
    skopeo(
      "--src",
      "dir",
      "--dest",
      "docker",
      ...flags.filter((f) => f === "--all"),
      join(ours, firstImage(ours)),
      `${registry.host}/back/skopeo-${slug(name)}`,
    );
    await ok(
      "--src",
      "dir",
      "--dest",
      "docker",
      "--all",
      join(theirs, firstImage(theirs)),
      `${registry.host}/back/cooper-${slug(name)}`,
    );
  });

  const slug = (name: string) => name.replaceAll(" ", "-");
  /** The path of the first image below, whose name is no digest. */
  const firstImage = (directory: string) =>
    readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("/manifest.json"))
      .map((name) => name.replace("/manifest.json", ""))
      .sort()[0]!;
});

describe("into registries", () => {
  test("from directories, from a registry, with whole names and with a suffix", async () => {
    const usb = line.path("usb");
    await ok("--src", "docker", "--dest", "dir", `${registry.host}/team/app`, usb);
    await ok("--src", "dir", "--dest", "docker", usb, `${registry.host}/mirror`);
    expect(await tagsOf("mirror/app")).toEqual(["1.10", "1.2.0", "2.0.0-rc1", "latest"]);
    const digestfile = line.path("digests");
    await ok(
      "--src",
      "docker",
      "--dest",
      "docker",
      "--append-suffix",
      "-old",
      "--digestfile",
      digestfile,
      `${registry.host}/team/app:latest`,
      `${registry.host}/mirror`,
    );
    expect(readFileSync(digestfile, "utf8")).toBe(
      `${app.descriptor.digest} docker://${registry.host}/mirror/app:latest-old\n`,
    );
    expect(await tagsOf("mirror/app")).toContain("latest-old");
    await ok("--src", "dir", "--dest", "docker", "--scoped", join(usb, "app:latest"), `${registry.host}/one`);
    expect(await tagsOf("one/app")).toEqual(["latest"]);
  });

  test("versions in a range", async () => {
    const file = line.file(
      "range.yaml",
      `${registry.host}:\n  images-by-semver:\n    team/app: ">= 1.3, < 2.0.0"\n`,
    );
    await ok("--src", "yaml", "--dest", "docker", file, `${registry.host}/ranged`);
    expect(await tagsOf("ranged/app")).toEqual(["1.10"]);
  });

  test("--dry-run copies nothing", async () => {
    const printed = await ok(
      "--src",
      "docker",
      "--dest",
      "dir",
      "--dry-run",
      `${registry.host}/team/app:latest`,
      line.path("dry"),
    );
    expect(printed).toBe(`docker://${registry.host}/team/app:latest dir:${line.path("dry")}/app:latest`);
    expect(existsSync(line.path("dry"))).toBe(false);
  });

  test("again: what is there gets the new image", async () => {
    const to = line.path("again");
    await put(app.reference, "moving/x:1");
    await ok("--src", "docker", "--dest", "dir", `${registry.host}/moving/x`, to);
    await put(list.reference, "moving/x:1");
    const printed = await ok("--src", "docker", "--dest", "dir", "--all", `${registry.host}/moving/x`, to);
    expect(printed).toBe(`${list.descriptor.digest} dir:${to}/x:1`);
  });
});

describe("failures", () => {
  const broken = () =>
    line.file(
      "broken.yaml",
      `${registry.host}:\n  images:\n    no/such: ["1"]\n    nothing/there: []\n    team/app: ["latest"]\n`,
    );

  test("the first one ends it, or --keep-going does the rest and fails at the end", async () => {
    const stopped = await sync("--src", "yaml", "--dest", "dir", broken(), line.path("stopped"));
    expect([stopped.status, stopped.stdout]).toEqual([125, ""]);
    expect(existsSync(line.path("stopped"))).toBe(false);
    const to = line.path("went-on");
    const { status, stdout, stderr } = await sync(
      "--src",
      "yaml",
      "--dest",
      "dir",
      "--keep-going",
      broken(),
      to,
    );
    expect([status, stdout]).toEqual([125, `${app.descriptor.digest} dir:${to}/app:latest`]);
    expect(stderr).toContain("Cannot list the tags of");
    expect(stderr).toContain("Cannot read manifest 1 of");
    expect(stderr).toEndWith("Error: 2 of 3 could not be synced");
    expect(readdirSync(to)).toEqual(["app:latest"]);
    const told = await sync(
      ...["--src", "yaml", "--dest", "dir", "--keep-going", "--json"],
      ...[broken(), line.path("told")],
    );
    expect(told.status).toBe(125);
    expect(JSON.parse(told.stdout)).toEqual([
      { source: expect.any(String), error: expect.objectContaining({ message: expect.any(String) }) },
      expect.objectContaining({ error: expect.objectContaining({ code: expect.any(String) }) }),
      {
        source: expect.stringContaining("team/app:latest"),
        destination: `dir:${line.path("told")}/app:latest`,
        digest: app.descriptor.digest,
      },
    ]);
  });

  test("a digest that would change", async () => {
    const args = ["--src", "docker", "--dest", "dir", "--preserve-digests"];
    const from = `${registry.host}/team/app:latest`;
    await ok(...args, from, line.path("kept"));
    const { status, stderr } = await sync(...args, "--format", "docker", from, line.path("changed"));
    expect([status, stderr]).toEqual([125, expect.stringContaining("leave --preserve-digests away")]);
    expect(existsSync(line.path("changed/app:latest/manifest.json"))).toBe(false);
  });

  test.each<[string, string[], string]>([
    ["no --src", ["--dest", "dir", "a", "b"], "--src is missing"],
    ["an unknown --dest", ["--src", "dir", "--dest", "oci", "a", "b"], '--dest cannot be "oci"'],
    [
      "directories to directories",
      ["--src", "dir", "--dest", "dir", "a", "b"],
      "not synced from directories to directories",
    ],
    [
      "a directory that is not there",
      ["--src", "dir", "--dest", "docker", "/nowhere", "b"],
      "/nowhere: it is not a directory",
    ],
    [
      "a file that is not there",
      ["--src", "yaml", "--dest", "dir", "/nowhere", "b"],
      "Cannot read the list of images /nowhere",
    ],
  ])("%s", async (_name, args, message) => {
    const { status, stderr } = await sync(...args);
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  });

  test("two that would become one", async () => {
    const file = line.file("same.yaml", `${registry.host}:\n  images: {a/x: ["1"], b/x: ["1"]}\n`);
    const { stderr } = await sync("--src", "yaml", "--dest", "dir", file, line.path("same"));
    expect(stderr).toContain(`/a/x:1 and docker://${registry.host}/b/x:1 would both become dir:`);
    expect(stderr).toContain("--scoped");
  });

  test.each([
    ["not YAML", "a: [1\nb", "is not valid YAML"],
    ["a key twice", "r:\n  images: {}\n  images: {}\n", "is not valid YAML"],
    ["an unknown key", "r:\n  imagez: {}\n", 'is malformed, "r.imagez"'],
    ["a flag that is none", "r:\n  tls-verify: perhaps\n", '"r.tls-verify"'],
    ["a malformed expression", "r:\n  images-by-tag-regex: {x: '['}\n", "malformed expression for r/x"],
    ["a malformed range", "r:\n  images-by-semver: {x: newest}\n", "malformed range of versions for r/x"],
    ["nothing", "r:\n  images:\n", "There is no image to sync in"],
  ])("a list that is %s", async (_name, text, message) => {
    const { status, stderr } = await sync(
      "--src",
      "yaml",
      "--dest",
      "dir",
      line.file("bad.yaml", text),
      line.path("bad"),
    );
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  });
});
