// Protects the commands about repositories: list-tags, delete, pull --all-tags, and names that may mean several registries.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { CommandLine } from "../support/command-line.ts";
import { makeImage, type MadeImage } from "../support/make-image.ts";
import { MemoryRegistry } from "../transport/memory-registry.ts";
import { startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("registry-commands");
let first: TestRegistry;
let second: TestRegistry;
let made: MadeImage;
let other: MadeImage;

beforeAll(async () => {
  [first, second] = await Promise.all([startRegistry(), startRegistry({ keeps: true })]);
  // Quick to give up, and without TLS; both are searched for names without a registry.
  line.file(
    "registries.conf",
    `unqualified-search-registries = ["${first.host}", "${second.host}"]\n${[first.host, second.host]
      .map((host) => `[[registry]]\nlocation = "${host}"\ninsecure = true\n`)
      .join("")}`,
  );
  made = await makeImage(line.path("one"), { layers: [[{ path: "a", content: "1" }]] });
  other = await makeImage(line.path("two"), { layers: [[{ path: "a", content: "2" }]] });
  for (const tag of ["1", "1.0", "old"])
    await line.ok("image", "copy", "-q", made.reference, `docker://${first.host}/team/app:${tag}`);
  await line.ok("image", "copy", "-q", other.reference, `docker://${first.host}/team/app:other`);
  await line.ok("image", "copy", "-q", other.reference, `docker://${second.host}/only/second:1`);
});
afterAll(() => {
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  line[Symbol.dispose]();
});

function skopeo(...args: string[]) {
  const [command = "", ...rest] = args;
  const argv = ["--insecure-policy", command, "--tls-verify=false", ...rest];
  const { status, stdout, stderr } = spawnSync("skopeo", argv, { encoding: "utf8" });
  if (status !== 0) throw new Error(`skopeo ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

describe("list-tags", () => {
  test("says what skopeo says", async () => {
    const place = `docker://${first.host}/team/app`;
    const ours = await line.ok("image", "list-tags", place);
    expect(JSON.parse(ours).Repository).toBe(`${first.host}/team/app`);
    expect(JSON.parse(ours).Tags.sort()).toEqual(["1", "1.0", "old", "other"]);
    expect(Object.keys(JSON.parse(ours))).toEqual(Object.keys(JSON.parse(skopeo("list-tags", place))));
    expect(ours.split("\n")[1]).toBe(`    "Repository": "${first.host}/team/app",`);
  });

  test("of an archive, named and not", async () => {
    const archive = line.path("images.tar");
    await line.ok("pull", "-q", `docker://${first.host}/team/app:1`);
    await line.ok("save", "-q", "-o", archive, `${first.host}/team/app:1`);
    const place = `docker-archive:${archive}`;
    expect(JSON.parse(await line.ok("image", "list-tags", place))).toEqual({
      Tags: [`${first.host}/team/app:1`],
    });
    const { stdout } = spawnSync("skopeo", ["list-tags", place], { encoding: "utf8" });
    expect(await line.ok("image", "list-tags", place)).toBe(stdout.trim());
  });

  test("page by page", async () => {
    using registry = new MemoryRegistry({ page: 2 });
    const place = `docker://${registry.host}/many`;
    for (const tag of ["a", "b", "c", "d", "e"])
      await line.ok("image", "copy", "-q", "--tls-verify=false", made.reference, `${place}:${tag}`);
    const listed = JSON.parse(await line.ok("image", "list-tags", "--tls-verify=false", place));
    expect(listed.Tags).toEqual(["a", "b", "c", "d", "e"]);
    expect(registry.count(/GET .*tags\/list/)).toBe(3);
  });

  test.each([
    ["docker://reg/x:1", 'reg/x:1" is an image, where a repository is wanted'],
    ["team/app", "neither a repository nor an archive"],
    ["oci:/x", "neither a repository nor an archive"],
  ])("not of %s", async (place, message) => {
    const { status, stderr } = await line.run(["image", "list-tags", place]);
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
    expect(stderr).toContain("Hint: ");
  });
});

