// Protects compressing on all cores: without its threads everything still works, only slowly, so nothing else would notice.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { compress } from "../../src/archive/compress.ts";

const root = join(import.meta.dir, "../..");

/** How many of this process's threads have run a worker's code. */
function workerThreads(): number {
  const names = readdirSync("/proc/self/task").map((id) =>
    readFileSync(`/proc/self/task/${id}/comm`, "latin1"),
  );
  return names.filter((name) => name.startsWith("Worker")).length;
}

test.skipIf(availableParallelism() === 1)("long streams have threads, short ones have none", async () => {
  const read = async (bytes: number) => {
    const chunk = Buffer.alloc(256 << 10, "some text ");
    for await (const _ of compress(Array<Buffer>(bytes / chunk.length).fill(chunk), "gzip"));
  };
  const before = workerThreads();
  await read(1 << 20);
  expect(workerThreads()).toBe(before);
  await read(16 << 20);
  expect(workerThreads()).toBeGreaterThan(before);
});

test("every worker is an entry point of the compiled program", () => {
  const build = readFileSync(join(root, "scripts/build.ts"), "utf8");
  const workers = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith("-worker.ts"),
  );
  expect(workers).not.toEqual([]);
  for (const worker of workers) expect(build).toContain(`"${worker}"`);
});
