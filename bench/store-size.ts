/**
 * What the size of a store costs: the cached rebuild of 20 steps in a store of few images and in one of many, in turns.
 *
 *   bun bench/store-size.ts [--few 10] [--many 2000] [-n 15] [--tool bin/cooper]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeFixtures } from "./fixtures.ts";
import { median } from "./report.ts";

const { values } = parseArgs({
  options: {
    few: { type: "string", default: "10" },
    many: { type: "string", default: "2000" },
    n: { type: "string", short: "n", default: "15" },
    tool: { type: "string", default: resolve(import.meta.dir, "../bin/cooper") },
  },
});
const scratch = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), "cooper-store-size-"));
const fixtures = join(scratch, "fixtures");
const sizes = [values.few, values.many];
const placesOf = (size: string) => [join(scratch, `store-${size}`), join(scratch, "run")] as const;

/** Milliseconds of a command, and those of the processor; throws when it fails. */
function timed(argv: string[]): { wall: number; cpu: number } {
  const started = performance.now();
  const { exitCode, stderr, resourceUsage } = Bun.spawnSync(argv, { stdout: "ignore", stderr: "pipe" });
  const wall = performance.now() - started;
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString().slice(-300)}`);
  return { wall, cpu: Number(resourceUsage.cpuTime.total) / 1000 };
}

function cooper(size: string, ...args: string[]): { wall: number; cpu: number } {
  const [root, runRoot] = placesOf(size);
  return timed([values.tool, "--root", root, "--runroot", runRoot, ...args]);
}

const rebuild = (size: string) =>
  cooper(size, "bud", "-q", "--layers", "-t", "localhost/steps", join(fixtures, "steps"));

try {
  makeFixtures(fixtures);
  for (const size of sizes) {
    const { wall } = timed([
      process.execPath,
      join(import.meta.dir, "grow-store.ts"),
      ...placesOf(size),
      size,
    ]);
    console.log(`a store of ${size} images: made in ${(wall / 1000).toFixed(1)} s`);
    cooper(size, "bud", "-q", "-t", "localhost/base", join(fixtures, "base"));
    for (let warm = 0; warm < 3; warm++) rebuild(size);
  }
  const samples = new Map(sizes.map((size) => [size, [] as { wall: number; cpu: number }[]]));
  for (let round = 0; round < Number(values.n); round++) {
    // Who goes first has the colder caches.
    for (const size of round % 2 === 0 ? sizes : sizes.toReversed()) samples.get(size)!.push(rebuild(size));
  }
  const middle = (size: string, of: "wall" | "cpu") => median(samples.get(size)!.map((sample) => sample[of]));
  for (const of of ["wall", "cpu"] as const) {
    const [few, many] = sizes.map((size) => middle(size, of)) as [number, number];
    console.log(`${of}: ${few.toFixed(1)} ms and ${many.toFixed(1)} ms, ratio ${(many / few).toFixed(3)}`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
