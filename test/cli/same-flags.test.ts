// Protects "same" in docs/compatibility.md for flags that no other test has with their commands: what each does is seen.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { busyboxBase } from "../support/bases.ts";
import { CommandLine } from "../support/command-line.ts";

setDefaultTimeout(120_000);
const line = new CommandLine("same-flags");

beforeAll(async () => {
  await line.ok("import", busyboxBase(), "localhost/busybox");
  for (const name of ["a/x", "a/y", "b/x"]) line.file(`tree/${name}`, name);
  line.file("context/Dockerfile", "FROM localhost/busybox\nLABEL a=b\n");
});
afterAll(async () => {
  await line.run(["rm", "--all"]);
  line[Symbol.dispose]();
});

const json = async (...argv: string[]) => JSON.parse(await line.ok(...argv));

test("copy and add: --chown, --exclude, --parents", async () => {
  const box = await line.ok("from", "localhost/busybox");
  const tree = line.path("tree");
  await line.ok("copy", "--chown", "7:8", "--exclude", "y", box, `${tree}/a`, "/copied");
  await line.ok("add", "--chown", "9", "--exclude", "x", box, `${tree}/a`, "/added");
  await line.ok("copy", "--parents", "--contextdir", tree, box, "a/y", "b/x", "/parents/");
  const shown = await line.ok(
    "run",
    box,
    "sh",
    "-c",
    "cd /; find copied added parents -type f -exec stat -c '%u %g %n' {} +",
  );
  expect(shown.split("\n").sort()).toEqual([
    "0 0 parents/a/y",
    "0 0 parents/b/x",
    "7 8 copied/x",
    "9 9 added/y",
  ]);
});

test("add --checksum is for what is downloaded, and copy takes nothing else either", async () => {
  const served = "served\n";
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(served) });
  const url = `http://127.0.0.1:${server.port}/file`;
  const digest = `sha256:${new Bun.CryptoHasher("sha256").update(served).digest("hex")}`;
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("add", "--checksum", digest, box, url, "/file");
  expect(await line.ok("run", box, "cat", "/file")).toBe("served");
  const wrong = digest.replaceAll(/[0-9]/g, "0");
  expect(await line.run(["add", "--checksum", wrong, box, url, "/wrong"])).toMatchObject({ status: 125 });
  expect(await line.run(["copy", "--checksum", digest, box, url, "/copied"])).toMatchObject({ status: 125 });
  const local = [box, line.path("tree/a/x"), "/local"];
  for (const verb of ["add", "copy"]) {
    const { status, stderr } = await line.run([verb, "--checksum", digest, ...local]);
    expect([status, stderr]).toEqual([125, expect.stringContaining("--checksum is for what is downloaded")]);
  }
});

test("build: --compress and --disable-content-trust are Docker's, and nothing; --ssh wants an agent that is there", async () => {
  const context = line.path("context");
  await line.ok("build", "-q", "--compress", "--disable-content-trust", "-t", "plain", context);
  expect(await line.ok("images", "-q", "plain")).not.toBe("");
  const file = line.file("Agent", "FROM localhost/busybox\nRUN --mount=type=ssh true\n");
  const { status, stderr } = await line.run([
    "build",
    "-q",
    "--ssh",
    "default=/nowhere",
    "-f",
    file,
    context,
  ]);
  expect([status, stderr]).toEqual([125, expect.stringContaining("/nowhere")]);
});

test("commit --omit-history", async () => {
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("commit", "-q", "--omit-history", box, "silent");
  const config = await json("inspect", "--type", "image", "--format", "{{json .OCIv1}}", "silent");
  expect(config.history ?? []).toEqual([]);
});

test("config: --comment, --domainname, --hostname, --os, --os-feature, --os-version, --shell", async () => {
  const box = await line.ok("from", "localhost/busybox");
  await line.ok("config", "--comment", "why", "--domainname", "example.org", "--hostname", "own", box);
  await line.ok("config", "--os", "windows", "--os-version", "10.0", "--os-feature", "win32k", box);
  await line.ok("config", "--shell", "/bin/ash -c", box);
  await line.ok("commit", "-q", "--format", "docker", box, "configured");
  const docker = await json("inspect", "--type", "image", "--format", "{{json .Docker}}", "configured");
  expect(docker).toMatchObject({ comment: "why", os: "windows" });
  expect(docker.config).toMatchObject({
    Domainname: "example.org",
    Hostname: "own",
    Shell: ["/bin/ash", "-c"],
  });
  const oci = await json("inspect", "--type", "image", "--format", "{{json .OCIv1}}", "configured");
  expect(oci).toMatchObject({ os: "windows", "os.version": "10.0", "os.features": ["win32k"] });
});

test("run --hostname", async () => {
  const box = await line.ok("from", "localhost/busybox");
  expect(await line.ok("run", "--hostname", "given", box, "hostname")).toBe("given");
});

test("manifest add and annotate: everything about an entry, and about the list", async () => {
  await line.ok("manifest", "create", "list");
  const about = ["--os-version", "10.0", "--os-features", "a,b"];
  await line.ok("manifest", "add", ...about, "--features", "sse4", "list", "localhost/busybox");
  const [added] = (await json("manifest", "inspect", "list")).manifests;
  expect(added.platform).toMatchObject({ "os.version": "10.0", "os.features": ["a", "b"] });
  const changed = ["--os-version", "11.0", "--os-features", "c", "--variant", "v2", "--features", "avx"];
  await line.ok("manifest", "annotate", ...changed, "--annotation", "x=y", "list", "localhost/busybox");
  const [entry] = (await json("manifest", "inspect", "list")).manifests;
  expect(entry).toMatchObject({ annotations: { x: "y" } });
  expect(entry.platform).toMatchObject({ "os.version": "11.0", "os.features": ["c"], variant: "v2" });
  await line.ok("manifest", "annotate", "--index", "--annotation", "made=here", "list");
  await line.ok("manifest", "annotate", "--subject", "localhost/busybox", "list");
  const whole = await json("manifest", "inspect", "list");
  expect(whole).toMatchObject({ annotations: { made: "here" }, subject: { digest: entry.digest } });
});

