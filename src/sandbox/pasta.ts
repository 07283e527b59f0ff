/** pasta(1): the host's addresses and routes, copied into a namespace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startConnecting } from "./connecting-process.ts";
import type { Connector } from "./network.ts";

/** Where pasta answers for the host's name server, for hosts whose own server listens on loopback only. */
const FORWARDER = "169.254.1.1";

/** No port of the namespace is the host's, nor the other way round; each of a flag's two names. */
const PORTS = [
  ["-t", "--tcp-ports"],
  ["-u", "--udp-ports"],
  ["-T", "--tcp-ns"],
  ["-U", "--udp-ns"],
] as const;

/** Options are arguments of pasta's, separated by commas (`-t,8080:80,--map-gw`), before our own. */
export const pasta: Connector = {
  name: "pasta",
  debianPackage: "passt",
  async connect(program, { namespace, directory, forwards }, options) {
    const given = (names: readonly string[]) =>
      options.some((word) => names.some((name) => word === name || word.startsWith(`${name}=`)));
    // No way back to services on the host's loopback; no user but ours, who alone can reach the namespace's mount.
    const flags = ["--foreground", "--quiet", "--config-net", "--runas", "0", "--netns-only"];
    const mapsGateway = given(["--map-gw"]);
    if (!mapsGateway) flags.push("--no-map-gw");
    for (const names of PORTS) if (!given(names)) flags.push(names[0], "none");
    // Where it forwards, answers of that server come from the forwarder's address only: not beside direct queries.
    const ownForwarder = forwards && !given(["--dns-forward"]);
    if (ownForwarder) flags.push("--dns-forward", FORWARDER);
    const pidFile = join(directory, "pid");
    const target = ["--netns", namespace, "--pid", pidFile];
    const own = options.filter((word) => word !== "--map-gw");
    // pasta writes its PID once the interface is configured.
    const { close } = await startConnecting("pasta", [program, ...flags, ...own, ...target], pidFile);
    const gateway = mapsGateway ? defaultGateway() : undefined;
    return {
      close,
      ...(ownForwarder ? { forwarder: FORWARDER } : {}),
      ...(gateway === undefined ? {} : { hostAddress: gateway }),
    };
  },
};

/** Address of the host's default route (/proc/net/route, route(8)), which pasta's --map-gw makes the host's own. */
function defaultGateway(): string | undefined {
  for (const line of readFileSync("/proc/net/route", "latin1").split("\n")) {
    const [, destination, gateway = ""] = line.split(/\s+/);
    if (destination !== "00000000" || !/^[0-9A-F]{8}$/.test(gateway)) continue;
    // As the machine has it in memory, lowest byte first.
    return gateway
      .match(/../g)!
      .reverse()
      .map((byte) => Number.parseInt(byte, 16))
      .join(".");
  }
  return undefined;
}
