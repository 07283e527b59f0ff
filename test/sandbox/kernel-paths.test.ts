// Protects which paths of /proc and /sys commands are shown: Docker's lists, and what --security-opt mask and unmask make of them.
import { expect, test } from "bun:test";
import { kernelPaths } from "../../src/sandbox/kernel-paths.ts";

const usual = kernelPaths();

test("the usual ones", () => {
  expect(usual.masked).toContain("/proc/kcore");
  expect(usual.readonly).toContain("/proc/sys");
});

test("mask adds, each path once", () => {
  const { masked, readonly } = kernelPaths(["/etc/secret", "/proc/kcore"]);
  expect(masked).toEqual([...usual.masked, "/etc/secret"]);
  expect(readonly).toEqual(usual.readonly);
});

test("unmask takes paths and patterns away, of one directory each", () => {
  expect(kernelPaths([], ["/proc/kcore"]).masked).toEqual(
    usual.masked.filter((path) => path !== "/proc/kcore"),
  );
  const { masked, readonly } = kernelPaths(["/proc/a/b"], ["/proc/*"]);
  expect(masked).toEqual([...usual.masked.filter((path) => path.startsWith("/sys/")), "/proc/a/b"]);
  expect(readonly).toEqual([]);
});

test("ALL, in either case, opens everything that is not asked to be hidden", () => {
  expect(kernelPaths([], ["ALL"])).toEqual({ masked: [], readonly: [] });
  expect(kernelPaths(["/x"], ["all"])).toEqual({ masked: ["/x"], readonly: [] });
});