/** Media type and size of the one layer. */
function layerIn(directory: string): { mediaType: string; size: number } {
  const { layers } = JSON.parse(readFileSync(`${directory}/manifest.json`, "utf8")) as {
    layers: { mediaType: string; size: number }[];
  };
  return layers[0]!;
}

test("push: --compression-level, --force-compression; pull --platform", async () => {
  const to = async (name: string, ...flags: string[]) => {
    await line.ok("push", "-q", ...flags, "localhost/busybox", `dir:${line.path(name)}`);
    return layerIn(line.path(name));
  };
  const fast = await to("fast", "--compression-format", "gzip", "--compression-level", "1");
  const small = await to("small", "--compression-format", "gzip", "--compression-level", "9");
  expect(small.size).toBeLessThan(fast.size);
  await line.ok("pull", "-q", `dir:${line.path("small")}`);
  const format = ["--compression-format", "zstd"];
  await line.ok(
    "push",
    "-q",
    ...format,
    "--force-compression",
    "localhost/busybox",
    `dir:${line.path("forced")}`,
  );
  expect(layerIn(line.path("forced")).mediaType).toEndWith("+zstd");
  const wanted = ["pull", "-q", "--platform", "linux/s390x", `dir:${line.path("small")}`];
  expect((await line.run(wanted)).stderr).toContain("linux/s390x");
});

test("manifest push: --compression-level, --force-compression", async () => {
  const box = await line.ok("from", "scratch");
  const numbers = Array.from({ length: 20_000 }, (_, number) => `line ${number * 7}`);
  await line.ok("copy", box, line.file("numbers", numbers.join("\n")), "/numbers");
  await line.ok("commit", "-q", box, "numbers");
  await line.ok("manifest", "create", "compressed", "numbers");
  const sizes: number[] = [];
  for (const level of ["1", "9"]) {
    const layout = line.path(`level-${level}`);
    const how = ["--compression-format", "gzip", "--compression-level", level, "--force-compression"];
    await line.ok("manifest", "push", "-q", ...how, "compressed", `oci:${layout}`);
    const blobs = readdirSync(`${layout}/blobs/sha256`).map(
      (name) => statSync(`${layout}/blobs/sha256/${name}`).size,
    );
    sizes.push(Math.max(...blobs));
  }
  expect(sizes[1]).toBeLessThan(sizes[0]!);
});

test.each([
  [["--cap-add", "ZZ"], 'There is no capability "ZZ"'],
  [["--cap-add", "kill", "--cap-drop", "CAP_KILL"], "both added and dropped"],
  [["--add-host", "zz"], '"zz" is not of the form name:ip'],
])("from %j is refused, before there is a container", async (flags, message) => {
  const { status, stderr } = await line.run(["from", "--name", "refused", ...flags, "localhost/busybox"]);
  expect([status, stderr]).toEqual([125, expect.stringContaining(message)]);
  expect(await line.ok("containers", "--filter", "name=refused", "-q")).toBe("");
  const gateway = ["--name", "reached", "--add-host", "host.docker.internal:host-gateway"];
  await line.ok("from", ...gateway, "localhost/busybox");
  await line.ok("rm", "reached");
});

test("images --history: the names that an image has or had, the last given first, until it goes", async () => {
  const store = ["--root", line.path("named")];
  const history = async (...more: string[]) =>
    await line.ok(...store, "images", "--history", "-n", "--format", "{{.Name}}: {{.History}}", ...more);
  await line.ok(...store, "import", busyboxBase(), "one");
  expect(await history()).toBe("localhost/one:   <none>");
  await line.ok(...store, "tag", "one", "two:1", "two:2");
  await line.ok(...store, "untag", "one", "two:1");
  await line.ok(...store, "tag", "one", "two:2");
  expect((await history()).split("\n").map((row) => row.replace(/: +/, ": "))).toEqual([
    "localhost/one: localhost/two:2, localhost/two:1",
    "localhost/two: localhost/two:1, localhost/one:latest",
  ]);
  const [heading] = (await line.ok(...store, "images", "--history")).split("\n");
  expect(heading!.split(/ {2,}/)).toEqual(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "HISTORY"]);
  const names = ["two:2", "two:1", "one:latest"].map((name) => `localhost/${name}`);
  expect(await json(...store, "images", "--json", "--history")).toMatchObject([{ history: names }]);
  expect(await json(...store, "images", "--json")).toMatchObject([{ history: null }]);
  await line.ok(...store, "rmi", "--force", await line.ok(...store, "images", "-q"));
  await line.ok(...store, "import", busyboxBase(), "new");
  expect(await history()).toBe("localhost/new:   <none>");
  // Each build of a day may name the same image anew: what is remembered has an end.
  const many = Array.from({ length: 120 }, (_, i) => `many:${i}`);
  await line.ok(...store, "tag", "new", ...many);
  const [{ history: last }] = await json(...store, "images", "--json", "--history");
  expect(last).toEqual(
    many
      .reverse()
      .slice(0, 100)
      .map((name) => `localhost/${name}`),
  );
});
