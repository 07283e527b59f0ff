// Protects the library under Node.js: the same functions and types, events, bytes, errors and cancellation, through the program.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join, resolve } from "node:path";
import { FUNCTIONS } from "../../src/cli/commands/api.ts";
import * as bun from "../../src/index.ts";
// Checked by the compiler: every function has the type that it has under Bun.
import * as node from "../../node/index.js";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";
import { eventually, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(60_000);

type Same<T> = { [K in keyof T]: K extends "CooperError" ? unknown : T[K] };
const library: Same<typeof bun> = node;

test("it has what the library has under Bun", () => {
  expect(Object.keys(library).sort()).toEqual(Object.keys(bun).sort());
});

test("each of its functions is one that the program answers, but for those that are refused", () => {
  const here = [
    "CooperError",
    "enterUserNamespace",
    "leaveStore",
    "executeUnshared",
    "runSandboxInit",
    "openBuildLog",
  ];
  expect(Object.keys(FUNCTIONS).sort()).toEqual(
    Object.keys(library)
      .filter((name) => !here.includes(name))
      .sort(),
  );
});

test("what cannot be done from another process says so", async () => {
  const { executeUnshared, runSandboxInit, openBuildLog } = node;
  for (const call of [executeUnshared, runSandboxInit, openBuildLog]) {
    const error = await call().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(node.CooperError);
    expect((error as bun.CooperError).code).toBe("unsupported");
  }
});

describe.skipIf(Bun.which("node") === null).each(people)("as $kind", (person) => {
  let site: Site;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  /** Runs a program under Node.js, with the library imported as `cooper` and the store open; gives what it printed as JSON. */
  async function program(text: string): Promise<unknown> {
    const module = resolve(import.meta.dir, "../../node/index.js");
    const directory = site.files({
      "program.mjs": `import * as cooper from ${JSON.stringify(module)};\nconst store = await cooper.openStore();\nconst print = (value) => console.log(JSON.stringify(value));\n${text}`,
    });
    chmodSync(directory, 0o755);
    const env = { COOPER_BIN: join(site.dir, "bin/cooper") };
    const result = await site.run(["node", "program.mjs"], { cwd: directory, env });
    return JSON.parse(successful(text, result));
  }

  test("a container: run, config, copy, mount, commit", async () => {
    const printed = await program(`
      import { writeFileSync } from "node:fs";
      const container = await cooper.from(store, "localhost/busybox", { name: "work" });
      const output = [];
      const { exitCode } = await container.run(["sh", "-c", "cat; exit 3"], {
        stdin: new TextEncoder().encode("héllo"),
        onStdout: (chunk) => output.push(chunk),
      });
      await container.copy(["program.mjs"], "/srv/");
      writeFileSync((await container.mount()) + "/srv/written", "by the host");
      const read = [];
      await container.run(["cat", "/srv/written"], { onStdout: (chunk) => read.push(chunk) });
      const unmounted = await container.umount();
      await container.config({ env: ["A=b"], entrypoint: ["/bin/sh"] });
      const { imageId } = await container.commit("localhost/made");
      const { config } = await cooper.inspectImage(store, "localhost/made");
      const changed = [];
      for await (const { path } of cooper.diff(store, "localhost/busybox", "localhost/made")) changed.push(String(path));
      let bytes = 0;
      for await (const chunk of cooper.exportRoot(store, "localhost/made")) bytes += chunk.length;
      await container[Symbol.asyncDispose]();
      await container[Symbol.asyncDispose]();
      const left = await cooper.listContainers(store);
      const [image] = await cooper.listImages(store);
      print({
        exitCode, unmounted, left, changed, large: bytes > 1e5, same: image.id === imageId,
        output: Buffer.concat(output).toString(), read: Buffer.concat(read).toString(),
        entrypoint: config.config.Entrypoint,
      });`);
    expect(printed).toEqual({
      exitCode: 3,
      unmounted: true,
      left: [],
      changed: expect.arrayContaining(["/srv/written", "/srv/program.mjs"]),
      large: true,
      same: true,
      output: "héllo",
      read: "by the host",
      entrypoint: ["/bin/sh"],
    });
  });

  test("a build: its events, its result, its error", async () => {
    const context = site.files({
      Dockerfile: "FROM localhost/busybox\nRUN echo from the step\n",
      "Dockerfile.bad": "FROM localhost/busybox\nRUN echo the end; exit 7\n",
    });
    const printed = (await program(`
      const events = [];
      const result = await cooper.build(store, {
        context: ${JSON.stringify(context)}, tags: ["localhost/built"], onEvent: (event) => events.push(event),
      });
      const error = await cooper
        .build(store, { context: ${JSON.stringify(context)}, file: "Dockerfile.bad" })
        .catch((error) => error);
      const { code, exitCode, location, message } = error;
      print({
        names: result.names, types: [...new Set(events.map(({ type }) => type))],
        output: events.filter(({ type }) => type === "output").map(({ data }) => Buffer.from(data).toString()).join(""),
        failure: { code, exitCode, line: location.line, message, ours: error instanceof cooper.CooperError },
      });`)) as { types: string[] };
    expect(printed).toMatchObject({
      names: ["localhost/built:latest"],
      output: "from the step\n",
      failure: {
        code: "run-failed",
        exitCode: 7,
        line: 2,
        message: expect.stringContaining("exit 7"),
        ours: true,
      },
    });
    expect(printed.types).toEqual(
      expect.arrayContaining(["step-start", "output", "step-done", "commit-done"]),
    );
  });

  test("a cancelled build ends its commands before it rejects, and the store is whole", async () => {
    const context = site.files({ Dockerfile: "FROM localhost/busybox\nRUN echo up; sleep 4711\n" });
    const printed = await program(`
      const controller = new AbortController();
      const error = await cooper
        .build(store, {
          context: ${JSON.stringify(context)}, signal: controller.signal,
          onEvent: (event) => { if (event.type === "output") controller.abort(); },
        })
        .catch((error) => error);
      const refused = await cooper.listImages.call(null, store).then(() => "works");
      const early = await cooper
        .build(store, { context: ${JSON.stringify(context)}, signal: AbortSignal.abort() })
        .catch((error) => error);
      print({ code: error.code, early: early.code, refused });`);
    expect(printed).toEqual({ code: "cancelled", early: "cancelled", refused: "works" });
    expect(processesMentioning("4711").filter(({ command }) => command.includes("sleep"))).toEqual([]);
    await site.ok("check");
  });

  test("a program that is killed takes its build along", async () => {
    const context = site.files({ Dockerfile: "FROM localhost/busybox\nRUN echo up; sleep 4714\n" });
    const killed = program(`
      await cooper.build(store, {
        context: ${JSON.stringify(context)},
        onEvent: (event) => { if (event.type === "output") process.kill(process.pid, "SIGKILL"); },
      });`);
    expect(String(await killed.catch((error: unknown) => error))).toContain("exited with 137");
    await eventually(() => processesMentioning(site.root).length === 0);
    expect(processesMentioning(site.root)).toEqual([]);
    expect(await site.ok("containers", "-q")).toBe("");
  });

  test("what is not there is an error with its code", async () => {
    const printed = await program(`
      const codes = [];
      for (const call of [
        () => cooper.inspectImage(store, "localhost/none"),
        () => cooper.openContainer(store, "none"),
        () => cooper.from(store, "localhost/none", { pull: "never" }),
        () => cooper.openStore({ driver: "none" }),
      ]) codes.push(await call().then(() => "no error", (error) => error.code));
      process.env.COOPER_BIN = "/nonexistent/cooper";
      codes.push(await cooper.listImages(store).catch((error) => error.code));
      print(codes);`);
    expect(printed).toEqual(["not-found", "not-found", "not-found", "unsupported", "system"]);
  });
});

describe("cooper api", () => {
  const cases: [title: string, argv: string[], stdin: string, code: string][] = [
    ["a function that is not there", ["eval"], '{"args":[]}\n', "usage"],
    ["a method without its container", ["container.run"], '{"args":[]}\n', "usage"],
    ["a container for a function", ["listImages", "work"], '{"args":[]}\n', "usage"],
    ["a request that is none", ["listImages"], "nonsense\n", "usage"],
    ["nothing", ["listImages"], "", "usage"],
  ];
  test.each(cases)("%s is refused", async (_title, argv, stdin, code) => {
    await using site = openSite(people[0]!);
    const { exitCode, stdout, stderr } = await site.run(["cooper", "api", ...argv], { stdin });
    expect([exitCode, stderr]).toEqual([125, ""]);
    expect(JSON.parse(stdout).error.code).toBe(code);
  });
});
