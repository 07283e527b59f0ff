// Protects the way from registry flags and files to a real registry, for every command that speaks to one.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { scratchDirectory } from "../support/scratch.ts";
import { FaultProxy, startRegistry, type TestRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(120_000);
const scratch = scratchDirectory("registry-flags-test");
const program = [process.execPath, resolve(import.meta.dir, "../../src/cli/main.ts")];
const CREDS = "kim:s3cret:with:colons";
let plain: TestRegistry;
let secure: TestRegistry;
let flags: string[];

beforeAll(async () => {
  [plain, secure] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true, users: { kim: "s3cret:with:colons" } }),
  ]);
  for (const name of ["certs", "home", "context", "empty.d"]) mkdirSync(scratch.file(name));
  writeFileSync(scratch.file("certs/ca.crt"), await Bun.file(secure.ca).text());
  const auth = Buffer.from(CREDS).toString("base64");
  writeFileSync(scratch.file("auth.json"), JSON.stringify({ auths: { [secure.host]: { auth } } }));
  writeFileSync(scratch.file("context/file"), "content\n");
  writeFileSync(scratch.file("context/Dockerfile"), "FROM scratch\nCOPY file /file\n");
  flags = ["--cert-dir", scratch.file("certs")];
  ok("bud", "-q", "-t", "localhost/hello", scratch.file("context"));
  ok("push", ...flags, "--creds", CREDS, "localhost/hello", `docker://${secure.host}/hello`);
  ok("push", "--tls-verify=false", "localhost/hello", `docker://${plain.host}/hello`);
  ok("push", ...flags, "--creds", CREDS, "localhost/hello", `docker://${secure.host}/fresh`);
  ok("manifest", "create", "localhost/hellos", "localhost/hello");
});
afterAll(() => {
  plain[Symbol.dispose]();
  secure[Symbol.dispose]();
  scratch[Symbol.dispose]();
});

/** Asynchronous, because a proxy in this process may have to answer. */
async function cooper(argv: string[], more: Record<string, string> = {}) {
  const child = Bun.spawn([...program, ...argv], { env: environment(more), stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { status: await child.exited, stdout: stdout.trim(), stderr };
}

function ok(...argv: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...program, ...argv], { env: environment({}) });
  if (exitCode !== 0) throw new Error(`cooper ${argv.join(" ")}: ${stderr}`);
  return stdout.toString().trim();
}

function environment(more: Record<string, string>): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: scratch.file("home"),
    XDG_RUNTIME_DIR: scratch.path,
    COOPER_ROOT: scratch.file("store"),
    COOPER_RUNROOT: scratch.file("run"),
    ...more,
  };
}

const file = (name: string, text: string) => {
  writeFileSync(scratch.file(name), text);
  return scratch.file(name);
};

