/** Resource limits: names, texts and what the host lets us set. */
import { readFileSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { ownCapabilities } from "./capabilities.ts";

export interface Rlimit {
  /** `RLIMIT_NOFILE`. */
  name: string;
  /** -1 for unlimited. */
  soft: number;
  hard: number;
}

/** Kernel's numbers (asm-generic/resource.h) by name. */
export const RLIMIT_NUMBERS: Record<string, number> = Object.fromEntries(
  [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
  ].map((name, number) => [`RLIMIT_${name}`, number]),
);

/** Reads `nofile=1024:2048` as --ulimit and containers.conf have it; `-1` and `unlimited` mean none. Error: `usage`. */
export function parseRlimit(text: string): Rlimit {
  const match = /^([a-z_]+)=(-1|unlimited|\d+)(?::(-1|unlimited|\d+))?$/i.exec(text.trim());
  const number = (value: string) => (value === "unlimited" || value === "-1" ? -1 : Number(value));
  const name = rlimitName(match?.[1] ?? text);
  if (match === null)
    throw new CooperError("usage", `The limit ${JSON.stringify(text)} is not of the form name=soft[:hard]`);
  const soft = number(match[2]!);
  const hard = match[3] === undefined ? soft : number(match[3]);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw new CooperError("usage", `The limit ${JSON.stringify(text)} has a soft limit above its hard limit`);
  }
  return { name, soft, hard };
}

/** Canonical name of `nofile` or `RLIMIT_NOFILE`. Error: `usage`. */
export function rlimitName(text: string): string {
  const upper = text.toUpperCase();
  const name = upper.startsWith("RLIMIT_") ? upper : `RLIMIT_${upper}`;
  if (name in RLIMIT_NUMBERS) return name;
  throw new CooperError("usage", `There is no resource limit ${JSON.stringify(text)}`);
}

const SYS_RESOURCE = 1n << 24n;

/** Limits as this process may set them: only CAP_SYS_RESOURCE of the initial user namespace raises a hard limit. */
export function clampRlimits(limits: readonly Rlimit[]): Rlimit[] {
  if (limits.length === 0) return [];
  if (mayRaise()) return [...limits];
  const own = ownHardLimits();
  return limits.map(({ name, soft, hard }) => {
    const highest = own.get(name) ?? -1;
    return { name, soft: least(soft, highest), hard: least(hard, highest) };
  });
}

function least(a: number, b: number): number {
  if (a === -1) return b;
  return b === -1 ? a : Math.min(a, b);
}

function mayRaise(): boolean {
  const initial = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
  return initial && (ownCapabilities("CapEff") & SYS_RESOURCE) !== 0n;
}

const LIMIT_TITLES: Record<string, string> = {
  "Max cpu time": "CPU",
  "Max file size": "FSIZE",
  "Max data size": "DATA",
  "Max stack size": "STACK",
  "Max core file size": "CORE",
  "Max resident set": "RSS",
  "Max processes": "NPROC",
  "Max open files": "NOFILE",
  "Max locked memory": "MEMLOCK",
  "Max address space": "AS",
  "Max file locks": "LOCKS",
  "Max pending signals": "SIGPENDING",
  "Max msgqueue size": "MSGQUEUE",
  "Max nice priority": "NICE",
  "Max realtime priority": "RTPRIO",
  "Max realtime timeout": "RTTIME",
};

/** Hard limits of this process from /proc/self/limits. */
function ownHardLimits(): Map<string, number> {
  const limits = new Map<string, number>();
  for (const line of readFileSync("/proc/self/limits", "latin1").split("\n")) {
    const match = /^(Max .+?)\s{2,}(\S+)\s+(\S+)/.exec(line);
    const name = LIMIT_TITLES[match?.[1] ?? ""];
    if (name !== undefined) limits.set(`RLIMIT_${name}`, match![3] === "unlimited" ? -1 : Number(match![3]));
  }
  return limits;
}
