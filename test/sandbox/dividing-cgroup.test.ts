// Protects where cgroups of limited commands are made, on a real cgroup2: processes in the way are moved where that is due.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MS, mount, umount } from "../../src/base/mounts.ts";
import { setXattr } from "../../src/base/xattrs.ts";
import { dividingCgroup } from "../../src/sandbox/dividing-cgroup.ts";
import { eventually } from "../support/leftovers.ts";

const root = mkdtempSync(join(tmpdir(), "cooper-cgroup2-"));
const isRoot = process.geteuid?.() === 0;
if (isRoot) mount("cgroup2", root, "cgroup2", MS.NOSUID);
const words = (path: string) => readFileSync(join(root, path), "latin1").trim().split(/\s+/).filter(Boolean);
/** One that is not bound to a hierarchy of version 1. */
const controller = isRoot ? words("cgroup.controllers").at(-1) : undefined;

describe.skipIf(controller === undefined)("with a process in it", () => {
  const needed = [controller ?? ""];
  const top = `cooper-dividing-${process.pid}`;
  const own = `${top}/own`;
  const passed = isRoot && words("cgroup.subtree_control").includes(controller ?? "");
  let child: Bun.Subprocess;

  beforeAll(() => {
    if (!passed) writeFileSync(join(root, "cgroup.subtree_control"), `+${controller}`);
    mkdirSync(join(root, own), { recursive: true });
    writeFileSync(join(root, top, "cgroup.subtree_control"), `+${controller}`);
    child = Bun.spawn(["sleep", "600"]);
    enter(own);
  });

  afterAll(async () => {
    child.kill("SIGKILL");
    await child.exited;
    await eventually(() => [join(own, "cooper-others"), own, top].every((path) => removed(path)), 5000);
    if (!passed) writeFileSync(join(root, "cgroup.subtree_control"), `-${controller}`);
  });

  const enter = (path: string) => writeFileSync(join(root, path, "cgroup.procs"), String(child.pid));

  test("root's goes below the next that passes the controllers on, and the process stays", () => {
    expect(dividingCgroup({ root, own }, needed, false)).toBe(join(root, top));
    expect(words(`${own}/cgroup.procs`)).toEqual([String(child.pid)]);
  });

  test.each([
    ["a user's own", true],
    ["one that was delegated to root", false],
  ])("%s is divided, and the process moved to a leaf", (_, isUsers) => {
    if (!isUsers) setXattr(join(root, own), "trusted.delegate", Buffer.from("1"));
    expect(dividingCgroup({ root, own }, needed, isUsers)).toBe(join(root, own));
    expect(words(`${own}/cgroup.procs`)).toEqual([]);
    expect(words(`${own}/cooper-others/cgroup.procs`)).toEqual([String(child.pid)]);
    expect(words(`${own}/cgroup.subtree_control`)).toEqual(needed);
    // From the leaf, where later commands start, the same place is found.
    expect(dividingCgroup({ root, own: `${own}/cooper-others` }, needed, false)).toBe(join(root, own));
    writeFileSync(join(root, own, "cgroup.subtree_control"), `-${controller}`);
    enter(own);
  });

  test("controllers that are not there are named, with who can give them", () => {
    expect(dividingCgroup({ root, own }, ["nonesuch"], true)).toEqual({
      reason: "the cgroup has no controller nonesuch",
      hint: expect.stringContaining("systemctl edit user@.service"),
    });
    expect(readdirSync(join(root, own))).not.toContain("nonesuch");
  });
});

function removed(path: string): boolean {
  try {
    rmdirSync(join(root, path));
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "ENOENT";
  }
}

afterAll(() => {
  if (isRoot) umount(root, 0);
  rmdirSync(root);
});
