// Protects cancelling: whatever a program waits for ends when its signal aborts, and leaves nothing behind.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site, successful } from "../support/cooper.ts";
import { mountsMentioning, processesMentioning } from "../support/leftovers.ts";

setDefaultTimeout(120_000);

const library = resolve(import.meta.dir, "../../src/index.ts");

/** Each is aborted by what shows that it is under way, and would not end by itself, or only much later. */
const PROGRAM = `
import { build, copy, enterUserNamespace, from, openStore, pull, push } from ${JSON.stringify(library)};

await enterUserNamespace();
await using store = await openStore();
// Nobody else sleeps so long.
const nap = "sleep " + (1_000_000 + process.pid);
let abort = () => {};
const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open: () => abort(), data() {} } });
const there = "docker://127.0.0.1:" + silent.port + "/x:1";
const registry = { tlsVerify: false };

async function cancelled(name, work) {
  const controller = new AbortController();
  let aborted = 0;
  abort = () => {
    aborted ||= performance.now();
    controller.abort();
  };
  const code = await work(controller.signal).then(() => "done", (error) => error.code);
  console.log(name, code);
  console.error(name, Math.round(performance.now() - aborted), "ms");
}

await using container = await from(store, "scratch");
const root = await container.mount();
await Bun.spawn(["truncate", "-s", "4G", root + "/large"]).exited;
await container.umount();
await using shell = await from(store, "localhost/busybox");

await cancelled("run", (signal) =>
  shell.run(["sh", "-c", "echo up; " + nap + " & " + nap], { signal, onStdout: () => abort() }));
await cancelled("build", (signal) =>
  build(store, { context: "app", buildArgs: { NAP: nap }, signal, onEvent: ({ type }) => type === "output" && abort() }));
await cancelled("commit", (signal) =>
  container.commit("localhost/large", { signal, onEvent: ({ type }) => type === "commit-progress" && abort() }));
await cancelled("pull", (signal) => pull(store, there, { ...registry, signal }));
await cancelled("push", (signal) => push(store, "localhost/busybox", there, { ...registry, signal }));
await cancelled("copy", (signal) => copy(there, "oci:copied", { ...registry, signal }));
await cancelled("from", (signal) => from(store, there, { ...registry, signal }));
// Neither waits for anything but the disk.
await cancelled("copy in", (signal) => {
  setTimeout(() => abort(), 30);
  return shell.copy(["large"], "/large", { signal });
});
await cancelled("context", (signal) => {
  setTimeout(() => abort(), 30);
  return build(store, { context: "context", signal });
});
silent.stop(true);
const { stdout } = Bun.spawnSync(["ps", "-eo", "args"]);
console.log(stdout.toString().split("\\n").filter((line) => line.includes(nap)).length, "left");
`;

describe.each(people)("as $kind", (person) => {
  let site: Site;
  let directory: string;
  beforeAll(async () => {
    site = openSite(person);
    await site.ok("import", busyboxBase(), "localhost/busybox");
    directory = site.files({
      large: "",
      "context/large": "",
      "context/Dockerfile": "FROM localhost/busybox\nCOPY large /large\n",
      "app/Dockerfile": "FROM localhost/busybox\nARG NAP\nRUN echo up; $NAP\n",
    });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test("of all that takes long", async () => {
    writeFileSync(join(directory, "program.ts"), PROGRAM);
    for (const name of ["large", "context/large"]) truncateSync(join(directory, name), 4 * 1024 ** 3);
    const env = { COOPER_ROOT: site.root, COOPER_RUNROOT: site.runRoot };
    const result = await site.run([process.execPath, "program.ts"], { cwd: directory, env });
    expect(successful("program", result).split("\n")).toEqual([
      "run cancelled",
      "build cancelled",
      "commit cancelled",
      "pull cancelled",
      "push cancelled",
      "copy cancelled",
      "from cancelled",
      "copy in cancelled",
      "context cancelled",
      "0 left",
    ]);
    expect(processesMentioning(site.root)).toEqual([]);
    expect(mountsMentioning(site.root)).toEqual([]);
    expect(await site.ok("containers", "-q")).toBe("");
    expect(await site.ok("images", "--format", "{{.Name}}")).toBe("localhost/busybox");
    await site.ok("check");
  });
});
