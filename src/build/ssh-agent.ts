/** --ssh: a socket that answers for an agent, as the command of a RUN sees it, with the owner and mode that its mount asks for. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type { Server } from "node:net";
import { join } from "node:path";
import { CooperError, messageOf } from "../base/errors.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { giveAway } from "../base/process-ids.ts";
import type { MountOp } from "../plan/types.ts";
import type { RunMount } from "../sandbox/types.ts";
import type { Build } from "./build-image.ts";
import type { BuildSsh } from "./build-request.ts";
import { type AllowedKeys, filterAgent, publicKeys } from "./ssh-filter.ts";

type SshMount = Extract<MountOp, { type: "ssh" }>;

/** The mount, or undefined when there is no agent and none is required. `undo` ends what was started. */
export async function sshMount(
  build: Build,
  wanted: SshMount,
  undo: (() => void)[],
): Promise<RunMount | undefined> {
  const given = build.request.ssh.find(({ id }) => id === wanted.id);
  if (given === undefined) {
    if (!wanted.required) return undefined;
    throw new CooperError("not-found", `The build has no SSH agent "${wanted.id}"`, {
      hint: `Give it with --ssh ${wanted.id}${wanted.id === "default" ? "" : "=SOCKET"}`,
    });
  }
  // The runtime makes it, which may not have run yet.
  mkdirSync(build.request.runRoot, { recursive: true, mode: 0o700 });
  // Names of sockets are short: 107 bytes at most.
  const directory = mkdtempSync(join(build.request.runRoot, "ssh-"));
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  const { agent, allowed } = await agentFor(build, given, directory, undo);
  const socket = join(directory, "socket");
  const server = await forward(socket, agent, allowed);
  undo.push(() => server.close());
  giveAway(socket, wanted);
  chmodSync(socket, wanted.mode);
  return {
    type: "bind",
    source: socket,
    target: wanted.target ?? "/run/buildkit/ssh_agent.0",
    ofImage: true,
  };
}

/** Socket of the agent that is to answer, and which of its keys a step may use. */
async function agentFor(
  build: Build,
  { id, sources }: BuildSsh,
  directory: string,
  undo: (() => void)[],
): Promise<{ agent: string; allowed: AllowedKeys }> {
  const missing = sources.find((path) => !existsSync(path));
  if (missing !== undefined) throw new CooperError("not-found", `${missing} of --ssh ${id} does not exist`);
  const sockets = sources.filter((path) => statSync(path).isSocket());
  const files = sources.filter((path) => !sockets.includes(path));
  const keys = files.map((path) => publicKeys(readFileSync(path, "latin1")));
  if (files.length > 0 && sockets.length === 0 && keys.every(({ length }) => length === 0))
    return { agent: await startAgent(build, files, directory, undo), allowed: undefined };
  if (sockets.length > 1 || keys.some(({ length }) => length === 0))
    throw new CooperError(
      "usage",
      `--ssh ${id} takes private keys, or one socket of an agent and the public keys that may be used of it`,
    );
  const [agent = process.env.SSH_AUTH_SOCK ?? ""] = sockets;
  if (existsSync(agent)) return { agent, allowed: files.length === 0 ? undefined : new Set(keys.flat()) };
  if (agent !== "") throw new CooperError("not-found", `${agent} of --ssh ${id} does not exist`);
  throw new CooperError("not-found", `There is no SSH agent for --ssh ${id}: SSH_AUTH_SOCK is not set`, {
    hint: `Start one, or give private keys: --ssh ${id}=KEYFILE`,
  });
}

/** An agent of the build's own, which holds the keys and ends with the step. */
async function startAgent(
  build: Build,
  keys: string[],
  directory: string,
  undo: (() => void)[],
): Promise<string> {
  const program = findProgram("ssh-agent");
  const add = findProgram("ssh-add");
  if (program === undefined || add === undefined)
    throw new CooperError("unsupported", "Keys for --ssh need ssh-agent and ssh-add, which this host lacks");
  const socket = join(directory, "agent");
  const agent = Bun.spawn([program, "-D", "-a", socket], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  undo.push(() => agent.kill());
  for (let wait = 0; !existsSync(socket); wait++) {
    if (wait > 200 || agent.exitCode !== null)
      throw new CooperError("system", "Cannot start an SSH agent for the build");
    await Bun.sleep(10);
  }
  for (const key of keys) {
    // From its input: a key that others may read, as in a checkout, is refused by its path.
    const { exitCode, stderr } = await runProcess([add, "-q", "-"], {
      env: { ...process.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: "never" },
      stdin: readFileSync(key),
      signal: build.signal,
    });
    if (exitCode !== 0) {
      const said = Buffer.from(stderr).toString().trim();
      throw new CooperError("invalid", `Cannot add the key ${key} of --ssh: ${said}`);
    }
  }
  return socket;
}

/** Every connection gets one of the agent's, whose own socket belongs to its user and keeps its mode. */
async function forward(socket: string, agent: string, allowed: AllowedKeys): Promise<Server> {
  const { createConnection, createServer } = await import("node:net");
  const server = createServer((client) => {
    const upstream = createConnection(agent);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    void filterAgent(client, upstream, allowed);
  });
  return new Promise((done, fail) => {
    server.once("error", (error) =>
      fail(new CooperError("system", `Cannot forward the SSH agent: ${messageOf(error)}`)),
    );
    server.listen(socket, () => done(server));
  });
}
