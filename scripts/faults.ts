/**
 * Lets single system calls of commands fail (strace's inject) where they touch the store: bun scripts/faults.ts --base ROOTFS
 * [--each N] [--seconds N]. After each: a clear error or none, `cooper check` without a fault, and the same command works.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

export interface FaultOptions {
  /** A root file system, directory or tar, with a shell. */
  base: string;
  /** How many calls of each kind fail, one at a time, spread over a command. */
  each: number;
  /** Ends sooner when they have passed. */
  seconds: number;
  log: (line: string) => void;
}

export interface FaultResult {
  /** Calls that failed, by command. */
  injected: Record<string, number>;
  /** How often the command failed with them; otherwise it did without the call, or tried again. */
  failed: number;
  failures: string[];
}

const ERRORS: Record<string, string[]> = {
  openat: ["EMFILE", "ENOSPC", "EROFS", "EIO"],
  write: ["ENOSPC", "EIO", "EDQUOT"],
  pwrite64: ["ENOSPC", "EIO"],
  mkdir: ["EDQUOT", "ENOSPC"],
  mkdirat: ["ENOSPC"],
  rename: ["EIO", "EROFS"],
  renameat: ["EIO"],
  renameat2: ["EIO"],
  fdatasync: ["EIO"],
  fsync: ["EIO"],
  ftruncate: ["EIO"],
  unlink: ["EIO", "EROFS"],
  rmdir: ["EIO"],
  symlink: ["ENOSPC"],
  mknod: ["ENOSPC"],
  linkat: ["EIO"],
  mount: ["ENOMEM"],
};

const program = process.env.COOPER_BIN ?? resolve(import.meta.dir, "../bin/cooper");

/** Commands, each with what has to be done first so that it has something to do. */
const COMMANDS: { name: string; args: string[]; first?: string[] }[] = [
  { name: "pull", args: ["pull", "oci:WORK/layout:base"], first: ["rmi", "--all", "--force"] },
  { name: "bud", args: ["bud", "--no-cache", "-t", "localhost/built", "WORK/context"] },
  { name: "from", args: ["from", "localhost/base"] },
  { name: "copy", args: ["copy", "c", "WORK/context", "/new"] },
  { name: "run", args: ["run", "c", "--", "sh", "-c", "echo x > /x"] },
  { name: "commit", args: ["commit", "c", "localhost/committed"] },
  { name: "tag", args: ["tag", "localhost/base", "localhost/other"] },
  { name: "push", args: ["push", "localhost/made", "oci:WORK/store/../pushed:made"] },
  { name: "rmi", args: ["rmi", "--force", "localhost/made"] },
  { name: "rm", args: ["rm", "c"] },
  { name: "prune", args: ["prune", "--all", "--force"] },
  { name: "import", args: ["import", "WORK/context", "localhost/imported"] },
];