describe("delete", () => {
  test("a tag and what stands for the same; other tags stay", async () => {
    const place = `docker://${first.host}/delete/me`;
    for (const tag of ["1", "2"]) await line.ok("image", "copy", "-q", made.reference, `${place}:${tag}`);
    await line.ok("image", "copy", "-q", other.reference, `${place}:3`);
    expect(await line.ok("image", "delete", `${place}:1`)).toBe(made.descriptor.digest);
    for (const tag of ["1", "2"]) expect((await line.run(["digest", `${place}:${tag}`])).status).toBe(125);
    expect(await line.ok("digest", `${place}:3`)).toBe(other.descriptor.digest);
    expect(await line.ok("image", "delete", `${place}@${other.descriptor.digest}`)).toBe(
      other.descriptor.digest,
    );
    expect((await line.run(["image", "delete", `${place}:3`])).stderr).toContain("404 (MANIFEST_UNKNOWN");
  });

  test("a registry that has it turned off says so, and how to turn it on", async () => {
    const place = `docker://${second.host}/only/second:1`;
    const { status, stderr } = await line.run(["image", "delete", place]);
    expect([status, stderr.replaceAll(second.host, "HOST")]).toEqual([
      125,
      `Error: Cannot delete 1 (${other.descriptor.digest}) of docker://HOST/only/second: the registry answered 405 (UNSUPPORTED: The operation is unsupported.)
Hint: deleting is turned off on HOST; who runs it turns it on, docker-registry with REGISTRY_STORAGE_DELETE_ENABLED=true`,
    ]);
    expect(await line.ok("digest", place)).toBe(other.descriptor.digest);
  });

  test.each([
    ["hello", "cooper rmi removes images of the store"],
    ["oci:/x:1", "delete the file or directory itself"],
    ["dir:/x", "delete the file or directory itself"],
  ])("not of %s", async (place, hint) => {
    const { status, stderr } = await line.run(["image", "delete", place]);
    expect([status, stderr]).toEqual([125, expect.stringContaining(hint)]);
  });
});

describe("pull --all-tags", () => {
  test.each(["", "docker://"])("every tag of %sREGISTRY/REPOSITORY, each id once", async (prefix) => {
    const store = ["--root", line.path(`all${prefix.length}`)];
    const ids = await line.ok(...store, "pull", "-q", "--all-tags", `${prefix}${first.host}/team/app`);
    expect(ids.split("\n").sort()).toEqual([made.imageId, other.imageId].sort());
    const names = await line.ok(...store, "images", "--format", "{{.Tag}} {{.ID}}", "--no-trunc");
    expect(
      names
        .split("\n")
        .map((name) => name.split(" ")[0])
        .sort(),
    ).toEqual(["1", "1.0", "old", "other"]);
  });

  test("a name without a registry: of the first that has it", async () => {
    expect(await line.ok("--root", line.path("short"), "pull", "-q", "-a", "only/second")).toBe(
      other.imageId,
    );
  });

  test.each([
    [["team/app:1"], "is an image, where a repository is wanted"],
    [["oci:/x"], "only registries have tags"],
    [["localhost/app"], "names below localhost/ are those of the store only"],
  ])("%j is refused", async (args, message) => {
    const { status, stderr } = await line.run(["pull", "--all-tags", ...args]);
    expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  });
});

describe("names that two registries are searched for", () => {
  const layout = () => `oci:${line.path(`searched-${Math.random()}`)}:x`;
  const commands: [string, (name: string) => string[]][] = [
    ["image copy", (name) => ["image", "copy", "-q", name, layout()]],
    ["image inspect", (name) => ["image", "inspect", name]],
    ["digest", (name) => ["digest", name]],
    ["manifest add", (name) => ["manifest", "add", "list", name]],
    ["pull", (name) => ["pull", "-q", name]],
    ["pull --all-tags", (name) => ["pull", "-q", "-a", name.replace(/:.*/, "")]],
    ["from", (name) => ["from", "-q", name]],
  ];
  test.each(commands)("%s: found in the second one, or told what each said", async (_name, argv) => {
    await line.run(["manifest", "create", "list"]);
    await line.ok(...argv("only/second:1"));
    const { status, stderr } = await line.run(argv("no/where:1"));
    expect(status).toBe(125);
    for (const { host } of [first, second])
      expect(stderr).toMatch(
        new RegExp(`${host}/no/where(:[^:]*)?: Cannot .* docker://${host}/no/where: .* 404`),
      );
    expect(stderr).toContain("Hint: write the name with its registry");
  });

  test("one that refuses does not end the search, and is told of", async () => {
    const conf = line.path("dead.conf");
    writeFileSync(
      conf,
      `unqualified-search-registries = ["127.0.0.1:1", "${second.host}"]\n[[registry]]\nlocation = "127.0.0.1:1"\ninsecure = true\n[[registry]]\nlocation = "${second.host}"\ninsecure = true\n`,
    );
    const env = { CONTAINERS_REGISTRIES_CONF: conf };
    expect((await line.run(["digest", "only/second:1"], env)).stdout).toBe(other.descriptor.digest);
    const { stderr } = await line.run(["digest", "no/where"], env);
    expect(stderr).toContain(
      "127.0.0.1:1/no/where:latest: Cannot read manifest latest of docker://127.0.0.1:1/no/where: the connection was refused",
    );
  });
});
