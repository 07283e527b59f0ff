// Protects the layer from empty mount points: made where they lack, inside the root only, and gone afterwards.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareMountPoints, removeMountPoints } from "../../src/sandbox/mountpoints.ts";

let directory: string;
let root: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cooper-points-"));
  root = join(directory, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = (target: string) => ({ target, kind: "file" as const, covers: false });
const mountDirectory = (target: string) => ({ target, kind: "directory" as const, covers: true });

test("makes files and directories with their parents, and takes them away with the times restored", () => {
  utimesSync(join(root, "etc"), 1000, 1000);
  utimesSync(root, 2000, 2000);
  const made = prepareMountPoints(root, [
    mountDirectory("/proc"),
    mountDirectory("/dev"),
    mountDirectory("/dev/shm"),
    file("/etc/hosts"),
    mountDirectory("/a/b/c"),
  ]);
  expect(lstatSync(join(root, "etc/hosts")).isFile()).toBe(true);
  expect(existsSync(join(root, "a/b/c"))).toBe(true);
  expect(existsSync(join(root, "dev/shm"))).toBe(false);
  removeMountPoints(made);
  expect(readdirSync(root)).toEqual(["etc"]);
  expect(readdirSync(join(root, "etc"))).toEqual([]);
  expect([lstatSync(root).mtimeMs, lstatSync(join(root, "etc")).mtimeMs]).toEqual([2000_000, 1000_000]);
});

test("what was there stays", () => {
  writeFileSync(join(root, "etc/hosts"), "");
  mkdirSync(join(root, "proc"));
  removeMountPoints(prepareMountPoints(root, [mountDirectory("/proc"), file("/etc/hosts")]));
  expect(readdirSync(root).sort()).toEqual(["etc", "proc"]);
  expect(existsSync(join(root, "etc/hosts"))).toBe(true);
});

test("what the command filled, replaced or changed around stays", () => {
  const made = prepareMountPoints(root, [
    file("/etc/filled"),
    file("/etc/replaced"),
    mountDirectory("/data"),
  ]);
  utimesSync(root, 1000, 1000);
  writeFileSync(join(root, "etc/filled"), "text");
  rmSync(join(root, "etc/replaced"));
  symlinkSync("x", join(root, "etc/replaced"));
  writeFileSync(join(root, "data/file"), "");
  removeMountPoints(made);
  expect(readdirSync(join(root, "etc")).sort()).toEqual(["filled", "replaced"]);
  expect(readdirSync(join(root, "data"))).toEqual(["file"]);
});

test("a file where a directory is needed is refused, and nothing is left of the attempt", () => {
  writeFileSync(join(root, "sys"), "");
  expect(() => prepareMountPoints(root, [mountDirectory("/proc"), mountDirectory("/sys")])).toThrow(
    expect.objectContaining({ code: "invalid" }),
  );
  expect(readdirSync(root).sort()).toEqual(["etc", "sys"]);
});
