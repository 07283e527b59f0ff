/** EXPOSE: `port`, `port/protocol`, ranges; the forms of `docker run -p` are let through, as in BuildKit. */
import { CooperError } from "../base/errors.ts";
import { isIpAddress } from "../oci/ip-address.ts";

export interface ExposedPort {
  /** `80/tcp`, one for each port of a range. */
  ports: string[];
  /** The protocol has capitals: a check of BuildKit's. */
  protocolCasing: boolean;
  /** An address or a host port is given, which means nothing here: a check of BuildKit's. */
  hasHostPart: boolean;
}

/** Reads one argument of EXPOSE. Throws `invalid`. */
export function parseExposed(text: string): ExposedPort {
  const parts = text.split(":");
  const container = parts.pop()!;
  const hostPort = parts.pop() ?? "";
  const address = parts.join(":");
  const [range, protocol = ""] = splitOnce(container, "/");
  if (range === "") throw bad(text, "it has no port");
  if (!["", "tcp", "udp", "sctp"].includes(protocol.toLowerCase())) {
    throw bad(text, `"${protocol}" is not a protocol`, "It can be tcp, udp or sctp");
  }
  checkAddress(text, address);
  const [start, end] = parseRange(text, range);
  if (hostPort !== "") {
    const [hostStart, hostEnd] = parseRange(text, hostPort);
    if (end !== start && end - start !== hostEnd - hostStart)
      throw bad(text, "its two ranges differ in length");
  }
  const name = protocol === "" ? "tcp" : protocol.toLowerCase();
  return {
    ports: Array.from({ length: end - start + 1 }, (_, i) => `${start + i}/${name}`),
    protocolCasing: protocol !== protocol.toLowerCase(),
    hasHostPart: address !== "" || hostPort !== "",
  };
}

function checkAddress(text: string, address: string): void {
  const bare = /^\[(.*)\]$/.exec(address)?.[1] ?? address;
  if (address !== "" && !isIpAddress(bare)) throw bad(text, `"${address}" is not an address`);
}

function parseRange(text: string, range: string): [number, number] {
  const [first, last] = splitOnce(range, "-");
  const start = parsePort(text, first);
  const end = last === undefined ? start : parsePort(text, last);
  if (end < start) throw bad(text, "the range ends before it begins");
  return [start, end];
}

function parsePort(text: string, digits: string): number {
  const port = /^[+-]?\d+$/.test(digits) ? Number(digits) : Number.NaN;
  if (Number.isNaN(port)) throw bad(text, `"${digits}" is not a number`);
  if (port < 0 || port > 65535) throw bad(text, "ports go up to 65535");
  return port;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function bad(text: string, why: string, hint?: string): CooperError {
  return new CooperError("invalid", `Invalid port "${text}": ${why}`, hint === undefined ? {} : { hint });
}
