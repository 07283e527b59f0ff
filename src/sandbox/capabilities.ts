/** Linux capabilities by name: what a container gets by default and how flags change it. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";

/** In the order of their numbers (linux/capability.h). */
export const CAPABILITY_NAMES = `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

const numbers = new Map(CAPABILITY_NAMES.map((name, number) => [name, number]));

/** Docker's default set. */
const DOCKER_DEFAULT =
  `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
SYS_CHROOT KILL AUDIT_WRITE`
    .split(/\s+/)
    .map((name) => `CAP_${name}`);

/** Bit mask of some capabilities. */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const number = numbers.get(name);
    return number === undefined ? mask : mask | (1n << BigInt(number));
  }, 0n);
}

/** Names in a bit mask, those that we know. */
export function capabilitiesOf(mask: bigint): string[] {
  return CAPABILITY_NAMES.filter((_, number) => (mask & (1n << BigInt(number))) !== 0n);
}

/** A set of this process: what it may use (`CapEff`) or could ever get (`CapBnd`), from /proc/self/status. */
export function ownCapabilities(set: "CapEff" | "CapBnd"): bigint {
  const match = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, "m").exec(readFileSync("/proc/self/status", "latin1"));
  return BigInt(`0x${match?.[1] ?? "0"}`);
}

/** Whether this process may use a capability. */
export function holds(name: string): boolean {
  return (ownCapabilities("CapEff") & capabilityMask([name])) !== 0n;
}

/** What a command gets unless asked otherwise: Docker's fourteen, or `configured`, minus what this host withholds. */
export function defaultCapabilities(configured: readonly string[] = DOCKER_DEFAULT): string[] {
  return withinHost(configured);
}

/** Drops what is not in this process's bounding set: no container can have it. */
export function withinHost(names: readonly string[]): string[] {
  const bounding = ownCapabilities("CapBnd");
  return names.filter((name) => (capabilityMask([name]) & bounding) !== 0n);
}

/** Canonical name, `CAP_CHOWN`, of `chown`, `CHOWN` or `CAP_CHOWN`. Error: `usage`. */
export function capabilityName(text: string): string {
  const upper = text.trim().toUpperCase();
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (numbers.has(name)) return name;
  throw new CooperError("usage", `There is no capability ${JSON.stringify(text)}`, {
    hint: "See capabilities(7) for the names",
  });
}

/**
 * A base set changed by --cap-add and --cap-drop, `ALL` included. As in Docker: a name in both is refused, dropping ALL
 * starts from nothing, adding ALL from everything that the host has.
 */
export function editCapabilities(
  base: readonly string[],
  change: { add: readonly string[]; drop: readonly string[] },
): string[] {
  const isAll = (name: string) => ["ALL", "CAP_ALL"].includes(name.trim().toUpperCase());
  const names = (list: readonly string[]) => list.filter((name) => !isAll(name)).map(capabilityName);
  const added = names(change.add);
  const dropped = names(change.drop);
  const both = added.find((name) => dropped.includes(name));
  if (both !== undefined) throw new CooperError("usage", `The capability ${both} is both added and dropped`);
  let set: readonly string[] = base;
  if (change.drop.some(isAll)) set = [];
  if (change.add.some(isAll)) set = CAPABILITY_NAMES;
  const kept = [...set, ...added].filter((name) => !dropped.includes(name));
  return withinHost([...new Set(kept)]);
}
