/** slirp4netns(1): a network of its own behind address translation, for hosts without pasta. */
import { CooperError } from "../base/errors.ts";
import { startConnecting } from "./connecting-process.ts";
import type { Connector } from "./connector.ts";

/** Podman's names for its flags (--network in podman-run(1)). */
const OPTIONS: Record<string, (value: string) => string[] | undefined> = {
  allow_host_loopback: (value) =>
    value === "true" ? [] : value === "false" ? ["--disable-host-loopback"] : undefined,
  cidr: (value) => [`--cidr=${value}`],
  enable_ipv6: (value) => (value === "true" ? ["--enable-ipv6"] : value === "false" ? [] : undefined),
  mtu: (value) => (/^\d+$/.test(value) ? [`--mtu=${value}`] : undefined),
  outbound_addr: (value) => [`--outbound-addr=${value}`],
  outbound_addr6: (value) => [`--outbound-addr6=${value}`],
};

const DEFAULTS = { allow_host_loopback: "false", enable_ipv6: "true", mtu: "65520" };
const DEFAULT_CIDR = "10.0.2.0/24";

export const slirp: Connector = {
  name: "slirp4netns",
  debianPackage: "slirp4netns",
  reachesProxies: false,
  async connect(program, place, options) {
    const { namespace, forwards } = place;
    const values: Record<string, string> = { ...DEFAULTS, ...Object.fromEntries(options.map(readOption)) };
    const flags = Object.entries(values).flatMap(([name, value]) => flagsOf(name, value));
    const target = ["--netns-type=path", namespace, "tap0"];
    const argv = [program, "--configure", "--ready-fd=3", ...flags, ...target];
    const process = await startConnecting({ name: "slirp4netns", argv, readyFd: 3 }, place);
    const { cidr = DEFAULT_CIDR } = values;
    return {
      ...process,
      ...(forwards ? { forwarder: addressIn(cidr, 3) } : {}),
      ...(values.allow_host_loopback === "true" ? { hostAddress: addressIn(cidr, 2) } : {}),
    };
  },
};

function readOption(word: string): [string, string] {
  const at = word.indexOf("=");
  const [name, value] = at === -1 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
  if (name in OPTIONS) return [name, value];
  throw new CooperError("usage", `Unknown option ${JSON.stringify(name)} of --network slirp4netns`, {
    hint: `Options are ${Object.keys(OPTIONS).join(", ")}`,
  });
}

function flagsOf(name: string, value: string): string[] {
  const flags = OPTIONS[name]!(value);
  if (flags !== undefined) return flags;
  throw new CooperError("usage", `Cannot read the value of ${name} in --network slirp4netns: "${value}"`);
}

/** The second address is the host's, the third the name server's. Error: `usage`. */
function addressIn(cidr: string, offset: number): string {
  const match = /^(\d+\.\d+\.\d+\.)(\d+)\/\d+$/.exec(cidr);
  if (match === null)
    throw new CooperError("usage", `Cannot read the network ${cidr} of --network slirp4netns`);
  return `${match[1]}${Number(match[2]) + offset}`;
}
