// Protects how platforms are read, written and matched, and which image of an index is chosen.
import { describe, expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  matchesPlatform,
  parsePlatform,
} from "../../src/oci/platform.ts";
import type { Descriptor, Platform } from "../../src/oci/types.ts";

const host: Platform = { os: "linux", architecture: "amd64" };

test.each([
  ["linux/arm64/v8", "linux/arm64"],
  ["linux/arm64", "linux/arm64"],
  ["linux/aarch64", "linux/arm64"],
  ["amd64", "linux/amd64"],
  ["x86_64", "linux/amd64"],
  ["linux/amd64/v3", "linux/amd64/v3"],
  ["linux/amd64/v1", "linux/amd64"],
  ["linux/arm", "linux/arm/v7"],
  ["linux/arm/7", "linux/arm/v7"],
  ["linux/arm/v6", "linux/arm/v6"],
  ["armhf", "linux/arm/v7"],
  ["i386", "linux/386"],
  ["windows", "windows/amd64"],
  ["macos/arm64", "darwin/arm64"],
  ["Linux/AMD64", "linux/amd64"],
  ["linux/riscv64", "linux/riscv64"],
])("%s is %s", (text, expected) => {
  expect(formatPlatform(parsePlatform(text, host))).toBe(expected);
});

test.each(["", "/", "linux/", "a/b/c/d", "linux/am d64", "../x"])("refuses %j", (text) => {
  expect(() => parsePlatform(text, host)).toThrow(CooperError);
});

test("the host has Go's names", () => {
  expect(hostPlatform().os).toBe("linux");
  expect(["x64", "x86_64"]).not.toContain(hostPlatform().architecture);
});

describe("choosing from an index", () => {
  const entry = (text: string | undefined, n: number): Descriptor => ({
    mediaType: "m",
    digest: `sha256:${String(n).padStart(64, "0")}`,
    size: n,
    ...(text === undefined ? {} : { platform: raw(text) }),
  });
  const raw = (text: string): Platform => {
    const [os, architecture, variant] = text.split("/") as [string, string, string?];
    return { os, architecture, ...(variant === undefined ? {} : { variant }) };
  };
  const choose = (offers: (string | undefined)[], wanted: string) =>
    choosePlatform(offers.map(entry), raw(wanted))?.size;

  const cases: [offers: (string | undefined)[], wanted: string, chosen: number | undefined][] = [
    [["linux/arm64", "linux/amd64"], "linux/amd64", 1],
    [["linux/arm64/v8"], "linux/arm64", 0],
    [["linux/arm64"], "linux/arm64/v8", 0],
    [["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 1],
    [["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1],
    [["linux/arm/v7"], "linux/arm/v6", undefined],
    [["linux/amd64/v3", "linux/amd64"], "linux/amd64", 1],
    [["linux/amd64", "linux/amd64/v2"], "linux/amd64/v3", 1],
    [["windows/amd64"], "linux/amd64", undefined],
    [["unknown/unknown", "linux/amd64"], "linux/amd64", 1],
    [[undefined], "linux/amd64", 0],
    [[undefined, undefined], "linux/amd64", undefined],
    [[], "linux/amd64", undefined],
    [["linux/amd64", "linux/amd64"], "linux/amd64", 0],
  ];
  test.each(cases)("%j for %s", (offers, wanted, chosen) => {
    expect(choose(offers, wanted)).toBe(chosen);
  });

  test("matching is by platform, not by spelling", () => {
    expect(matchesPlatform(raw("linux/aarch64"), raw("linux/arm64/v8"))).toBe(true);
    expect(matchesPlatform(raw("linux/amd64"), raw("linux/arm64"))).toBe(false);
  });
});
