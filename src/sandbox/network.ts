/** Networks for commands: the host's, none, somebody else's, or one of its own that a program connects to the outside. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { errnoOf } from "../base/errors.ts";
import { MNT, MS, mount, umount } from "../base/mounts.ts";
import { privateMountNamespace } from "./mount-namespace.ts";
import { joinOption, namespacePath } from "./namespaces.ts";
import { chosenConnector } from "./network-choice.ts";
import { needsForwarder } from "./network-files.ts";
import type { NetworkFacts } from "./prepare-run.ts";
import type { Connection } from "./connector.ts";
import { makeRunDirectory, removeRunDirectory } from "./run-directory.ts";
import type { NetworkMode } from "./types.ts";
import { namespaceState } from "./user-namespace.ts";

export interface OpenNetwork extends NetworkFacts {
  mode: NetworkMode;
  /** Path of the network namespace to join, for all but `host` and `none`. */
  namespace?: string;
  /** Whether it still leads anywhere. */
  isAlive(): boolean;
  close(): void;
}

export interface NetworkPlace {
  runtimeDir: string;
  /** As in RunSpec. */
  proxyPorts: readonly number[];
  signal: AbortSignal;
}

/** Whether a network of that mode is opened with a program's help. */
export function isConnected(mode: NetworkMode): boolean {
  return mode !== "host" && mode !== "none" && namespacePath(mode) === undefined;
}

/**
 * Opens a network; close it afterwards. Error: `unsupported` when it cannot be had, `system` when the program that connects
 * it fails.
 */
export async function openNetwork(mode: NetworkMode, place: NetworkPlace): Promise<OpenNetwork> {
  const plain = { mode, isAlive: () => true, close: () => {} };
  if (mode === "host" || mode === "none") return plain;
  const path = namespacePath(mode);
  if (path === undefined) return connected(mode, place);
  joinOption("net", path);
  return { ...plain, namespace: path };
}

async function connected(
  mode: NetworkMode,
  { runtimeDir, proxyPorts, signal }: NetworkPlace,
): Promise<OpenNetwork> {
  const { connector, program } = chosenConnector(mode);
  const options = mode.includes(":") ? mode.slice(mode.indexOf(":") + 1).split(",") : [];
  privateMountNamespace();
  const directory = makeRunDirectory(runtimeDir);
  const namespace = join(namespacePlace() ?? directory, basename(directory));
  let connection: Connection | undefined;
  const close = () => {
    connection?.close();
    detach(namespace);
    removeRunDirectory(directory);
  };
  try {
    writeFileSync(namespace, "");
    const words = options.filter((word) => word !== "");
    const place = { namespace, forwards: needsForwarder(), proxyPorts, signal };
    connection = await connector.connect(program, place, words);
    return { ...connection, mode, namespace, close };
  } catch (error) {
    close();
    throw error;
  }
}

let memory: string | undefined;

/** Root's where it has no runtime directory, and a path of the user's choice may be one that runc does not take (a comma). */
const ROOTS_PLACE = "/run/cooper-netns";

/**
 * The one directory in which AppArmor's profile of pasta (Debian, Ubuntu) lets it open namespaces of a user: memory of our
 * own, in our mounts, on the user's. Undefined where the user has no runtime directory.
 */
function namespacePlace(): string | undefined {
  if (memory !== undefined) return memory;
  const state = namespaceState();
  const place =
    state.kind === "root"
      ? (madeDirectory("/run/user/0/netns") ?? madeDirectory(ROOTS_PLACE))
      : madeDirectory(`/run/user/${state.uid}/netns`);
  if (place === undefined) return undefined;
  mount("tmpfs", place, "tmpfs", MS.NOSUID | MS.NODEV | MS.NOEXEC, "mode=700,size=64k");
  memory = place;
  return memory;
}

function madeDirectory(path: string): string | undefined {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") return undefined;
  }
  return path;
}

function detach(namespace: string): void {
  try {
    umount(namespace, MNT.DETACH);
  } catch {
    // Never mounted.
  }
  rmSync(namespace, { force: true });
}