/** Runs it; the directory that it uses is removed. */
export function injectFaults(options: FaultOptions): FaultResult {
  const work = mkdtempSync("/var/tmp/cooper-faults-");
  try {
    return new Faults(work, options).run();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Ended {
  status: number;
  output: string;
}

class Faults {
  #work: string;
  #options: FaultOptions;
  #result: FaultResult = { injected: {}, failed: 0, failures: [] };

  constructor(work: string, options: FaultOptions) {
    this.#work = work;
    this.#options = options;
  }

  run(): FaultResult {
    this.#prepare();
    const end = Date.now() + this.#options.seconds * 1000;
    const plan = COMMANDS.flatMap(({ name, args, first }) => {
      const here = args.map((arg) => arg.replaceAll("WORK", this.#work));
      this.#reset(first);
      return this.#survey(here).map((call) => ({ name, args: here, first, ...call }));
    });
    // The calls of all commands in turn, so that a run that ends early has seen something of each.
    for (const { name, args, first, call, number, error } of spread(plan)) {
      if (Date.now() > end) break;
      this.#reset(first);
      this.#result.injected[name] = (this.#result.injected[name] ?? 0) + 1;
      this.#inject(`${name}, ${call} ${number}: ${error}`, args, `${call}:error=${error}:when=${number}`);
    }
    return this.#result;
  }

  #prepare(): void {
    const context = join(this.#work, "context");
    mkdirSync(context);
    writeFileSync(join(context, "file"), "x".repeat(50_000));
    writeFileSync(join(context, "Dockerfile"), "FROM localhost/base\nRUN echo 1 > /one\nCOPY file /two\n");
    this.#must("import", this.#options.base, "localhost/base");
    this.#must("push", "localhost/base", `oci:${this.#work}/layout:base`);
    this.#must("bud", "-t", "localhost/made", context);
    this.#must("from", "--name", "c", "localhost/base");
    this.#must("copy", "c", join(context, "file"), "/file");
    Bun.spawnSync(["cp", "-a", join(this.#work, "store"), join(this.#work, "whole")]);
  }

  /** The store as it was before the first command. */
  #reset(first: string[] | undefined): void {
    for (const name of ["store", "pushed"]) rmSync(join(this.#work, name), { recursive: true, force: true });
    Bun.spawnSync(["cp", "-a", join(this.#work, "whole"), join(this.#work, "store")]);
    if (first !== undefined) this.#must(...first);
  }

  /** Which calls of the main thread, counted for each kind, touch the store; some of them, with an error for each. */
  #survey(args: string[]): { call: string; number: number; error: string }[] {
    const trace = join(this.#work, "trace");
    const kinds = Object.keys(ERRORS).join(",");
    this.#spawn(["strace", "-y", "-s", "400", "-o", trace, "-e", `trace=${kinds}`], args);
    const counts = new Map<string, number>();
    const touching = new Map<string, number[]>();
    for (const line of readFileSync(trace, "latin1").split("\n")) {
      const call = /^(\w+)\(/.exec(line)?.[1];
      if (call === undefined) continue;
      const number = (counts.get(call) ?? 0) + 1;
      counts.set(call, number);
      const touches = line.includes(`${this.#work}/store`) || line.includes(`${this.#work}/pushed`);
      if (touches) touching.set(call, [...(touching.get(call) ?? []), number]);
    }
    return [...touching].flatMap(([call, numbers]) => {
      const step = Math.max(1, numbers.length / this.#options.each);
      const chosen = Array.from(
        { length: Math.ceil(numbers.length / step) },
        (_, i) => numbers[Math.floor(i * step)]!,
      );
      const errors = ERRORS[call]!;
      return chosen.map((number, i) => ({ call, number, error: errors[(i + number) % errors.length]! }));
    });
  }

  #inject(what: string, args: string[], inject: string): void {
    const call = inject.slice(0, inject.indexOf(":"));
    const { status, output } = this.#spawn(
      ["strace", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${inject}`],
      args,
    );
    if (status !== 0) {
      this.#result.failed++;
      if (!/^Error: [A-Z"]/m.test(output) || /^\s+at /m.test(output))
        this.#fail(what, `no clear error:\n${output}`);
    }
    const check = this.#spawn([], ["check"]);
    if (check.status !== 0) this.#fail(what, `${output}check: ${check.output}`);
    if (status === 0) return;
    const again = this.#spawn([], args);
    const isDone = /no such (image|container)|exists already/.test(again.output);
    if (again.status !== 0 && !isDone) this.#fail(what, `${output}again: ${again.output}`);
  }

  #spawn(before: string[], args: string[]): Ended {
    const roots = ["--root", join(this.#work, "store"), "--runroot", join(this.#work, "run")];
    const { exitCode, stdout, stderr } = Bun.spawnSync([...before, program, ...roots, ...args], {
      timeout: 60_000,
    });
    return { status: exitCode ?? -1, output: `${stdout}${stderr}` };
  }

  #must(...args: string[]): void {
    const { status, output } = this.#spawn([], args);
    if (status !== 0) this.#fail("preparation", `${args.join(" ")}: ${output}`);
  }

  #fail(what: string, why: string): void {
    this.#options.log(`${what}: ${why}`);
    this.#result.failures.push(`${what}: ${why}`);
  }
}

/** The same items in an order in which neighbours are far apart, the same each time. */
function spread<T>(items: T[]): T[] {
  const step = [37, 41, 43, 47].find((prime) => items.length % prime !== 0) ?? 1;
  return items.map((_, i) => items[(i * step) % items.length]!);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      base: { type: "string" },
      each: { type: "string", default: "1000000" },
      seconds: { type: "string", default: "86400" },
    },
  });
  if (values.base === undefined) {
    console.error("Give a root file system: --base DIRECTORY (scripts/make-busybox-base makes one)");
    process.exit(2);
  }
  const result = injectFaults({
    base: values.base,
    each: Number(values.each),
    seconds: Number(values.seconds),
    log: console.log,
  });
  console.log(JSON.stringify({ ...result, failures: result.failures.length }, undefined, 2));
  process.exit(result.failures.length === 0 ? 0 : 1);
}
