// Protects memory from layers with very many entries: what unpacking keeps of each has a bound.
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { scratchDirectory } from "../support/scratch.ts";

setDefaultTimeout(120_000);

const worker = join(import.meta.dir, "../support/many-entries-worker.ts");

/** Peak memory, in bytes, of a process that unpacks a layer of so many empty files, a thousand in each directory. */
function peakFor(entries: number): number {
  using scratch = scratchDirectory("many");
  const { stdout, stderr, exitCode } = Bun.spawnSync([
    ...[process.execPath, "--smol", worker],
    ...[String(entries), scratch.path],
  ]);
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  return Number(stdout.toString());
}

test("memory grows by less than 400 bytes for each entry", () => {
  const few = peakFor(1_000);
  const many = peakFor(41_000);
  expect((many - few) / 40_000).toBeLessThan(400);
});
