/** Ports as EXPOSE and --port write them, in the form in which a config holds them. */
import { CooperError } from "../base/errors.ts";

const SPEC = /^(\d+)(?:-(\d+))?(?:\/([A-Za-z]+))?$/;
const PROTOCOLS = new Set(["tcp", "udp", "sctp"]);

/**
 * The keys of ExposedPorts for one specification: `80` gives `80/tcp`, `8000-8002/udp` gives three. Docker expands
 * ranges the same way. Throws `usage`.
 */
export function exposedPorts(spec: string): string[] {
  const [, first, last, protocol = "tcp"] = SPEC.exec(spec) ?? [];
  if (first === undefined) throw bad(spec, "it is not port[-port][/protocol]");
  const from = Number(first);
  const to = last === undefined ? from : Number(last);
  if (from < 1 || to > 65535 || from > 65535) throw bad(spec, "ports go from 1 to 65535");
  if (to < from) throw bad(spec, "the range ends before it begins");
  const name = protocol.toLowerCase();
  if (!PROTOCOLS.has(name)) throw bad(spec, `"${protocol}" is not tcp, udp or sctp`);
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}/${name}`);
}

function bad(spec: string, why: string): CooperError {
  return new CooperError("usage", `Port "${spec}" cannot be exposed: ${why}`);
}
