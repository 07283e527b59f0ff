// Protects limits on cgroup v2, which test machines seldom delegate, on a directory that looks like it; and what is refused.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openLimits, separateSettings, unifiedSettings } from "../../src/sandbox/resource-limits.ts";

const directory = mkdtempSync(join(tmpdir(), "cooper-limits-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

/** A tree of cgroups: path → controllers that it has, and those that its children get. */
function tree(groups: Record<string, [has: string, passes: string]>): string {
  const root = join(directory, `tree-${count++}`);
  for (const [path, [has, passes]] of Object.entries(groups)) {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, "cgroup.procs"), "");
    writeFileSync(join(root, path, "cgroup.controllers"), `${has}\n`);
    writeFileSync(join(root, path, "cgroup.subtree_control"), `${passes}\n`);
  }
  return root;
}

const view = (root: string, own: string) => ({ version: 2 as const, root, own: new Map([["", own]]) });
const MB = 1 << 20;

test("of version 2, the cgroup is made below the nearest that passes the controllers on", () => {
  const all = "cpu cpuset memory pids";
  const root = tree({ "/": [all, all], "/app": [all, all], "/app/run": ["pids", ""] });
  const limits = openLimits({ memory: 64 * MB, cpuQuota: 25_000 }, view(root, "/app/run"))!;
  const [path] = limits.directories as [string];
  expect(dirname(path)).toBe(join(root, "app"));
  expect(readFileSync(join(path, "memory.max"), "utf8")).toBe(String(64 * MB));
  expect(readFileSync(join(path, "cpu.max"), "utf8")).toBe("25000 100000");
  expect(readdirSync(join(root, "app/run"))).toHaveLength(3);
});

test("controllers that the cgroup has and does not pass on are switched on", () => {
  const root = tree({ "/": ["memory cpu", "cpu"] });
  openLimits({ memory: MB }, view(root, "/"));
  expect(readFileSync(join(root, "cgroup.subtree_control"), "utf8")).toBe("+memory");
});

test("a cgroup with processes is passed over for any controller: cpu would go to threads alone", () => {
  const root = tree({ "/": ["cpu", "cpu"], "/run": ["cpu", ""] });
  writeFileSync(join(root, "run/cgroup.type"), "domain\n");
  writeFileSync(join(root, "run/cgroup.procs"), "1\n");
  const [path] = openLimits({ cpuQuota: 25_000 }, view(root, "/run"))!.directories as [string];
  expect(dirname(path)).toBe(root);
});

test("a parent that is named is made, and goes with the run", () => {
  const root = tree({ "/": ["memory", "memory"] });
  const reply = () => openLimits({ memory: MB, cgroupParent: "/a/b" }, view(root, "/"));
  // A real cgroup would have its files at once.
  expect(reply).toThrow(/does not exist/);
  expect(readdirSync(root)).not.toContain("a");
});

describe("refused", () => {
  const root = tree({ "/": ["pids", "pids"] });
  test.each([
    [{ memory: MB }, /^Cannot limit the command's memory: the cgroup has no controller memory$/],
    [{ cpuShares: 3, memory: MB }, /memory and processor time: the cgroup has no controller memory, cpu$/],
    [{ memorySwap: MB }, /--memory-swap takes --memory/],
    [{ memory: 2 * MB, memorySwap: MB }, /cannot be less than --memory/],
  ])("%p", (limits, message) => {
    expect(() => openLimits(limits, view(root, "/"))).toThrow(message);
  });

  test("where there are no cgroups", () => {
    const none = { version: undefined, root, own: new Map<string, string>() };
    expect(() => openLimits({ cpusetCpus: "0" }, none)).toThrow(/no cgroups/);
  });
});

test("nothing is made where nothing is limited", () => {
  expect(openLimits(undefined)).toBeUndefined();
  expect(openLimits({})).toBeUndefined();
});

test("the same limits in both versions' terms", () => {
  const limits = { memory: 4 * MB, memorySwap: 6 * MB, cpuShares: 1024, cpuPeriod: 50_000, cpusetMems: "0" };
  expect(unifiedSettings(limits)).toEqual({
    memory: [
      ["memory.max", String(4 * MB)],
      ["memory.swap.max", String(2 * MB)],
    ],
    cpu: [
      ["cpu.max", "max 50000"],
      ["cpu.weight", "39"],
    ],
    cpuset: [["cpuset.mems", "0"]],
  });
  expect(separateSettings(limits)).toEqual({
    memory: [
      ["memory.limit_in_bytes", String(4 * MB)],
      ["memory.memsw.limit_in_bytes", String(6 * MB)],
    ],
    cpu: [
      ["cpu.cfs_period_us", "50000"],
      ["cpu.shares", "1024"],
    ],
    cpuset: [["cpuset.mems", "0"]],
  });
  expect(unifiedSettings({ memory: MB, memorySwap: -1 }).memory?.[1]).toEqual(["memory.swap.max", "max"]);
});
