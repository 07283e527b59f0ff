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
  const own = limitsIn("/proc/self/limits");
  return limits.map(({ name, soft, hard }) => {
    const highest = own.get(name)?.hard ?? -1;
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

/** Limits of a process from its limits file (proc_pid_limits(5)), by name. */
function limitsIn(file: string): Map<string, { soft: number; hard: number }> {
  const number = (text: string) => (text === "unlimited" ? -1 : Number(text));
  const limits = new Map<string, { soft: number; hard: number }>();
  for (const line of readFileSync(file, "latin1").split("\n")) {
    const match = /^(Max .+?)\s{2,}(\S+)\s+(\S+)/.exec(line);
    const name = LIMIT_TITLES[match?.[1] ?? ""];
    if (name !== undefined)
      limits.set(`RLIMIT_${name}`, { soft: number(match![2]!), hard: number(match![3]!) });
  }
  return limits;
}

const FILES = "RLIMIT_NOFILE";
/** What Linux and systemd give a process, and what old programs count up to. */
const USUAL_FILES = 1024;

/**
 * Limits with one for open files: the runtime that we are written for raises its own, which commands would inherit, so
 * they get the soft limit that we were started with. It is our parent's, unless that one's hard limit is another.
 */
export function withFileLimit(limits: readonly Rlimit[]): Rlimit[] {
  if (limits.some(({ name }) => name === FILES)) return [...limits];
  const own = limitsIn("/proc/self/limits").get(FILES);
  if (own === undefined) return [...limits];
  return [...limits, { name: FILES, soft: startingFiles(own), hard: own.hard }];
}

function startingFiles(own: { soft: number; hard: number }): number {
  try {
    const parent = limitsIn(`/proc/${process.ppid}/limits`).get(FILES);
    if (parent?.hard === own.hard) return least(parent.soft, own.soft);
  } catch {
    // Hidden, or it has ended.
  }
  return least(USUAL_FILES, own.soft);
}