describe("every command that speaks to registries", () => {
  const image = () => `docker://${secure.host}/hello`;
  const builds = () => {
    const dockerfile = file("Based", `FROM ${secure.host}/hello\nLABEL a=b\n`);
    return ["bud", "-q", "--pull=always", "-f", dockerfile, scratch.file("context")];
  };
  const commands: [string, () => string[]][] = [
    ["pull", () => ["pull", "--policy=always", image()]],
    ["push", () => ["push", "localhost/hello", image()]],
    ["from", () => ["from", "--pull=always", `${secure.host}/hello`]],
    ["bud", builds],
    ["commit", () => ["commit", ok("from", "scratch"), `docker://${secure.host}/committed`]],
    // A name that the store does not have yet.
    ["copy", () => ["copy", "--from", `${secure.host}/fresh`, ok("from", "scratch"), "/file", "/file"]],
    ["manifest push", () => ["manifest", "push", "localhost/hellos", `docker://${secure.host}/hellos`]],
    ["manifest add", () => ["manifest", "add", "localhost/hellos", image()]],
  ];
  const given = (line: string[], more: string[]) => {
    const name = line[0] === "manifest" ? 2 : 1;
    return [...line.slice(0, name), ...more, ...line.slice(name)];
  };

  test.each(commands)("%s: credentials and certificates from flags", async (_name, line) => {
    const argv = line();
    expect((await cooper(given(argv, []))).stderr).toContain("certificate is not trusted");
    const anonymous = await cooper(given(argv, flags));
    expect([anonymous.status, anonymous.stderr]).toEqual([125, expect.stringContaining("401")]);
    const wrong = await cooper(given(argv, [...flags, "--creds", "kim:guessed-wrong"]));
    expect([wrong.status, wrong.stderr]).toEqual([125, expect.stringContaining("401")]);
    expect(wrong.stderr).not.toContain("guessed-wrong");
    expect((await cooper(given(argv, [...flags, "--creds", CREDS]))).stderr).not.toContain("Error");
    expect((await cooper(given(argv, [...flags, "--authfile", scratch.file("auth.json")]))).status).toBe(0);
    expect((await cooper(given(argv, ["--tls-verify=false", "--creds", CREDS]))).status).toBe(0);
  });

  test("manifest inspect and manifest create", async () => {
    const to = `docker://${secure.host}/listed`;
    ok("manifest", "create", "localhost/listed", "localhost/hello");
    ok("manifest", "push", "--tls-verify=false", "--creds", CREDS, "localhost/listed", to);
    const inspect = ["manifest", "inspect", "--tls-verify=false"];
    const anonymous = await cooper([...inspect, `docker://${secure.host}/listed`]);
    expect([anonymous.status, anonymous.stderr]).toEqual([125, expect.stringContaining("401")]);
    const auth = scratch.file("auth.json");
    const { stdout } = await cooper([...inspect, "--authfile", auth, `docker://${secure.host}/listed`]);
    expect((JSON.parse(stdout) as { manifests: unknown[] }).manifests).toHaveLength(1);
    const create = ["manifest", "create", "localhost/made", `docker://${plain.host}/hello`];
    expect((await cooper(create)).status).toBe(125);
    expect((await cooper(given(create, ["--tls-verify=false"]))).status).toBe(0);
  });

  test("the file that REGISTRY_AUTH_FILE names", async () => {
    const argv = ["pull", "--policy=always", ...flags, image()];
    expect((await cooper(argv, { REGISTRY_AUTH_FILE: scratch.file("auth.json") })).status).toBe(0);
    const missing = await cooper(argv, { REGISTRY_AUTH_FILE: scratch.file("none.json") });
    expect(missing.stderr).toContain("does not exist");
  });

  test.each(commands.slice(0, 4))("%s: what was logged in", async (_name, line) => {
    // XDG_RUNTIME_DIR of this test alone.
    const login = ["login", ...flags, "-u", "kim", "-p", "s3cret:with:colons", secure.host];
    expect((await cooper(login)).status).toBe(0);
    expect((await cooper(given(line(), flags))).status).toBe(0);
    expect((await cooper(["logout", secure.host])).status).toBe(0);
    expect((await cooper(given(line(), flags))).status).toBe(125);
  });
});

test("digests are the same on both sides", () => {
  ok(
    "push",
    ...flags,
    "--creds",
    CREDS,
    "--digestfile",
    scratch.file("digest"),
    "localhost/hello",
    `docker://${secure.host}/d`,
  );
  const id = ok("pull", ...flags, "--creds", CREDS, `docker://${secure.host}/d`);
  expect(id).toBe(ok("images", "-q", "--no-trunc", "localhost/hello").replace(/^sha256:/, ""));
  expect(readFileSync(scratch.file("digest"), "utf8").trim()).toMatch(/^sha256:[0-9a-f]{64}$/);
});

