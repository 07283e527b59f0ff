// Protects that a change costs what the change costs: on a big base the same files are opened as on a small one, and none
// of the base's own.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";

setDefaultTimeout(120_000);
const strace = rootOnly.length > 0 ? Bun.which("strace") : null;
const program = join(import.meta.dir, "../../src/cli/main.ts");
const FEW = 5;
const MANY = 1500;

let work = "";

function cooper(args: string[], before: string[] = []): string {
  const own = [process.execPath, program, "--root", join(work, "store"), "--runroot", join(work, "run")];
  const { exitCode, stdout, stderr } = Bun.spawnSync([...before, ...own, ...args]);
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: ${stderr.toString()}`);
  return stdout.toString().trim();
}

beforeAll(() => {
  if (strace === null) return;
  work = mkdtempSync("/var/tmp/cooper-base-size-");
  cooper(["import", busyboxBase(), "localhost/busybox"]);
  for (const count of [FEW, MANY]) {
    const context = join(work, `context-${count}`);
    mkdirSync(join(context, "base-files"), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(context, `base-files/f${i}`), `${i}\n`);
    writeFileSync(join(context, "Dockerfile"), "FROM localhost/busybox\nCOPY base-files /base-files\n");
    cooper(["bud", "-q", "-t", `localhost/base-${count}`, context]);
  }
});
afterAll(() => {
  if (strace === null) return;
  cooper(["umount", "--all"]);
  rmSync(work, { recursive: true, force: true });
});

/** System calls on files of a command, and those that name a file of the base. */
function callsOf(args: string[]): { count: number; ofBase: string[] } {
  const trace = join(work, "trace");
  const kinds = "trace=%file,read,write,getdents64";
  cooper(args, [strace!, "-f", "-qq", "-e", kinds, "-e", "signal=none", "-o", trace, "--"]);
  const lines = readFileSync(trace, "utf8").split("\n");
  const count = lines.filter((line) => /^\d+ +\w+\(/.test(line)).length;
  return { count, ofBase: lines.filter((line) => line.includes("base-files")) };
}

/** What makes a change of a byte on a base, and prepares for it. */
const CHANGES: [name: string, prepare: (base: string) => string, change: (prepared: string) => string[]][] = [
  ["from", (base) => base, (base) => ["from", base]],
  ["run", (base) => cooper(["from", base]), (id) => ["run", id, "--", "sh", "-c", "echo 1 > /etc/new"]],
  ["commit", withChange, (id) => ["commit", "-q", id, "localhost/committed"]],
  [
    "commit of a container that is mounted",
    (base) => {
      const id = withChange(base);
      cooper(["mount", id]);
      return id;
    },
    (id) => ["commit", "-q", id, "localhost/committed"],
  ],
  ["bud with RUN", (base) => dockerfile(base, "RUN echo 1 > /etc/new"), (file) => bud(file)],
  ["bud with COPY", (base) => dockerfile(base, "COPY Dockerfile /etc/new"), (file) => bud(file)],
  [
    "bud with --layers",
    (base) => dockerfile(base, "RUN echo 2 > /etc/new"),
    (file) => ["bud", "--layers", ...bud(file).slice(1)],
  ],
];

function withChange(base: string): string {
  const id = cooper(["from", base]);
  cooper(["run", id, "--", "sh", "-c", "echo 1 > /etc/new"]);
  return id;
}

function dockerfile(base: string, step: string): string {
  const context = mkdtempSync(join(work, "change-"));
  writeFileSync(join(context, "Dockerfile"), `FROM ${base}\n${step}\n`);
  return context;
}

const bud = (context: string) => ["bud", "-q", "-t", "localhost/changed", context];

describe.skipIf(strace === null)("on a base of many files (needs root and strace)", () => {
  test.each(CHANGES)("%s", (_name, prepare, change) => {
    const few = callsOf(change(prepare(`localhost/base-${FEW}`)));
    const many = callsOf(change(prepare(`localhost/base-${MANY}`)));
    expect(many.ofBase).toEqual([]);
    // What the runtime and SQLite do varies by some dozens.
    expect(many.count - few.count).toBeLessThan(MANY / 5);
    expect(few.count).toBeGreaterThan(100);
  });

  test("what is looked for in the trace is found where the files are read", () => {
    const { ofBase } = callsOf([
      "commit",
      "-q",
      "--squash",
      withChange(`localhost/base-${FEW}`),
      "localhost/squashed",
    ]);
    expect(ofBase.length).toBeGreaterThanOrEqual(FEW);
  });
});
