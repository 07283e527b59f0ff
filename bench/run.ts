/**
 * Measures tools that speak Buildah's command line on the same work, in turns.
 *
 *   npm run bench -- [--a cooper] [--b buildah] [-n 5] [--only NAME,…] [--out DIRECTORY]
 *
 * $BENCH_DIR holds fixtures and scratch (default: below the temporary directory). Each tool uses the store that its own
 * environment names, and its images are removed: never point it at a store with anything of value.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeFixtures } from "./fixtures.ts";
import { median, ratioOf, renderMarkdown, renderSvg, type Row, type Sample } from "./report.ts";
import { type Workload, WORKLOADS } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    a: { type: "string", default: "cooper" },
    b: { type: "string" },
    n: { type: "string", short: "n", default: "5" },
    only: { type: "string" },
    out: { type: "string", default: ".bench" },
  },
});
const scratch = process.env.BENCH_DIR ?? join(tmpdir(), "cooper-bench");
const fixtures = join(scratch, "fixtures");
const tools = [values.a, ...(values.b === undefined ? [] : [values.b])];
const rounds = Number(values.n);

/** Runs shell text; throws with the end of its output when it fails. */
async function shell(text: string, tool: string, round = 0): Promise<Sample> {
  const env = { ...process.env, T: tool, FIX: fixtures, W: scratch, K: String(round) };
  const started = performance.now();
  const child = Bun.spawn(["bash", "-euo", "pipefail", "-c", text], { env, stdout: "pipe", stderr: "pipe" });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`status ${status}: ${`${out}${err}`.trim().slice(-300)}`);
  const usage = child.resourceUsage();
  return { seconds, cpu: Number(usage?.cpuTime.total ?? 0) / 1e6, memory: usage?.maxRSS ?? 0 };
}

async function measure(workload: Workload): Promise<Row> {
  const { name, about, once, before, run, limit } = workload;
  const row: Row = { name, about, samples: {}, limit: [], failures: {} };
  const attempt = async (tool: string, work: () => Promise<void>) => {
    if (row.failures[tool] !== undefined) return;
    try {
      await work();
    } catch (error) {
      row.failures[tool] = error instanceof Error ? error.message : String(error);
      row.samples[tool] = [];
    }
  };
  const clean = "$T rm -a >/dev/null 2>&1 || true; $T rmi -a -f >/dev/null 2>&1 || true";
  for (const tool of tools) {
    row.samples[tool] = [];
    await attempt(tool, async () => void (await shell(`${clean}; ${once ?? ":"}`, tool)));
  }
  // The first round warms caches up and does not count.
  for (let round = 0; round <= rounds; round++) {
    for (const tool of tools) {
      await attempt(tool, async () => {
        if (before !== undefined) await shell(before, tool, round);
        const sample = await shell(run, tool, round);
        if (round > 0) row.samples[tool]!.push(sample);
      });
    }
  }
  for (let round = 0; limit !== undefined && round < 3; round++) {
    rmSync(join(scratch, "limit"), { recursive: true, force: true });
    mkdirSync(join(scratch, "limit"));
    const sample = await shell(limit, "").catch(() => undefined);
    if (sample !== undefined) row.limit.push(sample.seconds);
  }
  return row;
}

mkdirSync(scratch, { recursive: true });
makeFixtures(fixtures);
const only = values.only?.split(",");
const rows: Row[] = [];
for (const workload of WORKLOADS) {
  if (only !== undefined && !only.includes(workload.name)) continue;
  const row = await measure(workload);
  rows.push(row);
  const spent = tools.map(
    (tool) => `${tool} ${median((row.samples[tool] ?? []).map((s) => s.seconds)).toFixed(3)} s`,
  );
  const [a, b] = tools as [string, string?];
  console.log(
    [row.name.padEnd(18), ...spent, b === undefined ? "" : `× ${ratioOf(row, a, b).toFixed(1)}`].join("  "),
  );
  for (const [tool, why] of Object.entries(row.failures))
    console.log(`  ${tool}: ${why.replaceAll("\n", " | ")}`);
}
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const facts = `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, median of ${rounds}.`;
writeFileSync(join(out, "bench.md"), renderMarkdown(rows, tools, facts));
writeFileSync(join(out, "bench.svg"), renderSvg(rows, tools));
writeFileSync(join(out, "bench.json"), `${JSON.stringify({ tools, rows }, undefined, 1)}\n`);
console.log(`Written to ${out}: bench.md, bench.svg, bench.json`);
