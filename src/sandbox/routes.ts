/** Default routes of this network namespace, as the kernel lists them (route(8), proc_net(5)). */
import { readFileSync } from "node:fs";

const RTF_REJECT = 0x200;

/** Whether anything leads beyond the networks that are attached, by IPv4 or IPv6. `proc`: a proc file system. */
export function hasDefaultRoute(proc = "/proc"): boolean {
  return (
    rows(`${proc}/net/route`).some(
      ([, destination, , flags = "0", , , , mask]) =>
        destination === "00000000" && mask === "00000000" && !isRejected(flags),
    ) ||
    rows(`${proc}/net/ipv6_route`).some(
      ([destination = "", prefix, , , , , , , flags = "0"]) =>
        /^0{32}$/.test(destination) && prefix === "00" && !isRejected(flags),
    )
  );
}

/** Address of the gateway of the default route by IPv4. */
export function defaultGateway(): string | undefined {
  for (const [, destination, gateway = ""] of rows("/proc/net/route")) {
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

const isRejected = (flags: string) => (Number.parseInt(flags, 16) & RTF_REJECT) !== 0;

/** None where the kernel has no such protocol. */
function rows(file: string): string[][] {
  try {
    return readFileSync(file, "latin1")
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}
