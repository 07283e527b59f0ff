// Protects the host from images whose links lead mount points out of the root.
import { expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareMountPoints, removeMountPoints } from "../../src/sandbox/mountpoints.ts";

test.each([
  ["an absolute link", "/outside/file"],
  ["a relative link", "../../../../outside/file"],
])("%s as /etc/resolv.conf ends inside the root", (_, link) => {
  const directory = mkdtempSync(join(tmpdir(), "cooper-links-"));
  const root = join(directory, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  mkdirSync(join(directory, "outside"));
  symlinkSync(link, join(root, "etc/resolv.conf"));
  symlinkSync(join(directory, "outside"), join(root, "proc"));
  const made = prepareMountPoints(root, [
    { target: "/etc/resolv.conf", kind: "file", covers: false },
    { target: "/proc", kind: "directory", covers: true },
    { target: "/../../outside/up", kind: "directory", covers: true },
  ]);
  expect(readdirSync(join(directory, "outside"))).toEqual([]);
  expect(lstatSync(join(root, "outside/file")).isFile()).toBe(true);
  removeMountPoints(made);
  expect(existsSync(join(root, "outside"))).toBe(false);
  expect(readdirSync(directory).sort()).toEqual(["outside", "root"]);
  rmSync(directory, { recursive: true });
});
