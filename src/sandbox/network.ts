/** Networks for commands: the host's, none, or a namespace of its own that pasta(1) connects to the outside. */
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { MNT, umount } from "../base/libc.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import { needsForwarder } from "./network-files.ts";
import type { NetworkFacts } from "./prepare-run.ts";
import { makeRunDirectory, removeRunDirectory } from "./run-directory.ts";
import type { NetworkMode } from "./types.ts";

export interface OpenNetwork extends NetworkFacts {
  /** Path of the network namespace to join, for `private`. */
  namespace?: string;
  close(): Promise<void>;
}

const TUN = "/dev/net/tun";
/** Where pasta answers for the host's name server, for hosts whose own server listens on loopback only. */
const FORWARDER = "169.254.1.1";
const READY_MILLISECONDS = 5000;

/** What runs get that ask for nothing: the host's network. A namespace with pasta costs 45 ms a run. */
export function defaultNetwork(): NetworkMode {
  return "host";
}

/** Why `private` cannot be had here; undefined when it can. */
export function privateNetworkObstacle(tun = TUN): string | undefined {
  if (findProgram("pasta") === undefined) return "pasta is not installed";
  try {
    accessSync(tun, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return `${tun} cannot be opened`;
  }
}

/**
 * Opens the network for one run; close it afterwards. Error: `unsupported` when `private` cannot be had, `system` when
 * pasta fails.
 */
export async function openNetwork(mode: NetworkMode, runtimeDir: string): Promise<OpenNetwork> {
  if (mode !== "private") return { close: async () => {} };
  const obstacle = privateNetworkObstacle();
  if (obstacle !== undefined) {
    throw new CooperError("unsupported", `Cannot give the command a private network: ${obstacle}`, {
      hint: "Install passt and make /dev/net/tun accessible, or use the host's network",
    });
  }
  privateMountNamespace();
  const directory = makeRunDirectory(runtimeDir);
  const namespace = join(directory, "netns");
  let pasta: Pasta | undefined;
  const close = async () => {
    pasta?.kill("SIGKILL");
    await pasta?.exited;
    detach(namespace);
    removeRunDirectory(directory);
  };
  try {
    await makeNamespace(namespace);
    // Where it forwards, answers of that server come from the forwarder's address only: not beside direct queries.
    const forwards = needsForwarder();
    pasta = startPasta(namespace, directory, forwards ? ["--dns-forward", FORWARDER] : []);
    await ready(pasta, join(directory, "pid"));
    return { namespace, close, ...(forwards ? { forwarder: FORWARDER } : {}) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A namespace without a process in it, held by a mount that only we (and pasta, and the run) see. */
async function makeNamespace(path: string): Promise<void> {
  writeFileSync(path, "");
  const { exitCode, stderr } = await runProcess([
    findProgram("unshare") ?? "unshare",
    `--net=${path}`,
    "true",
  ]);
  if (exitCode !== 0)
    throw new CooperError(
      "system",
      `Cannot make a network namespace: ${Buffer.from(stderr).toString().trim()}`,
    );
}

function detach(namespace: string): void {
  try {
    umount(namespace, MNT.DETACH);
  } catch {
    // Never mounted.
  }
}

type Pasta = Bun.Subprocess<"ignore", "ignore", "pipe">;

function startPasta(namespace: string, directory: string, forwarder: string[]): Pasta {
  const noPorts = ["-t", "none", "-u", "none", "-T", "none", "-U", "none"];
  // No way back to services on the host's loopback; no user but ours, who alone can reach the namespace's mount.
  const flags = ["--foreground", "--quiet", "--config-net", "--no-map-gw", "--runas", "0", "--netns-only"];
  const wrapper = [findProgram("setpriv") ?? "setpriv", "--pdeathsig", "KILL", "--"];
  const target = ["--netns", namespace, "--pid", join(directory, "pid")];
  return Bun.spawn([...wrapper, findProgram("pasta")!, ...flags, ...forwarder, ...noPorts, ...target], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    cwd: "/",
  });
}

/** pasta writes its PID once the interface is configured. */
async function ready(pasta: Pasta, pidFile: string): Promise<void> {
  const deadline = Date.now() + READY_MILLISECONDS;
  while (pasta.exitCode === null && Date.now() < deadline) {
    if (hasText(pidFile)) return;
    await Bun.sleep(2);
  }
  pasta.kill("SIGKILL");
  const said = (await pasta.stderr.text()).trim();
  throw new CooperError(
    "system",
    `Cannot connect the private network: pasta ${said === "" ? "is not ready in time" : `says: ${said}`}`,
  );
}

function hasText(path: string): boolean {
  try {
    return readFileSync(path, "latin1").includes("\n");
  } catch {
    return false;
  }
}
