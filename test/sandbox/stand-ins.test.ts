// Protects root file systems in which nothing can be mounted: after a run, or a kill, they are what they were.
import { expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MountPointNotes, removeNotedMountPoints } from "../../src/sandbox/mountpoint-notes.ts";
import { StandIns } from "../../src/sandbox/stand-ins.ts";
import { standForMount } from "../../src/sandbox/plain-mounts.ts";
import { scratchDirectory } from "../support/scratch.ts";

/** etc/{hosts,passwd}, dev/own, all of long ago. */
function makeRoot(directory: string): string {
  const root = join(directory, "tree");
  for (const name of ["etc", "dev"]) mkdirSync(join(root, name), { recursive: true });
  for (const name of ["etc/hosts", "etc/passwd", "dev/own"]) writeFileSync(join(root, name), `own ${name}`);
  for (const name of ["etc/hosts", "etc", "dev", ""]) utimesSync(join(root, name), 1000, 1000);
  return root;
}

function placeUsual(standIns: StandIns): void {
  standIns.place("/dev", (path) => mkdirSync(path));
  standIns.place("/dev/pipes/EOF", (path) => writeFileSync(path, "script"));
  standIns.place("/etc/hosts", (path) => writeFileSync(path, "stand-in"));
  standIns.seal();
}

const mtime = (path: string) => lstatSync(path).mtimeMs / 1000;

test("everything is put back, with the times of the directories around it", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const standIns = new StandIns(root);
  placeUsual(standIns);
  expect(readFileSync(join(root, "dev/pipes/EOF"), "utf8")).toBe("script");
  expect(readFileSync(join(root, "etc/hosts"), "utf8")).toBe("stand-in");
  writeFileSync(join(root, "dev/left"), "x");
  expect(standIns.restore().sort()).toEqual(["/dev", "/etc", "/etc/hosts"]);
  expect(readFileSync(join(root, "etc/hosts"), "utf8")).toBe("own etc/hosts");
  expect(readdirSync(join(root, "dev"))).toEqual(["own"]);
  expect([mtime(root), mtime(join(root, "etc"))]).toEqual([1000, 1000]);
  expect(readdirSync(scratch.path)).toEqual(["tree"]);
});

test("what the command did around and to them is told apart", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const standIns = new StandIns(root);
  placeUsual(standIns);
  rmSync(join(root, "etc/hosts"));
  writeFileSync(join(root, "etc/new"), "x");
  utimesSync(join(root, "etc"), 2000, 2000);
  expect(standIns.restore().sort()).toEqual(["/dev", "/etc/hosts"]);
  expect(readFileSync(join(root, "etc/hosts"), "utf8")).toBe("own etc/hosts");
  expect(mtime(join(root, "etc"))).toBe(2000);
});

test("a directory that the command removed comes back for what was in it", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const standIns = new StandIns(root);
  placeUsual(standIns);
  rmSync(join(root, "etc"), { recursive: true });
  expect(standIns.restore()).toContain("/etc/hosts");
  expect(readdirSync(join(root, "etc"))).toEqual(["hosts"]);
});

test("after a kill the notes put everything back", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const file = scratch.file("notes");
  placeUsual(new StandIns(root, new MountPointNotes(file, root)));
  expect(removeNotedMountPoints(file, root).sort()).toEqual(["/dev", "/etc/hosts"]);
  expect(readFileSync(join(root, "etc/hosts"), "utf8")).toBe("own etc/hosts");
  expect(readdirSync(join(root, "dev"))).toEqual(["own"]);
  expect(readdirSync(scratch.path)).toEqual(["tree"]);
  expect(removeNotedMountPoints(file, root)).toEqual([]);
});

test("a kill between a note and what it tells of harms nothing", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const file = scratch.file("notes");
  new MountPointNotes(file, root).moving(join(root, "etc/hosts"), scratch.file("aside-x/0"));
  expect(removeNotedMountPoints(file, root)).toEqual([]);
  expect(readFileSync(join(root, "etc/hosts"), "utf8")).toBe("own etc/hosts");
});

test("mounts: a copy, the thing itself for a while, an empty directory, or a refusal", () => {
  using scratch = scratchDirectory("stand-ins");
  const root = makeRoot(scratch.path);
  const [given, cache] = [scratch.file("given"), scratch.file("cache")];
  for (const path of [given, cache]) {
    mkdirSync(path);
    writeFileSync(join(path, "file"), "x");
  }
  for (const name of ["given", "cache", "tmp"]) mkdirSync(join(root, name));
  const standIns = new StandIns(root);
  standForMount(standIns, { type: "bind", source: given, target: "/given", readOnly: true });
  standForMount(standIns, { type: "bind", source: cache, target: "/cache", lend: true });
  standForMount(standIns, { type: "tmpfs", target: "/tmp" });
  expect(() => standForMount(standIns, { type: "bind", source: given, target: "/etc" })).toThrow(
    /refuses mounts/,
  );
  standIns.seal();
  for (const name of ["given", "cache", "tmp"]) writeFileSync(join(root, name, "written"), "x");
  expect(existsSync(cache)).toBe(false);
  standIns.restore();
  expect([given, cache].map((path) => readdirSync(path).sort())).toEqual([["file"], ["file", "written"]]);
  for (const name of ["given", "cache", "tmp"]) expect(readdirSync(join(root, name))).toEqual([]);
});
