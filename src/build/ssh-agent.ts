/** --ssh: an agent's socket as the command of a RUN sees it, with the owner and mode that its mount asks for. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type { Server } from "node:net";
import { join } from "node:path";
import { CooperError, messageOf } from "../base/errors.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { giveAway } from "../base/process-ids.ts";
import type { MountOp } from "../plan/types.ts";
import type { RunMount } from "../sandbox/types.ts";
import type { Build } from "./build-image.ts";
import type { BuildSsh } from "./build-request.ts";

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
  // Names of sockets are short: 107 bytes at most.
  const directory = mkdtempSync(join(build.request.runRoot, "ssh-"));
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  const agent = await agentSocket(build, given, directory, undo);
  const socket = join(directory, "socket");
  const server = await forward(socket, agent);
  undo.push(() => server.close());
  giveAway(socket, wanted);
  chmodSync(socket, wanted.mode);
  return { type: "bind", source: socket, target: wanted.target ?? "/run/buildkit/ssh_agent.0" };
}

async function agentSocket(
  build: Build,
  { id, sources }: BuildSsh,
  directory: string,
  undo: (() => void)[],
): Promise<string> {
  const [first = process.env.SSH_AUTH_SOCK] = sources;
  if (first === undefined || first === "") {
    throw new CooperError("not-found", `There is no SSH agent for --ssh ${id}: SSH_AUTH_SOCK is not set`, {
      hint: `Start one, or give keys: --ssh ${id}=KEYFILE`,
    });
  }
  if (!existsSync(first)) throw new CooperError("not-found", `${first} of --ssh ${id} does not exist`);
  if (statSync(first).isSocket()) {
    if (sources.length > 1) throw new CooperError("usage", `--ssh ${id} takes one socket, or several keys`);
    return first;
  }
  return startAgent(build, sources, directory, undo);
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

/** Passes every connection on; the agent's own socket belongs to its user and keeps its mode. */
async function forward(socket: string, agent: string): Promise<Server> {
  const { createConnection, createServer } = await import("node:net");
  const server = createServer((client) => {
    const upstream = createConnection(agent);
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  return new Promise((done, fail) => {
    server.once("error", (error) =>
      fail(new CooperError("system", `Cannot forward the SSH agent: ${messageOf(error)}`)),
    );
    server.listen(socket, () => done(server));
  });
}
