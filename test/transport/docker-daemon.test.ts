// Protects docker-daemon: against a real Docker engine: names, ids, what is missing, and what an engine answers wrongly.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync } from "node:fs";
import { engineAddress } from "../../src/transport/docker-engine.ts";
import { people } from "../support/as-users.ts";
import { Site } from "../support/cooper.ts";
import { startDockerEngine, type TestEngine, withEnvironment } from "../support/docker-engine.ts";
import { makeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { freePort } from "./registry-server.ts";
import { contents, copyBetween, failureOf, transportSuite, validateAt } from "./suite.ts";

setDefaultTimeout(60_000);

// The engine itself needs root.
describe.if(process.getuid?.() === 0)("a Docker engine", () => {
  let engine: TestEngine;
  let environment: Disposable;
  beforeAll(async () => {
    engine = await startDockerEngine(await freePort());
    environment = withEnvironment({ DOCKER_HOST: engine.host });
  });
  afterAll(async () => {
    environment[Symbol.dispose]();
    await engine[Symbol.asyncDispose]();
  });

  const docker = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };

  transportSuite({
    transport: "docker-daemon",
    at: (directory) => `docker-daemon:x${Bun.hash(directory).toString(36)}:v1`,
    unwritable: `docker-daemon:x@sha256:${"0".repeat(64)}`,
    keepsDigests: false,
    holdsIndexes: false,
    losesEmptyImages: true, // "empty export - not implemented"
  });

  test("the engine knows an image by the id that Cooper knows it by, and gives it by name and by id", async () => {
    using scratch = scratchDirectory("daemon");
    const made = await makeImage(scratch.file("from"), contents);
    using _ = withEnvironment({ TMPDIR: scratch.path });
    await copyBetween(made.reference, "docker-daemon:team/hello");
    expect(
      docker("image", "inspect", "--format", "{{.Id}} {{json .Config.Labels}}", "team/hello:latest"),
    ).toBe(`sha256:${made.imageId} {"a":"b"}`);
    docker("tag", "team/hello:latest", "hello:2");
    for (const name of ["team/hello", "docker.io/team/hello:latest", "hello:2", `sha256:${made.imageId}`]) {
      const [image] = await validateAt(`docker-daemon:${name}`);
      expect(image!.image).toEqual(made.image);
    }
    expect(readdirSync(scratch.path)).toEqual(["from"]);
  });

  test("over TCP", async () => {
    using scratch = scratchDirectory("daemon");
    const made = await makeImage(scratch.file("from"), contents);
    using _ = withEnvironment({ DOCKER_HOST: engine.tcp });
    await copyBetween(made.reference, "docker-daemon:over-tcp:v1");
    expect((await validateAt("docker-daemon:over-tcp:v1"))[0]!.image).toEqual(made.image);
  });

  test("what the engine refuses is said in its words, and nothing is kept", async () => {
    using scratch = scratchDirectory("daemon");
    const made = await makeImage(scratch.file("from"), { layers: [Buffer.alloc(10_240, "not a tar")] });
    using _ = withEnvironment({ TMPDIR: scratch.path });
    const error = await failureOf(copyBetween(made.reference, "docker-daemon:broken:v1"), "system");
    expect(error.message).toMatch(/^Cannot write docker-daemon:broken:v1: the engine says: .*tar/);
    await failureOf(validateAt("docker-daemon:broken:v1"), "not-found");
    expect(readdirSync(scratch.path)).toEqual(["from"]);
  });

  test("commands: push, pull and image inspect", async () => {
    await using site = new Site(people[0]!);
    using scratch = scratchDirectory("daemon");
    const made = await makeImage(scratch.file("from"), contents);
    const env = { DOCKER_HOST: engine.host };
    const shell = (text: string) => site.script(text, { env });
    await shell(`cooper pull -q ${made.reference.replace(/:latest$/, "")}`);
    await shell(`cooper push -q ${made.imageId} docker-daemon:pushed:v1`);
    expect(docker("image", "inspect", "--format", "{{.Id}}", "pushed:v1")).toBe(`sha256:${made.imageId}`);
    expect(await shell("cooper pull -q docker-daemon:pushed:v1")).toBe(made.imageId);
    expect(await shell("cooper images --format '{{.Name}}:{{.Tag}}'")).toContain(
      "docker.io/library/pushed:v1",
    );
    expect(await shell("cooper image inspect --config docker-daemon:pushed:v1")).toContain(
      made.image.rootfs.diff_ids[0]!,
    );
  });

  test("a user who may not use the socket is told so", async () => {
    chmodSync(engine.socket.replace(/\/[^/]*$/, ""), 0o755);
    chmodSync(engine.socket, 0o660);
    await using site = new Site(people.find(({ kind }) => kind === "user")!);
    const { exitCode, stderr } = await site.run(["cooper", "pull", "docker-daemon:x:1"], {
      env: { DOCKER_HOST: engine.host },
    });
    expect(exitCode).toBe(125);
    expect(stderr).toContain(
      `Cannot read docker-daemon:x:1: permission denied for the Docker engine at ${engine.host}`,
    );
    expect(stderr).toContain("group");
  });
});

