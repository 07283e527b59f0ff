/** Memory and processor limits of a command, by a cgroup of its own on either version of the interface (cgroups(7)). */
import { accessSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { type CgroupView, cgroupView } from "./cgroup-view.ts";
import { dividingCgroup, type Obstacle, obstacleTo } from "./dividing-cgroup.ts";
import { processStartTime } from "./keeper.ts";
import type { ResourceLimits } from "./types.ts";

/** The cgroups that a run's first process has to enter, one for each hierarchy. */
export interface LimitedCgroups {
  directories: string[];
  /** Removes them; call it when no process is left in them. */
  close(): void;
}

type Controller = "memory" | "cpu" | "cpuset";

/** Files and what is written to them, in their order. */
type Settings = Partial<Record<Controller, [file: string, value: string][]>>;

/**
 * Makes cgroups with the limits; undefined where none is asked for. Errors: `usage` for limits that contradict each other,
 * `unsupported` where no cgroup can be made that enforces them.
 */
export function openLimits(
  limits: ResourceLimits | undefined,
  view: CgroupView = cgroupView(),
): LimitedCgroups | undefined {
  if (limits === undefined || Object.values(limits).every((value) => value === undefined)) return undefined;
  checkLimits(limits);
  if (view.version === undefined) throw refusal(limits, "there are no cgroups in /sys/fs/cgroup");
  return view.version === 2 ? openUnified(limits, view) : openSeparate(limits, view);
}

function checkLimits({ memory, memorySwap }: ResourceLimits): void {
  if (memorySwap === undefined || memorySwap === -1) return;
  if (memory === undefined) throw new CooperError("usage", "--memory-swap takes --memory as well");
  if (memorySwap < memory)
    throw new CooperError(
      "usage",
      "--memory-swap is memory and swap together: it cannot be less than --memory",
    );
}

const DELEGATE =
  "it takes root, or a cgroup delegated to the user: systemd-run --user --scope -p Delegate=yes cooper …";

function refusal(
  limits: ResourceLimits,
  why: string,
  { cause, hint = DELEGATE }: { cause?: unknown; hint?: string | undefined } = {},
): CooperError {
  const { memory, memorySwap, cpusetCpus, cpusetMems, cpuPeriod, cpuQuota, cpuShares } = limits;
  const isMemory = memory !== undefined || memorySwap !== undefined;
  const isCpu = [cpusetCpus, cpusetMems, cpuPeriod, cpuQuota, cpuShares].some((value) => value !== undefined);
  const what = [...(isMemory ? ["memory"] : []), ...(isCpu ? ["processor time"] : [])].join(" and ");
  const task = what === "" ? "Cannot put the command into a cgroup" : `Cannot limit the command's ${what}`;
  return new CooperError("unsupported", `${task}: ${why}`, { cause, hint });
}

/** Version 2: one cgroup, below the nearest that may be divided further. */
function openUnified(limits: ResourceLimits, view: CgroupView): LimitedCgroups {
  const settings = unifiedSettings(limits);
  const needed = Object.keys(settings) as Controller[];
  const made: string[] = [];
  const parent =
    limits.cgroupParent === undefined
      ? dividingCgroup({ root: view.root, own: view.own.get("") ?? "/" }, needed)
      : namedParent(limits, join(view.root, limits.cgroupParent), needed, made);
  if (typeof parent === "string")
    return finish(limits, made, () => [makeCgroup(parent, Object.values(settings).flat(), made)]);
  removeAll(made);
  throw refusal(limits, parent.reason, { hint: parent.hint });
}

function namedParent(
  limits: ResourceLimits,
  path: string,
  needed: Controller[],
  made: string[],
): string | Obstacle {
  return obstacleTo(makeParent(limits, path, made), needed) ?? path;
}

/** Version 1: a cgroup for each controller, below the one that this process is in. */
function openSeparate(limits: ResourceLimits, view: CgroupView): LimitedCgroups {
  const settings = separateSettings(limits);
  const made: string[] = [];
  return finish(limits, made, () =>
    (Object.entries(settings) as [Controller, [string, string][]][]).map(([controller, values]) => {
      const hierarchy = join(view.root, controller);
      if (!exists(hierarchy)) throw refusal(limits, `there is no controller ${controller}`);
      const own = join(hierarchy, view.own.get(controller) ?? "/");
      const parent =
        limits.cgroupParent === undefined
          ? // In a container the mount may begin where the path ends.
            exists(own)
            ? own
            : hierarchy
          : makeParent(limits, join(hierarchy, limits.cgroupParent), made);
      const inherited = controller === "cpuset" ? inheritedSet(parent) : [];
      return makeCgroup(parent, [...inherited, ...values], made);
    }),
  );
}

/** A new cpuset of version 1 is empty, and takes no process. */
function inheritedSet(parent: string): [string, string][] {
  return ["cpuset.cpus", "cpuset.mems"].map((file) => [
    file,
    readFileSync(join(parent, file), "latin1").trim(),
  ]);
}

function finish(limits: ResourceLimits, made: string[], make: () => string[]): LimitedCgroups {
  try {
    return { directories: make(), close: () => removeAll(made) };
  } catch (error) {
    removeAll(made);
    if (error instanceof CooperError) throw error;
    const why = ["EACCES", "EPERM", "EROFS"].includes(errnoOf(error) ?? "")
      ? `no cgroup is delegated to this user (${messageOf(error)})`
      : messageOf(error);
    throw refusal(limits, why, { cause: error });
  }
}

/** Makes a parent that was named, with the ones above it. */
function makeParent(limits: ResourceLimits, path: string, made: string[]): string {
  if (exists(path)) return path;
  makeParent(limits, dirname(path), made);
  try {
    mkdirSync(path);
  } catch (error) {
    removeAll(made);
    throw refusal(limits, `the cgroup ${limits.cgroupParent} cannot be made: ${messageOf(error)}`, {
      cause: error,
    });
  }
  made.push(path);
  return path;
}

function makeCgroup(parent: string, values: [string, string][], made: string[]): string {
  sweep(parent);
  const name = `cooper-${process.pid}-${processStartTime(process.pid)}-${counter++}`;
  const path = join(parent, name);
  mkdirSync(path);
  made.push(path);
  for (const [file, value] of values) {
    try {
      writeFileSync(join(path, file), value);
    } catch (error) {
      if (errnoOf(error) === "EINVAL" || errnoOf(error) === "ERANGE")
        throw new CooperError("usage", `The kernel does not take ${value} for ${file}`, { cause: error });
      throw error;
    }
  }
  return path;
}

let counter = 0;

/** Removes what a killed Cooper left there: empty, since its processes were killed with it. */
function sweep(parent: string): void {
  for (const name of readdirSync(parent)) {
    const match = /^cooper-(\d+)-(\d+)-\d+$/.exec(name);
    if (match !== null && processStartTime(Number(match[1])) !== Number(match[2]))
      tryRemove(join(parent, name));
  }
}

function removeAll(paths: string[]): void {
  for (const path of paths.toReversed()) tryRemove(path);
  paths.length = 0;
}

/** The last process may not have been buried yet. */
function tryRemove(path: string): void {
  for (let tries = 0; tries < 50; tries++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (errnoOf(error) !== "EBUSY") return;
      Bun.sleepSync(2);
    }
  }
}

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

