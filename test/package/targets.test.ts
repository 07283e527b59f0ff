// Protects the programs for other platforms: which there are, and that the code in them knows where it runs.
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { compile } from "../../scripts/build.ts";
import { hostTarget, targetNamed, targetsOf } from "../../scripts/targets.ts";
import { scratchDirectory } from "../support/scratch.ts";

test("what a command line asks for", () => {
  const names = (...argv: string[]) => targetsOf(argv).map(({ name }) => name);
  expect(names()).toEqual([hostTarget().name]);
  expect(names("--all")).toEqual(["linux-x64", "linux-x64-musl", "linux-arm64", "linux-arm64-musl"]);
  expect(names("--target", "linux-arm64", "--target", "linux-arm64")).toEqual(["linux-arm64"]);
  expect(() => names("--target", "windows-x64")).toThrow("linux-x64, linux-x64-musl");
  expect(() => names("--everything")).toThrow("--everything");
});

test("the processor in the code is the target's, not the builder's", async () => {
  using scratch = scratchDirectory("target");
  // On this machine's runtime, so that it starts here.
  for (const [name, said] of [
    ["linux-arm64", "linux/arm64"],
    ["linux-x64", "linux/amd64"],
  ] as const) {
    await compile(scratch.file(name), targetNamed(name), process.execPath);
    const { stdout } = spawnSync(scratch.file(name), ["version"], { encoding: "utf8" });
    expect([name, stdout]).toEqual([name, expect.stringContaining(said)]);
  }
}, 60_000);
