/** Networks for commands: the host's, none, somebody else's, or one of its own that a program connects to the outside. */
import { accessSync, constants, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CooperError } from "../base/errors.ts";
import { MNT, umount } from "../base/mounts.ts";
import { findProgram, runProcess } from "../base/process.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import { joinOption, namespacePath } from "./namespaces.ts";
import { needsForwarder } from "./network-files.ts";
import type { NetworkFacts } from "./prepare-run.ts";
import { pasta } from "./pasta.ts";
import { makeRunDirectory, removeRunDirectory } from "./run-directory.ts";
import { slirp } from "./slirp.ts";
import type { NetworkMode } from "./types.ts";

export interface OpenNetwork extends NetworkFacts {
  /** Path of the network namespace to join, for all but `host` and `none`. */
  namespace?: string;
  close(): Promise<void>;
}

/** A started program that connects a namespace, once its interface is configured. */
export interface Connection extends NetworkFacts {
  close(): Promise<void>;
}

/** A way to connect a namespace to the outside. */
export interface Connector {
  /** Of the program, and of the network's name on the command line. */
  name: "pasta" | "slirp4netns";
  debianPackage: string;
  /** `options`: as the user gave them. Errors: `usage` for those, `system` when the program fails. */
  connect(
    program: string,
    place: { namespace: string; directory: string; forwards: boolean },
    options: string[],
  ): Promise<Connection>;
}

const TUN = "/dev/net/tun";
const CONNECTORS: readonly Connector[] = [pasta, slirp];

/** What runs get that ask for nothing: the host's network. A namespace with pasta costs 45 ms a run. */
export function defaultNetwork(): NetworkMode {
  return "host";
}

/** Why `private` cannot be had here; undefined when it can. */
export function privateNetworkObstacle(tun = TUN): string | undefined {
  if (CONNECTORS.every(({ name }) => findProgram(name) === undefined)) return "pasta is not installed";
  return tunObstacle(tun);
}

function tunObstacle(tun = TUN): string | undefined {
  try {
    accessSync(tun, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return `${tun} cannot be opened`;
  }
}

/**
 * Opens the network for one run; close it afterwards. Error: `unsupported` when it cannot be had, `system` when the program
 * that connects it fails.
 */
export async function openNetwork(mode: NetworkMode, runtimeDir: string): Promise<OpenNetwork> {
  if (mode === "host" || mode === "none") return { close: async () => {} };
  const path = namespacePath(mode);
  if (path !== undefined) {
    joinOption("net", path);
    return { namespace: path, close: async () => {} };
  }
  return connected(
    chosenConnector(mode),
    mode.includes(":") ? mode.slice(mode.indexOf(":") + 1) : "",
    runtimeDir,
  );
}

/** The program for a mode. Error: `unsupported`. */
function chosenConnector(mode: NetworkMode): { connector: Connector; program: string } {
  const refuse = (why: string, hint: string) =>
    new CooperError("unsupported", `Cannot give the command a private network: ${why}`, { hint });
  const name = mode.split(":", 1)[0];
  const candidates = name === "private" ? CONNECTORS : CONNECTORS.filter((one) => one.name === name);
  for (const connector of candidates) {
    const program = findProgram(connector.name);
    if (program === undefined) continue;
    const obstacle = tunObstacle();
    if (obstacle === undefined) return { connector, program };
    throw refuse(obstacle, "Make /dev/net/tun accessible, or use the host's network");
  }
  const [wanted] = candidates;
  throw refuse(
    `${wanted?.name ?? name} is not installed`,
    `Install ${wanted?.debianPackage ?? "passt"}, or use the host's network`,
  );
}

async function connected(
  { connector, program }: ReturnType<typeof chosenConnector>,
  options: string,
  runtimeDir: string,
): Promise<OpenNetwork> {
  privateMountNamespace();
  const directory = makeRunDirectory(runtimeDir);
  const namespace = join(directory, "netns");
  let connection: Connection | undefined;
  const close = async () => {
    await connection?.close();
    detach(namespace);
    removeRunDirectory(directory);
  };
  try {
    await makeNamespace(namespace);
    const words = options.split(",").filter((word) => word !== "");
    const place = { namespace, directory, forwards: needsForwarder() };
    connection = await connector.connect(program, place, words);
    return { ...connection, namespace, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A namespace without a process in it, held by a mount that only we (and the connecting program, and the run) see. */
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
