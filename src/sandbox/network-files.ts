/** Texts of /etc/resolv.conf and /etc/hosts for a container. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { isIpAddress } from "../oci/ip-address.ts";
import type { RunSpec } from "./types.ts";

const SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf";

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

interface Resolver {
  servers: string[];
  search: string[];
  options: string[];
}

/** Fields of a resolv.conf(5); the last `search` or `domain` line counts, servers and options add up. */
export function parseResolvConf(text: string): Resolver {
  const resolver: Resolver = { servers: [], search: [], options: [] };
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined) resolver.servers.push(values[0]);
    else if (keyword === "search" || keyword === "domain") resolver.search = values;
    else if (keyword === "options") resolver.options.push(...values);
  }
  return resolver;
}

/** Whether a server listens on the host's loopback interface, out of reach from another network namespace. */
function isLoopback(server: string): boolean {
  return server.startsWith("127.") || server === "::1";
}

/**
 * Text of /etc/resolv.conf: the host's, with what the spec replaces. Outside the host's network its loopback servers
 * give way to those that systemd-resolved asks, or to `forwarder`, the network's own.
 */
export function resolvConf(spec: Pick<RunSpec, "dns" | "network">, forwarder?: string): string {
  const host = parseResolvConf(readOr("/etc/resolv.conf", ""));
  if (spec.network !== "host") host.servers = reachableServers(host.servers, forwarder);
  const { servers, search, options } = spec.dns;
  const chosen = {
    servers: servers.length > 0 ? servers : host.servers,
    search: search.length > 0 ? search.filter((domain) => domain !== ".") : host.search,
    options: options.length > 0 ? options : host.options,
  };
  const lines = chosen.servers.map((server) => `nameserver ${server}`);
  if (chosen.search.length > 0) lines.unshift(`search ${chosen.search.join(" ")}`);
  if (chosen.options.length > 0) lines.push(`options ${chosen.options.join(" ")}`);
  return lines.map((line) => `${line}\n`).join("");
}

function reachableServers(servers: string[], forwarder: string | undefined): string[] {
  const reachable = servers.filter((server) => !isLoopback(server));
  if (reachable.length > 0) return reachable;
  const upstream = parseResolvConf(readOr(SYSTEMD_RESOLV_CONF, "")).servers.filter(
    (server) => !isLoopback(server),
  );
  if (upstream.length > 0) return upstream;
  return forwarder === undefined ? [] : [forwarder];
}

/** Whether the host's name servers can only be asked from the host's own network namespace. */
export function needsForwarder(): boolean {
  return reachableServers(parseResolvConf(readOr("/etc/resolv.conf", "")).servers, undefined).length === 0;
}

/**
 * Text of /etc/hosts: localhost, the lines of `baseHosts`, --add-host's, the container's name and, where known, the
 * host's. Error: `usage` for an entry that is not name:ip.
 */
export function hostsFile(
  spec: Pick<RunSpec, "addHosts" | "hostname" | "network">,
  options: { baseHosts?: string; hostAddress?: string } = {},
): string {
  const hostAddress = options.hostAddress ?? (spec.network === "host" ? "127.0.0.1" : undefined);
  const added = spec.addHosts.map((entry) => parseHost(entry, hostAddress));
  const lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"];
  if (options.baseHosts !== undefined) lines.push(...readOr(options.baseHosts, "").trimEnd().split("\n"));
  lines.push(...added.map(({ name, address }) => `${address}\t${name}`));
  if (spec.hostname !== "" && spec.hostname !== "localhost") lines.push(`127.0.1.1\t${spec.hostname}`);
  const known = added.some(({ name }) => name === HOST_NAME);
  if (hostAddress !== undefined && !known) lines.push(`${hostAddress}\t${HOST_NAME}`);
  return lines.map((line) => `${line}\n`).join("");
}

const HOST_NAME = "host.containers.internal";

function noGateway(entry: string): never {
  throw new CooperError(
    "unsupported",
    `Cannot add the host ${entry}: the host cannot be reached from this network`,
    {
      hint: "Use --network host, pasta:--map-gw or slirp4netns:allow_host_loopback=true, or give an address",
    },
  );
}

/** Whether an entry of --add-host takes the address at which a command reaches the host. */
export function namesHost(entry: string): boolean {
  return /[:=]host-gateway$/.test(entry);
}

/** An entry of --add-host. Error: `usage`, and `unsupported` for the host's address where there is none. */
export function parseHost(entry: string, hostAddress: string | undefined): { name: string; address: string } {
  const at = entry.search(/[:=]/);
  const name = entry.slice(0, at);
  const given = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
  const address = namesHost(entry) ? (hostAddress ?? noGateway(entry)) : given;
  if (at > 0 && /^[A-Za-z0-9._-]+$/.test(name) && isIpAddress(address)) return { name, address };
  throw new CooperError("usage", `The host entry ${JSON.stringify(entry)} is not of the form name:ip`);
}
