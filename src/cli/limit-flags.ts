/** Flags that limit what commands may use: of `from` and `build`. */
import { CooperError } from "../base/errors.ts";
import type { RunSettings } from "../index.ts";
import type { FlagTable } from "./command.ts";
import { parseBytes } from "./units.ts";

export const LIMIT_FLAGS = {
  "cgroup-parent": {
    type: "string",
    placeholder: "path",
    help: "the cgroup below which commands get one of their own",
  },
  "cpu-period": {
    type: "int",
    placeholder: "microseconds",
    help: "period of --cpu-quota; 100000 if not given",
  },
  "cpu-quota": {
    type: "int",
    placeholder: "microseconds",
    help: "processor time in each period",
  },
  "cpu-shares": {
    type: "int",
    short: "c",
    placeholder: "weight",
    help: "share of the processors against others, 1024 being the usual one",
  },
  "cpuset-cpus": { type: "string", placeholder: "list", help: "processors to run on, as 0-3,7" },
  "cpuset-mems": { type: "string", placeholder: "list", help: "memory nodes to use, as 0,1" },
  memory: { type: "string", short: "m", placeholder: "number[unit]", help: "most memory of a command" },
  "memory-swap": {
    type: "string",
    placeholder: "number[unit]",
    help: "most memory and swap together; -1 for no limit of swap",
  },
} as const satisfies FlagTable;

export interface LimitFlagValues {
  "cgroup-parent"?: string | undefined;
  "cpu-period"?: number | undefined;
  "cpu-quota"?: number | undefined;
  "cpu-shares"?: number | undefined;
  "cpuset-cpus"?: string | undefined;
  "cpuset-mems"?: string | undefined;
  memory?: string | undefined;
  "memory-swap"?: string | undefined;
}

/** Only what was asked for; undefined when nothing was. Throws `usage`. */
export function limitsOf(flags: LimitFlagValues): RunSettings["limits"] {
  const swap = flags["memory-swap"];
  const all = {
    memory: bytesOf(flags.memory, "--memory"),
    memorySwap: swap === "-1" ? -1 : bytesOf(swap, "--memory-swap"),
    cpuPeriod: flags["cpu-period"],
    cpuQuota: flags["cpu-quota"],
    cpuShares: flags["cpu-shares"],
    cpusetCpus: setOf(flags["cpuset-cpus"], "--cpuset-cpus"),
    cpusetMems: setOf(flags["cpuset-mems"], "--cpuset-mems"),
    cgroupParent: flags["cgroup-parent"],
  };
  // 0 and nothing mean "no limit" to Buildah.
  const given = Object.entries(all).filter(([, value]) => value !== undefined && value !== 0 && value !== "");
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

function bytesOf(text: string | undefined, shown: string): number | undefined {
  return text === undefined || text === "" ? undefined : parseBytes(text, shown);
}

function setOf(text: string | undefined, shown: string): string | undefined {
  if (text === undefined || text === "" || /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/.test(text)) return text;
  throw new CooperError("usage", `Cannot read ${JSON.stringify(text)} for ${shown}`, {
    hint: "Write it as 0-3,7",
  });
}
