/** Which network commands get that ask for none, what connects it, and why there is no other. */
import { accessSync, constants } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { findProgram } from "../base/process.ts";
import type { Connector } from "./connector.ts";
import { namesHost } from "./network-files.ts";
import { pasta } from "./pasta.ts";
import { hasDefaultRoute } from "./routes.ts";
import { slirp } from "./slirp.ts";
import type { NetworkMode, NetworkNeed } from "./types.ts";

const CONNECTORS: readonly Connector[] = [pasta, slirp];

export interface NetworkChoice {
  mode: "private" | "host";
  /** What connects the private one, or why there is none. */
  why: string;
}

/** What is looked at. */
export interface NetworkHost {
  find(program: string): string | undefined;
  tun: string;
  proc: string;
}

const HERE: NetworkHost = { find: findProgram, tun: "/dev/net/tun", proc: "/proc" };

/**
 * What commands get that ask for none, where they may have namespaces: a network of their own if that can be connected and
 * leads where they are to go, else the host's. Nothing is started to find out.
 */
export function defaultNetwork(
  { proxyPorts = [], addHosts }: Omit<NetworkNeed, "network">,
  host: NetworkHost = HERE,
): NetworkChoice {
  const connector = CONNECTORS.find(({ name }) => host.find(name) !== undefined);
  const because = (why: string): NetworkChoice => ({ mode: "host", why });
  if (connector === undefined) return because(`${CONNECTORS[0]!.name} is not installed`);
  const obstacle = tunObstacle(host.tun);
  if (obstacle !== undefined) return because(obstacle);
  if (!hasDefaultRoute(host.proc)) return because("the host has no default route");
  if (proxyPorts.length > 0 && !connector.reachesProxies)
    return because(`${connector.name} cannot reach the proxy on this host's loopback`);
  if (addHosts.some(namesHost)) return because("--add-host names the host's gateway");
  return { mode: "private", why: connector.name };
}

function tunObstacle(tun: string): string | undefined {
  try {
    accessSync(tun, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return `${tun} cannot be opened`;
  }
}

/** The program for a mode: `private`, or a connector's name, with options or without. Error: `unsupported`. */
export function chosenConnector(mode: NetworkMode): { connector: Connector; program: string } {
  const refuse = (why: string, hint: string) =>
    new CooperError("unsupported", `Cannot give the command a private network: ${why}`, { hint });
  const name = mode.split(":", 1)[0];
  const candidates = name === "private" ? CONNECTORS : CONNECTORS.filter((one) => one.name === name);
  for (const connector of candidates) {
    const program = findProgram(connector.name);
    if (program === undefined) continue;
    const obstacle = tunObstacle(HERE.tun);
    if (obstacle === undefined) return { connector, program };
    throw refuse(obstacle, "Make /dev/net/tun accessible, or use the host's network");
  }
  const [wanted] = candidates;
  throw refuse(
    `${wanted?.name ?? name} is not installed`,
    `Install ${wanted?.debianPackage ?? "passt"}, or use the host's network`,
  );
}
