// Protects --ssh: the socket that a step gets answers for the agent, or for keys, and nothing of it stays.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Build } from "../../src/build/build-image.ts";
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

/** How many keys the agent behind a socket has (SSH_AGENTC_REQUEST_IDENTITIES of the agent protocol). */
function countKeys(socket: string): Promise<number> {
  return new Promise((done, fail) => {
    const client = createConnection(socket, () => client.write(Buffer.from([0, 0, 0, 1, 11])));
    client.once("error", fail);
    client.once("data", (data: Buffer) => {
      client.destroy();
      expect(data[4]).toBe(12);
      done(data.readUInt32BE(5));
    });
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

test("no agent: nothing is mounted unless one is required", async () => {
  const build = buildWith([]);
  const other = { ...mine, id: "other" };
  expect(await sshMount(build, { ...other, required: false }, undo)).toBeUndefined();
  expect(sshMount(build, other, undo)).rejects.toThrow(/no SSH agent "other"/);
  expect(sshMount(buildWith([join(directory, "none")]), mine, undo)).rejects.toThrow(/does not exist/);
});
