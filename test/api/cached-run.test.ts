// Protects runs with the cache: a command is run again when anything that it sees is different, and only then.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import { openStore, type RunOptions } from "../../src/index.ts";
import { findFaults } from "../store/check-store.ts";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { type LineWorker, startLineWorker } from "../support/line-worker.ts";
import type { RunOutcome, ScriptedContainer } from "./script-worker.ts";

setDefaultTimeout(60_000);

type Action = ScriptedContainer["does"][number];

// Keys have nothing to do with who runs; test/e2e/run-cache.test.ts does it as others.
describe.skipIf(rootOnly.length === 0)("run with the cache (needs root)", () => {
  let site: Site;
  let worker: LineWorker;
  let number = 0;

  beforeAll(async () => {
    site = openSite(rootOnly[0]!);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    worker = startLineWorker(join(import.meta.dir, "script-worker.ts"), [site.root, site.runRoot]);
  });
  afterAll(async () => {
    await worker[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const shell = (text: string, options: RunOptions = {}): Action => ({
    run: ["/bin/sh", "-c", text],
    options,
  });
  const cached = (text: string, options: RunOptions = {}): Action => shell(text, { ...options, cache: true });
  /** A command that no other test has run; what it writes tells whether it was run. */
  const unique = () => `cat /proc/sys/kernel/random/uuid > /id; : ${number++}`;
  const inContainer = async (does: Action[], more: Partial<ScriptedContainer> = {}) =>
    (await worker.ask({ from: "localhost/busybox", ...more, does })) as RunOutcome[];
  /** What is in /id after the actions, and whether the last run was in the cache. */
  const after = async (does: Action[], more: Partial<ScriptedContainer> = {}) => {
    const outcomes = await inContainer([...does, shell("read id < /id; echo $id")], more);
    const [last, shown] = outcomes.slice(-2);
    if ("error" in last! || "error" in shown!) throw new Error(JSON.stringify(outcomes));
    return { id: shown!.output, cached: last!.cached };
  };

  const DIFFERENT: [name: string, before: Action[], other: Action[]][] = [
    ["a variable", [], [{ config: { env: ["A=1"] } }]],
    ["the user", [shell("chmod 777 /")], [shell("chmod 777 /"), { config: { user: "7" } }]],
    ["the working directory", [], [{ config: { workingDir: "/etc" } }]],
    ["a file more", [], [shell("echo > /new")]],
    ["a file less", [], [shell("rm /etc/passwd")]],
    ["what hides a directory's files", [shell("mkdir /etc/d")], [shell("rm -r /etc; mkdir -p /etc/d")]],
    ["a mode", [shell("chmod 700 /tmp")], [shell("chmod 711 /tmp")]],
    ["a cached run before", [cached("echo 1 > /a")], [cached("echo 2 > /a")]],
  ];
  test.each(DIFFERENT)("%s is different: it is run", async (_name, before, other) => {
    const run = cached(unique());
    const first = await after([...before, run]);
    expect(first.cached).toBe(false);
    expect(await after([...before, run])).toEqual({ id: first.id, cached: true });
    expect((await after([...other, run])).cached).toBe(false);
    expect(await after([...before, run])).toEqual({ id: first.id, cached: true });
  });

  const OPTIONS: [one: RunOptions, other: RunOptions][] = [
    [{ env: ["A=1"] }, { env: ["A=2"] }],
    [{ user: "0" }, { user: "root" }],
    [{ workingDir: "/etc" }, { workingDir: "/bin" }],
    [{ hostname: "a" }, { hostname: "b" }],
    [{ capDrop: ["CAP_CHOWN"] }, { capDrop: ["CAP_KILL"] }],
    [{ network: "none" }, {}],
    [{ ulimits: ["nofile=100:100"] }, { ulimits: ["nofile=200:200"] }],
    [{ mounts: ["type=tmpfs,target=/t"] }, {}],
    [
      { mounts: ["type=bind,source=/etc/passwd,target=/m,ro"] },
      { mounts: ["type=bind,source=/etc/passwd,target=/n,ro"] },
    ],
  ];
  test.each(OPTIONS)("with %j, then with %j: it is run", async (one, other) => {
    const text = unique();
    const first = await after([cached(text, one)]);
    expect(await after([cached(text, one)])).toEqual({ id: first.id, cached: true });
    expect((await after([cached(text, other)])).cached).toBe(false);
  });

  test("what does not reach the command does not count", async () => {
    const text = unique();
    const first = await after([cached(text)]);
    const config = { config: { labels: ["a=b"], cmd: ["x"] } };
    expect(await after([config, cached(text)])).toEqual({ id: first.id, cached: true });
    expect(await after([{ config: { env: ["A=1"] } }, cached(text, { env: ["A=2"] })])).toMatchObject({
      cached: false,
    });
    expect(await after([cached(text, { env: ["A=2"] })])).toMatchObject({ cached: true });
  });

  test("files that are copied and mounted count by their content", async () => {
    const text = unique();
    const directory = site.files({ "d/file": "1", "m/file": "1" });
    const mounts = [`type=bind,source=${join(directory, "m")},target=/m,ro`];
    const both = () => after([{ copy: join(directory, "d"), to: "/d" }, cached(text, { mounts })]);
    const first = await both();
    for (const name of ["d/file", "m/file"]) utimesSync(join(directory, name), 5, 5);
    expect(await both()).toEqual({ id: first.id, cached: true });
    for (const name of ["d/file", "m/file"]) {
      writeFileSync(join(directory, name), "2");
      expect((await both()).cached).toBe(false);
    }
  });

  test("after a commit it goes on from the same files", async () => {
    const [one, two] = [cached(unique()), cached(unique())];
    const does: Action[] = [one, { commit: "localhost/between" }, two];
    const first = await after(does);
    expect(await after(does)).toEqual({ id: first.id, cached: true });
    expect(await after([one, two])).toEqual({ id: first.id, cached: true });
  });

  test("a command that changes nothing is not run again either", async () => {
    const run = cached(`echo said; : ${number++}`);
    expect(await inContainer([run, run])).toMatchObject([
      { cached: false, output: "said\n" },
      { cached: false },
    ]);
    expect(await inContainer([run, run])).toMatchObject([{ cached: true, output: "" }, { cached: true }]);
  });

  test("what fails is run again, and leaves what it wrote", async () => {
    const run = cached(`echo -n x >> /id; exit 3 # ${number++}`);
    const outcomes = await inContainer([run, run, shell("cat /id")]);
    expect(outcomes).toMatchObject([
      { exitCode: 3, cached: false },
      { exitCode: 3, cached: false },
      { output: "xx" },
    ]);
  });

  test("a container from scratch, and one without mounts", async () => {
    const copy = { copy: "/bin/busybox", to: "/bin/sh" };
    const text = `read id < /proc/sys/kernel/random/uuid; echo $id > /id; : ${number++}`;
    const scratch = () => after([copy, cached(text)], { from: "scratch" });
    expect(await scratch()).toEqual({ ...(await scratch()), cached: false });
    const plain = (driver: "overlay" | "copy") => after([cached(`${text}; rm /etc/passwd`)], { driver });
    const first = await plain("overlay");
    expect(await plain("copy")).toEqual({ id: first.id, cached: true });
    const gone = await inContainer([cached(`${text}; rm /etc/passwd`), shell("test -e /etc/passwd")], {
      driver: "copy",
    });
    expect(gone).toMatchObject([{ cached: true }, { exitCode: 1 }]);
  });

  test.each([
    [cached("true", { terminal: true }), "takes no input"],
    [cached("true", { inherit: true }), "takes no input"],
  ])("%j is refused", async (action, message) => {
    expect(JSON.stringify(await inContainer([action]))).toContain(message);
  });

  test("a mounted container is refused, until it is unmounted", async () => {
    const run = cached("true");
    const [refused, done] = await inContainer([{ mount: true }, run, { mount: false }, run]);
    expect(JSON.stringify(refused)).toContain("it is mounted");
    expect(done).toMatchObject({ exitCode: 0 });
  });

  test("the store is sound after all of it", async () => {
    await using store = await openStore({ root: site.root, runRoot: site.runRoot });
    expect(findFaults(filesOf(store))).toEqual([]);
  });
});
