// Protects --ssh: the socket that a step gets answers for the agent, or for keys, and nothing of it stays.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Build } from "../../src/build/build-image.ts";
import { eventually } from "../support/leftovers.ts";
import { sshMount } from "../../src/build/ssh-agent.ts";

let directory: string;
let undo: (() => void)[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cooper-ssh-"));
  undo = [];
});
afterEach(() => {
  for (const action of undo.reverse()) action();
  rmSync(directory, { recursive: true, force: true });
});

function makeKey(name: string): string {
  const path = join(directory, name);
  expect(spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]).status).toBe(0);
  return path;
}

function buildWith(sources: string[]): Build {
  const runRoot = join(directory, "run");
  spawnSync("mkdir", ["-p", runRoot]);
  const request = { ssh: [{ id: "default", sources }], runRoot };
  return { request, signal: new AbortController().signal } as unknown as Build;
}

const wanted = {
  type: "ssh",
  id: "default",
  target: "/agent",
  required: true,
  mode: 0o640,
  uid: 0,
  gid: 0,
} as const;
const mine = { ...wanted, uid: process.getuid!(), gid: process.getgid!() };

/** Runs a program with an agent. Asynchronous, because this process answers it. */
async function withAgent(socket: string, ...argv: string[]) {
  const env = { PATH: process.env.PATH ?? "", SSH_AUTH_SOCK: socket };
  const child = Bun.spawn(argv, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode: child.exitCode, stdout, stderr };
}

/** How many keys the agent behind a socket shows. */
async function countKeys(socket: string): Promise<number> {
  const { stdout } = await withAgent(socket, "ssh-add", "-L");
  return stdout.split("\n").filter((line) => line.startsWith("ssh-ed25519 ")).length;
}

const socketOf = (mount: unknown) => (mount as { source: string }).source;

/** Whether something can be signed with a key of the agent. */
async function signs(socket: string, key: string): Promise<boolean> {
  const message = join(directory, "message");
  writeFileSync(message, "hello");
  rmSync(`${message}.sig`, { force: true });
  const argv = ["ssh-keygen", "-Y", "sign", "-f", `${key}.pub`, "-n", "test", message];
  const moved = `${key}.away`;
  renameSync(key, moved); // or it would be used without the agent
  const { exitCode } = await withAgent(socket, ...argv);
  renameSync(moved, key);
  return exitCode === 0;
}

/** What the agent answers to the bytes of a message. */
function answer(socket: string, message: Uint8Array): Promise<Buffer> {
  return new Promise((done) => {
    const received: Buffer[] = [];
    const client = createConnection(socket, () => client.end(message));
    client.on("error", () => {});
    client.on("data", (data: Buffer) => received.push(data));
    client.on("close", () => done(Buffer.concat(received)));
  });
}

describe("keys", () => {
  test("an agent of the build's own holds them, also one that others may read", async () => {
    const keys = [makeKey("a"), makeKey("b")];
    chmodSync(keys[1]!, 0o644);
    const mount = await sshMount(buildWith(keys), mine, undo);
    expect(mount).toMatchObject({ type: "bind", target: "/agent" });
    const { source } = mount as { source: string };
    expect(statSync(source).mode & 0o777).toBe(0o640);
    expect(await countKeys(source)).toBe(2);
    for (const action of undo.splice(0).reverse()) action();
    expect(readdirSync(join(directory, "run"))).toEqual([]);
  });

  test("what is no key is refused by name", async () => {
    expect(sshMount(buildWith([import.meta.path]), mine, undo)).rejects.toThrow(
      /Cannot add the key .*ssh-agent.test/,
    );
  });
});

test("another agent's socket is passed on, and keeps its own mode", async () => {
  const first = (await sshMount(buildWith([makeKey("a")]), mine, undo)) as { source: string };
  const second = (await sshMount(buildWith([first.source]), { ...mine, mode: 0o666 }, undo)) as {
    source: string;
  };
  expect(await countKeys(second.source)).toBe(1);
  expect(statSync(first.source).mode & 0o777).toBe(0o640);
});

describe("a step", () => {
  /** An agent with two keys, as a user has one. */
  async function usersAgent(): Promise<{ agent: string; keys: [string, string] }> {
    const keys: [string, string] = [makeKey("a"), makeKey("b")];
    const agent = join(directory, "users");
    const running = Bun.spawn(["ssh-agent", "-D", "-a", agent], { stdout: "ignore" });
    undo.push(() => running.kill());
    expect(await eventually(() => existsSync(agent))).toBe(true);
    expect((await withAgent(agent, "ssh-add", "-q", ...keys)).exitCode).toBe(0);
    return { agent, keys };
  }

  test("can use the keys of an agent, and neither add, remove nor lock any", async () => {
    const { agent, keys } = await usersAgent();
    const socket = socketOf(await sshMount(buildWith([agent]), mine, undo));
    expect(await countKeys(socket)).toBe(2);
    expect(await signs(socket, keys[1])).toBe(true);
    const own = makeKey("own");
    for (const argv of [
      ["ssh-add", own],
      ["ssh-add", "-d", `${keys[0]}.pub`],
      ["ssh-add", "-D"],
    ])
      expect((await withAgent(socket, ...argv)).exitCode, argv.join(" ")).not.toBe(0);
    // SSH_AGENTC_LOCK with the passphrase "x", and every other number.
    for (let type = 0; type < 256; type++) {
      if (type === 11 || type === 13) continue;
      const said = await answer(socket, Buffer.from([0, 0, 0, 6, type, 0, 0, 0, 1, 0x78]));
      expect([...said], `message ${type}`).toEqual([0, 0, 0, 1, 5]);
    }
    expect(await countKeys(agent)).toBe(2);
    expect(await signs(agent, keys[0])).toBe(true);
  });

  test("sees and can use the keys alone that it was given by their public part", async () => {
    const { agent, keys } = await usersAgent();
    const socket = socketOf(await sshMount(buildWith([agent, `${keys[1]}.pub`]), mine, undo));
    expect((await withAgent(socket, "ssh-add", "-L")).stdout.split("\n").slice(0, -1)).toEqual([
      readFileSync(`${keys[1]}.pub`, "utf8").trim(),
    ]);
    expect(await signs(socket, keys[1])).toBe(true);
    expect(await signs(socket, keys[0])).toBe(false);
    expect(sshMount(buildWith([agent, ...keys]), mine, undo)).rejects.toThrow(
      /takes private keys, or one socket/,
    );
  });

  test.each([
    ["a length beyond all measure", [0xff, 0xff, 0xff, 0xff, 11]],
    ["no type", [0, 0, 0, 0, 11]],
    ["a key that ends too early", [0, 0, 0, 6, 13, 0, 0, 0, 200, 1]],
    ["half a message", [0, 0, 0, 9, 11]],
  ])("that does not keep to the protocol gets nothing: %s", async (_what, bytes) => {
    const { agent } = await usersAgent();
    const socket = socketOf(await sshMount(buildWith([agent]), mine, undo));
    expect([[], [0, 0, 0, 1, 5]]).toContainEqual([...(await answer(socket, Buffer.from(bytes)))]);
    expect(await countKeys(socket)).toBe(2);
  });
});

test("no agent: nothing is mounted unless one is required", async () => {
  const build = buildWith([]);
  const other = { ...mine, id: "other" };
  expect(await sshMount(build, { ...other, required: false }, undo)).toBeUndefined();
  expect(sshMount(build, other, undo)).rejects.toThrow(/no SSH agent "other"/);
  expect(sshMount(buildWith([join(directory, "none")]), mine, undo)).rejects.toThrow(/does not exist/);
});