test.each([
  ["unix:///nonexistent.sock", "not-found", /there is no Docker engine at unix:\/\/\/nonexistent\.sock/],
  ["unix:///etc/passwd", "not-found", /no Docker engine listens/],
  ["tcp://127.0.0.1:1", "not-found", /no Docker engine listens/],
  ["ssh://me@host", "unsupported", /through ssh/],
  ["npipe:////./pipe/docker", "usage", /does not say where/],
] as const)("an engine that is not there: %s", async (host, code, message) => {
  using _ = withEnvironment({ DOCKER_HOST: host });
  using scratch = scratchDirectory("daemon");
  const { reference } = await makeImage(scratch.file("from"), contents);
  const writing = await failureOf(copyBetween(reference, "docker-daemon:x:v1"), code);
  expect(writing.message).toMatch(message);
  expect((await failureOf(validateAt("docker-daemon:x:v1"), code)).message).toMatch(message);
});

test.each([
  [`docker-daemon:x@sha256:${"0".repeat(64)}`, /not under a digest/],
  [`docker-daemon:sha256:${"0".repeat(64)}`, /it is an id/],
  ["docker-daemon:UPPER", /not an image name/],
])("%s is no name to write under", async (location, message) => {
  const error = await failureOf(copyBetween("oci:/nonexistent", location), "usage");
  expect(error.message).toMatch(message);
});

describe("where the engine is", () => {
  test.each([
    [{}, { url: "http://docker", socket: "/var/run/docker.sock" }],
    [{ DOCKER_HOST: "" }, { socket: "/var/run/docker.sock" }],
    [{ DOCKER_HOST: "unix:///run/user/1000/docker.sock" }, { socket: "/run/user/1000/docker.sock" }],
    [{ DOCKER_HOST: "tcp://host" }, { url: "http://host:2375" }],
    [
      { DOCKER_HOST: "tcp://host:1", DOCKER_TLS_VERIFY: "1" },
      { url: "https://host:1", tls: {} },
    ],
    [
      { DOCKER_HOST: "tcp://host", DOCKER_TLS_VERIFY: "1" },
      { url: "https://host:2376", tls: {} },
    ],
    [{ DOCKER_HOST: "https://host" }, { url: "https://host", tls: {} }],
  ])("%p", (env, expected) => {
    expect(engineAddress({ DOCKER_CERT_PATH: "/nonexistent", ...env })).toMatchObject(expected);
  });
});

describe("an engine that answers as none does", () => {
  test.each([
    ["nonsense", () => new Response("nonsense"), "invalid", /does not answer as a Docker engine/],
    [
      "an error of its own",
      () => Response.json({ message: "disk on fire" }, { status: 500 }),
      "system",
      /the engine says: disk on fire/,
    ],
    ["a redirect", () => Response.redirect("http://elsewhere/"), "system", /the Docker engine at/],
    [
      "an archive that ends early",
      (path: string) =>
        path.endsWith("/json") ? Response.json({ Id: "sha256:1" }) : new Response(Buffer.alloc(700, "x")),
      "invalid",
      /docker-daemon:x:v1/,
    ],
  ] as const)("%s", async (_, answer, code, message) => {
    using scratch = scratchDirectory("daemon");
    await using server = Bun.serve({
      unix: scratch.file("d.sock"),
      fetch: (request) => answer(new URL(request.url).pathname),
    });
    using __ = withEnvironment({ DOCKER_HOST: `unix://${scratch.file("d.sock")}` });
    expect((await failureOf(validateAt("docker-daemon:x:v1"), code)).message).toMatch(message);
    expect(server.pendingRequests).toBeNumber();
  });
});
