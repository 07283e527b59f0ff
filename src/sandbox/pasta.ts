/** pasta(1): the host's addresses and routes, copied into a namespace. */
import { startConnecting } from "./connecting-process.ts";
import type { Connector } from "./connector.ts";
import { defaultGateway } from "./routes.ts";

/** Where pasta answers for the host's name server, for hosts whose own server listens on loopback only. */
const FORWARDER = "169.254.1.1";

/**
 * No port of the namespace is the host's, nor the other way round but for proxies; each of a flag's two names, and what is
 * forwarded.
 */
const PORTS = (proxies: string) =>
  [
    ["-t", "--tcp-ports", "none"],
    ["-u", "--udp-ports", "none"],
    ["-T", "--tcp-ns", proxies],
    ["-U", "--udp-ns", "none"],
  ] as const;

/** Options are arguments of pasta's, separated by commas (`-t,8080:80,--map-gw`), before our own. */
export const pasta: Connector = {
  name: "pasta",
  debianPackage: "passt",
  reachesProxies: true,
  async connect(program, place, options) {
    const { namespace, forwards, proxyPorts } = place;
    const given = (names: readonly string[]) =>
      options.some((word) => names.some((name) => word === name || word.startsWith(`${name}=`)));
    // No way back to services on the host's loopback; no user but ours, who alone can reach the namespace's mount.
    const flags = ["--foreground", "--quiet", "--config-net", "--runas", "0", "--netns-only"];
    const mapsGateway = given(["--map-gw"]);
    if (!mapsGateway) flags.push("--no-map-gw");
    for (const [short, long, ports] of PORTS(proxyPorts.join(",") || "none"))
      if (!given([short, long])) flags.push(short, ports);
    // Where it forwards, answers of that server come from the forwarder's address only: not beside direct queries.
    const ownForwarder = forwards && !given(["--dns-forward"]);
    if (ownForwarder) flags.push("--dns-forward", FORWARDER);
    const own = options.filter((word) => word !== "--map-gw");
    // It writes its PID once the interface is configured.
    const target = ["--netns", namespace, "--pid", "/proc/self/fd/1"];
    const argv = [program, ...flags, ...own, ...target];
    const process = await startConnecting({ name: "pasta", argv, readyFd: 1 }, place);
    const gateway = mapsGateway ? defaultGateway() : undefined;
    return {
      ...process,
      ...(ownForwarder ? { forwarder: FORWARDER } : {}),
      ...(gateway === undefined ? {} : { hostAddress: gateway }),
    };
  },
};