describe("files about registries", () => {
  const insecure = () =>
    file("registries.conf", `[[registry]]\nlocation = "${plain.host}"\ninsecure = true\n`);

  test("--registries-conf, before and after the command", async () => {
    expect(
      (
        await cooper([
          "pull",
          "--registries-conf-dir",
          scratch.file("empty.d"),
          `docker://${plain.host}/hello`,
        ])
      ).status,
    ).toBe(125);
    expect(
      (await cooper(["--registries-conf", insecure(), "pull", "-q", `docker://${plain.host}/hello`])).stderr,
    ).toBe("");
    expect(
      (await cooper(["pull", "-q", "--registries-conf", insecure(), `docker://${plain.host}/hello`])).stderr,
    ).toBe("");
    const missing = await cooper(["--registries-conf", "/nowhere.conf", "pull", "docker://a.example/b"]);
    expect(missing.stderr).toContain("/nowhere.conf");
  });

  test("--tls-verify=true is stronger than insecure = true", async () => {
    const argv = [
      "--registries-conf",
      insecure(),
      "pull",
      "--policy=always",
      "--tls-verify=true",
      `docker://${plain.host}/hello`,
    ];
    expect((await cooper(argv)).status).toBe(125);
  });

  test("--registries-conf-dir and --short-name-alias-conf", async () => {
    mkdirSync(scratch.file("conf.d"));
    writeFileSync(scratch.file("conf.d/10.conf"), readFileSync(insecure()));
    const aliases = file("aliases.conf", `[aliases]\nhi = "${plain.host}/hello"\n`);
    const both = ["--registries-conf-dir", scratch.file("conf.d"), "--short-name-alias-conf", aliases];
    const { status, stderr } = await cooper([...both, "pull", "-q", "hi"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(ok("images", "--format", "{{.Name}}", `${plain.host}/hello`)).toContain(plain.host);
  });

  test("--signature-policy", async () => {
    const policy = file("policy.json", '{"default":[{"type":"reject"}]}');
    const anew = ["pull", "--policy=always", "--tls-verify=false"];
    const argv = [...anew, "--signature-policy", policy, `docker://${plain.host}/hello`];
    const { status, stderr } = await cooper(argv);
    expect([status, stderr]).toEqual([125, expect.stringContaining("rejects it")]);
  });
});

test("pull asks for a name that the store has only where --policy says so", async () => {
  using proxy = await FaultProxy.start(plain.port);
  const pull = async (...more: string[]) => {
    const before = proxy.count(/manifests/);
    const { status, stdout, stderr } = await cooper(["pull", "-q", "--tls-verify=false", ...more]);
    return { status, id: stdout, stderr, asked: proxy.count(/manifests/) - before };
  };
  const name = `${proxy.host}/hello`;
  const id = ok("images", "-q", "--no-trunc", "localhost/hello").replace(/^sha256:/, "");
  expect(await pull("--policy=never", name)).toMatchObject({ status: 125, asked: 0 });
  expect(await pull(name)).toMatchObject({ status: 0, id, asked: 1 });
  for (const more of [[], ["--policy=missing"], ["--policy=never"]])
    for (const text of [name, `docker://${name}`])
      expect(await pull(...more, text)).toEqual({ status: 0, id, stderr: "", asked: 0 });
  for (const policy of ["always", "newer", "ifnewer"])
    expect(await pull(`--policy=${policy}`, name)).toMatchObject({ status: 0, id, asked: 1 });
  expect(await pull("-a", name)).toMatchObject({ status: 0, id, asked: 0 });
  expect(await pull("-a", "--policy=always", name)).toMatchObject({ status: 0, id, asked: 1 });
  // Another platform than that of the image that is there.
  expect(await pull("--platform=linux/s390x", name)).toMatchObject({ status: 0, asked: 1 });
  expect((await pull("--policy=sometimes", name)).stderr).toContain("sometimes");
});

describe("--retry and --retry-delay", () => {
  test("say how often and how soon", async () => {
    using proxy = await FaultProxy.start(plain.port);
    const pull = (...more: string[]) =>
      cooper(["pull", "--tls-verify=false", ...more, `docker://${proxy.host}/hello`]);
    const busy = { kind: "answer", status: 503 } as const;
    proxy.fail(/manifests/, busy, 1);
    expect((await pull("--retry=0")).status).toBe(125);
    expect(proxy.count(/manifests/)).toBe(1);
    proxy.fail(/manifests/, busy, 2);
    const start = performance.now();
    expect((await pull("--retry=2", "--retry-delay=10ms")).status).toBe(0);
    expect(performance.now() - start).toBeLessThan(3000);
    expect(proxy.pending).toBe(0);
  });

  test.each([["--retry=-1"], ["--retry-delay=soon"]])("%s is refused", async (flag) => {
    expect((await cooper(["pull", flag, "docker://a.example/b"])).status).toBe(125);
  });
});

test("push of a list: its image for this host, or all of it, which --rm removes then", async () => {
  ok("manifest", "create", "localhost/list", "localhost/hello");
  const push = (...more: string[]) =>
    cooper(["push", "--tls-verify=false", ...more, "localhost/list", `docker://${plain.host}/list`]);
  const kind = async () => {
    const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    const answer = await fetch(`http://${plain.host}/v2/list/manifests/latest`, { headers: { accept } });
    return answer.headers.get("content-type");
  };
  expect((await push()).stderr).not.toContain("Error");
  expect(await kind()).toContain("image.manifest");
  expect((await push("--all", "--rm")).status).toBe(0);
  expect(await kind()).toContain("image.index");
  expect((await cooper(["manifest", "exists", "localhost/list"])).status).not.toBe(0);
  // An image is no list: it stays.
  expect(
    (await cooper(["push", "--rm", "--tls-verify=false", "localhost/hello", `docker://${plain.host}/x`]))
      .status,
  ).toBe(0);
  expect(ok("images", "-q", "localhost/hello")).not.toBe("");
});
