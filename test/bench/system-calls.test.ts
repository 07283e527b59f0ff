// Protects the speed of what users wait for, by counting system calls for each file: seconds would depend on the machine.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

setDefaultTimeout(300_000);

// Under strace, newuidmap is not setuid: ordinary users cannot be measured.
const strace = process.geteuid!() === 0 ? Bun.which("strace") : null;
const program = join(import.meta.dir, "../../src/cli/main.ts");
const FEW = 100;
const MANY = 600;

let work = "";
beforeAll(() => {
  work = mkdtempSync("/var/tmp/cooper-calls-");
  for (const count of [FEW, MANY]) {
    const context = join(work, `context-${count}`);
    mkdirSync(join(context, "src"), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(context, `src/file-${i}`), `content of file ${i}\n`);
    writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY src /src\n");
  }
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** The calls of interest: those on files; what threads and the runtime's memory need differs from run to run. */
const KINDS = "%file,%desc";
const NOISE = /^(?:mmap|epoll_|fcntl|ioctl|eventfd|poll)/;

/** System calls of a command, by name. */
function callsOf(argv: string[]): Map<string, number> {
  const summary = join(work, "summary");
  const env = { ...process.env, COOPER_ROOT: join(work, "store"), COOPER_RUNROOT: join(work, "run") };
  const own = [process.execPath, program, ...argv];
  const traced = [strace!, "-f", "-c", "-S", "name", "-e", `trace=${KINDS}`, "-o", summary, "--", ...own];
  const { exitCode, stderr } = Bun.spawnSync(traced, { env, stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
  const calls = new Map<string, number>();
  for (const line of readFileSync(summary, "utf8").split("\n")) {
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$/.exec(line);
    if (match !== null && match[2] !== "total" && !NOISE.test(match[2]!))
      calls.set(match[2]!, Number(match[1]));
  }
  return calls;
}

/** How many more calls `MANY` files need than `FEW`, for each file; what is the same for any number is not in it. */
function perFile(argvOf: (count: number) => string[]): { total: number; kinds: string } {
  const few = callsOf(argvOf(FEW));
  const many = callsOf(argvOf(MANY));
  const rates = [...many]
    .map(([name, count]) => [name, (count - (few.get(name) ?? 0)) / (MANY - FEW)] as const)
    .filter(([, rate]) => Math.abs(rate) >= 0.05);
  const total = rates.reduce((sum, [, rate]) => sum + rate, 0);
  return { total, kinds: rates.map(([name, rate]) => `${name} ${rate.toFixed(2)}`).join(", ") };
}

const context = (count: number) => join(work, `context-${count}`);
const bud = (count: number, ...more: string[]) => [
  ...["bud", "-q", "--layers", ...more, "-t", `localhost/n${count}`, context(count)],
];
const layout = (count: number) => `oci:${join(work, `layout-${count}`)}:x`;

/**
 * Recorded bounds: what was measured, and half a call. When one is exceeded, something new is done for every file: take it
 * out, or raise the bound with the reason. In this order: each command has what the ones before it left.
 */
const BOUNDS: [command: string, bound: number, argv: (count: number) => string[]][] = [
  ["bud with a cold cache", 20.7, (count) => bud(count)],
  ["bud --no-cache", 17.5, (count) => bud(count, "--no-cache")],
  ["bud with everything cached", 2.5, (count) => bud(count)],
  ["push", 5.5, (count) => ["push", "-q", `localhost/n${count}`, layout(count)]],
  ["push of what is there", 0.5, (count) => ["push", "-q", `localhost/n${count}`, layout(count)]],
  ["pull", 4.5, (count) => ["pull", "-q", layout(count)]],
  ["pull of what is there", 0.5, (count) => ["pull", "-q", layout(count)]],
];

for (const [command, bound, argv] of BOUNDS) {
  test.skipIf(strace === null)(
    `${command}: at most ${bound} system calls for each file (needs root and strace)`,
    () => {
      const { total, kinds } = perFile(argv);
      expect(total, kinds).toBeLessThanOrEqual(bound);
    },
  );
}