const DEFAULT_PERIOD = 100_000;

/** Limits in the terms of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst). */
export function unifiedSettings(limits: ResourceLimits): Settings {
  const { memory, memorySwap, cpuPeriod, cpuQuota, cpuShares, cpusetCpus, cpusetMems } = limits;
  const settings: Settings = {};
  const add = (controller: Controller, file: string, value: string) => {
    settings[controller] = [...(settings[controller] ?? []), [file, value]];
  };
  if (memory !== undefined) add("memory", "memory.max", String(memory));
  if (memorySwap !== undefined)
    add("memory", "memory.swap.max", memorySwap === -1 ? "max" : String(memorySwap - (memory ?? 0)));
  if (cpuPeriod !== undefined || cpuQuota !== undefined) {
    const quota = cpuQuota === undefined || cpuQuota <= 0 ? "max" : String(cpuQuota);
    add("cpu", "cpu.max", `${quota} ${cpuPeriod ?? DEFAULT_PERIOD}`);
  }
  if (cpuShares !== undefined) add("cpu", "cpu.weight", String(weightOf(cpuShares)));
  if (cpusetCpus !== undefined) add("cpuset", "cpuset.cpus", cpusetCpus);
  if (cpusetMems !== undefined) add("cpuset", "cpuset.mems", cpusetMems);
  return settings;
}

/** 2…262144 onto 1…10000, as every OCI runtime does it (crun(1), "CPU controller"). */
function weightOf(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

/** Limits in the terms of cgroup v1 (Documentation/admin-guide/cgroup-v1). */
export function separateSettings(limits: ResourceLimits): Settings {
  const { memory, memorySwap, cpuPeriod, cpuQuota, cpuShares, cpusetCpus, cpusetMems } = limits;
  const settings: Settings = {};
  const add = (controller: Controller, file: string, value: number | string | undefined) => {
    if (value !== undefined) settings[controller] = [...(settings[controller] ?? []), [file, String(value)]];
  };
  add("memory", "memory.limit_in_bytes", memory);
  add("memory", "memory.memsw.limit_in_bytes", memorySwap);
  add("cpu", "cpu.cfs_period_us", cpuPeriod);
  add("cpu", "cpu.cfs_quota_us", cpuQuota);
  add("cpu", "cpu.shares", cpuShares);
  add("cpuset", "cpuset.cpus", cpusetCpus);
  add("cpuset", "cpuset.mems", cpusetMems);
  // A parent alone: where the command is counted.
  if (limits.cgroupParent !== undefined && Object.keys(settings).length === 0) settings.memory = [];
  return settings;
}
