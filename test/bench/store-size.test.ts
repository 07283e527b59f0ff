// Protects that the size of a store costs nothing: a cached rebuild and the commands of scripts make the same system calls
// in a store of many images, and none of their queries reads a whole table.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);
const strace = rootOnly.length > 0 ? Bun.which("strace") : null;
const FEW = 10;
const MANY = 300;
const repository = join(import.meta.dir, "../..");
const STEPS = Array.from({ length: 20 }, (_, number) => `RUN echo ${number} > /f${number}\n`).join("");

let work = "";
const placesOf = (size: number) => [join(work, `store-${size}`), join(work, "run")] as const;

function bun(args: string[], before: string[] = []): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...before, process.execPath, ...args]);
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

function cooper(size: number, args: string[], before: string[] = []): string {
  const [root, runRoot] = placesOf(size);
  const program = join(repository, "src/cli/main.ts");
  return bun([program, "--root", root, "--runroot", runRoot, ...args], before);
}

const rebuild = () => ["bud", "-q", "--layers", "-t", "localhost/steps", work];

beforeAll(() => {
  if (rootOnly.length === 0) return;
  work = mkdtempSync("/var/tmp/cooper-store-size-");
  writeFileSync(join(work, "Dockerfile"), `FROM localhost/busybox\n${STEPS}`);
  for (const size of [FEW, MANY]) {
    bun([join(repository, "bench/grow-store.ts"), ...placesOf(size), String(size)]);
    cooper(size, ["import", busyboxBase(), "localhost/busybox"]);
    cooper(size, rebuild());
    cooper(size, rebuild());
  }
});
afterAll(() => {
  if (work !== "") rmSync(work, { recursive: true });
});

/** System calls on files of a command; not those by which SQLite reads and tidies its pages, which vary: the plans tell. */
function callsOf(size: number, args: string[]): number {
  const summary = join(work, "summary");
  const before = [strace!, "-f", "-c", "-e", "trace=%file,read,write,getdents64", "-o", summary];
  cooper(size, args, [...before, "--"]);
  const total = /\s(\d+)\s+(?:\d+\s+)?total$/m.exec(readFileSync(summary, "utf8"));
  return Number(total![1]);
}

test.skipIf(strace === null)("a cached rebuild of 20 steps (needs root and strace)", () => {
  // Twice each: what the runtime itself does varies by a few calls, and the least is the command's own.
  const least = (size: number) => Math.min(callsOf(size, rebuild()), callsOf(size, rebuild()));
  const few = least(FEW);
  expect(least(MANY) - few).toBeLessThan(MANY / 20);
  expect(few).toBeGreaterThan(100);
});

test.skipIf(rootOnly.length === 0)("no query of a build or a script reads a whole table (needs root)", () => {
  const plans = bun([join(import.meta.dir, "query-plans-worker.ts"), ...placesOf(MANY), work]);
  const { queries, scans } = JSON.parse(plans) as { queries: number; scans: string[] };
  expect(scans).toEqual([]);
  expect(queries).toBeGreaterThan(20);
});
