/**
 * Lets single system calls of commands fail, or kills them there (strace's inject), where they touch the store:
 * bun scripts/faults.ts [--each N] [--seconds N] [--kills] [--user] [--base ROOTFS]; as root. COOPER_BIN: the program. After each: a clear
 * error or none, `cooper check` without a fault, and the same command works.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { becoming, people, type Person } from "../test/support/as-users.ts";
import { busyboxBase } from "../test/support/bases.ts";
import { openSite, type Site } from "../test/support/cooper.ts";

export interface FaultOptions {
  person: Person;
  /** A root file system, directory or tar, with a shell. */
  base: string;
  /** Kills alone. */
  kills?: boolean;
  /** How many calls of each kind fail, one at a time, spread over a command. */
  each: number;
  /** Of all of them together. */
  most: number;
  /** After which no more are begun. */
  seconds: number;
  log: (line: string) => void;
}

export interface FaultResult {
  /** Calls that failed or at which it was killed, by command. */
  injected: Record<string, number>;
  /** The same by what happened to them. */
  faults: Record<string, number>;
  /** How often the command failed with an error; otherwise it did without the call, or tried again. */
  failed: number;
  failures: string[];
}

/** By call; at each of them the command is killed as well. */
const ERRORS: Record<string, string[]> = {
  openat: ["EMFILE", "ENOSPC", "EROFS", "EIO", "EDQUOT"],
  write: ["ENOSPC", "EIO", "EDQUOT"],
  pwrite64: ["ENOSPC", "EIO", "EDQUOT"],
  mkdir: ["EDQUOT", "ENOSPC", "EROFS"],
  mkdirat: ["ENOSPC", "EDQUOT"],
  rename: ["EIO", "EROFS", "ENOSPC"],
  renameat: ["EIO"],
  renameat2: ["EIO"],
  fdatasync: ["EIO"],
  fsync: ["EIO"],
  ftruncate: ["EIO", "EROFS"],
  unlink: ["EIO", "EROFS"],
  rmdir: ["EIO", "EROFS"],
  symlink: ["ENOSPC", "EDQUOT"],
  mknod: ["ENOSPC", "EDQUOT"],
  linkat: ["EIO", "EDQUOT"],
  mount: ["ENOMEM"],
};
const KILL = "SIGKILL";

/** Commands, each with what has to be done first so that it has something to do. */
const COMMANDS: { name: string; args: string[]; first?: string[] }[] = [
  { name: "pull", args: ["pull", "oci:WORK/layout:base"], first: ["rmi", "--all", "--force"] },
  { name: "bud", args: ["bud", "--no-cache", "-t", "localhost/built", "CONTEXT"] },
  { name: "from", args: ["from", "localhost/base"] },
  { name: "copy", args: ["copy", "c", "CONTEXT", "/new"] },
  { name: "run", args: ["run", "c", "--", "sh", "-c", "echo x > /x"] },
  { name: "freeze", args: ["run", "--cache", "c", "--", "sh", "-c", "echo x > /x"] },
  { name: "record", args: ["config", "--label", "a=b", "c"] },
  { name: "commit", args: ["commit", "c", "localhost/committed"] },
  { name: "tag", args: ["tag", "localhost/base", "localhost/other"] },
  { name: "push", args: ["push", "localhost/made", "oci:WORK/pushed:made"] },
  { name: "rmi", args: ["rmi", "--force", "localhost/made"] },
  { name: "rm", args: ["rm", "c"] },
  { name: "prune", args: ["prune", "--all", "--force"] },
  { name: "import", args: ["import", "CONTEXT", "localhost/imported"] },
];

/** Does it in a store of its own. */
export async function injectFaults(options: FaultOptions): Promise<FaultResult> {
  await using site = openSite(options.person);
  return new Faults(site, options).run();
}

interface Ended {
  status: number;
  output: string;
}

class Faults {
  #site: Site;
  #options: FaultOptions;
  #result: FaultResult = { injected: {}, faults: {}, failed: 0, failures: [] };
  #context: string;

  constructor(site: Site, options: FaultOptions) {
    this.#site = site;
    this.#options = options;
    this.#context = site.files({
      file: "x".repeat(50_000),
      Dockerfile: "FROM localhost/base\nRUN echo 1 > /one\nCOPY file /two\n",
    });
  }

  run(): FaultResult {
    this.#prepare();
    const plan = COMMANDS.flatMap(({ name, args, first }) => {
      const here = args.map((arg) =>
        arg.replaceAll("CONTEXT", this.#context).replaceAll("WORK", this.#site.work),
      );
      this.#reset(first);
      return this.#survey(here).map((call) => ({ name, args: here, first, ...call }));
    });
    const end = Date.now() + this.#options.seconds * 1000;
    // The calls of all commands in turn, so that a run that ends early has seen something of each.
    for (const { name, args, first, call, number, error } of spread(plan).slice(0, this.#options.most)) {
      if (Date.now() > end) break;
      this.#reset(first);
      const { injected, faults } = this.#result;
      injected[name] = (injected[name] ?? 0) + 1;
      faults[error] = (faults[error] ?? 0) + 1;
      const fault = error === KILL ? `signal=${KILL}` : `error=${error}`;
      this.#inject(`${name}, ${call} ${number}: ${error}`, args, `${call}:${fault}:when=${number}`);
    }
    return this.#result;
  }

  #prepare(): void {
    const layout = `oci:${this.#site.work}/layout:base`;
    this.#must("import", this.#options.base, "localhost/base");
    this.#must("push", "localhost/base", layout);
    this.#must("bud", "-t", "localhost/made", this.#context);
    this.#must("from", "--name", "c", "localhost/base");
    this.#must("copy", "c", join(this.#context, "file"), "/file");
    Bun.spawnSync(["cp", "-a", this.#site.root, this.#whole]);
  }

  get #whole(): string {
    return join(this.#site.dir, "whole");
  }

  /** The store as it was before the first command. */
  #reset(first: string[] | undefined): void {
    for (const path of [this.#site.root, this.#pushed]) rmSync(path, { recursive: true, force: true });
    Bun.spawnSync(["cp", "-a", this.#whole, this.#site.root]);
    if (first !== undefined) this.#must(...first);
  }

  get #pushed(): string {
    return join(this.#site.work, "pushed");
  }

  /** Which calls of the main thread, counted for each kind, touch the store; some of them, with an error for each. */
  #survey(args: string[]): { call: string; number: number; error: string }[] {
    const trace = join(this.#site.work, "trace");
    const kinds = Object.keys(ERRORS).join(",");
    this.#spawn(["strace", "-y", "-s", "400", "-o", trace, "-e", `trace=${kinds}`], args);
    const counts = new Map<string, number>();
    const touching = new Map<string, number[]>();
    for (const line of readFileSync(trace, "latin1").split("\n")) {
      const call = /^(\w+)\(/.exec(line)?.[1];
      if (call === undefined) continue;
      const number = (counts.get(call) ?? 0) + 1;
      counts.set(call, number);
      const touches = line.includes(this.#site.root) || line.includes(this.#pushed);
      if (touches) touching.set(call, [...(touching.get(call) ?? []), number]);
    }
    return [...touching].flatMap(([call, numbers]) => {
      const step = Math.max(1, numbers.length / this.#options.each);
      const chosen = Array.from(
        { length: Math.ceil(numbers.length / step) },
        (_, i) => numbers[Math.floor(i * step)]!,
      );
      const errors = this.#options.kills ? [KILL] : [...ERRORS[call]!, KILL];
      return chosen.map((number, i) => ({ call, number, error: errors[(i + number) % errors.length]! }));
    });
  }

  #inject(what: string, args: string[], inject: string): void {
    const call = inject.slice(0, inject.indexOf(":"));
    const { status, output } = this.#spawn(
      ["strace", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${inject}`],
      args,
    );
    if (status !== 0 && !inject.includes(KILL)) {
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

  /** Only strace may become a user under whom a set-uid newuidmap keeps its rights. */
  #spawn(strace: string[], args: string[]): Ended {
    const { person, work } = this.#site;
    const isUser = person.uid !== process.getuid?.();
    const as = strace.length === 0 ? becoming(person) : [...strace, ...(isUser ? ["-u", person.name] : [])];
    const { exitCode, stdout, stderr } = Bun.spawnSync([...as, join(this.#site.dir, "bin/cooper"), ...args], {
      cwd: work,
      env: this.#site.environment(),
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
      most: { type: "string", default: "1000000" },
      seconds: { type: "string", default: "86400" },
      kills: { type: "boolean", default: false },
      user: { type: "boolean", default: false },
    },
  });
  const person = people.find(({ kind }) => kind === (values.user ? "user" : "root"));
  if (person === undefined) throw new Error("Without root only --user can be had");
  const result = await injectFaults({
    person,
    base: values.base ?? busyboxBase(),
    kills: values.kills,
    each: Number(values.each),
    most: Number(values.most),
    seconds: Number(values.seconds),
    log: console.log,
  });
  console.log(JSON.stringify({ ...result, failures: result.failures.length }, undefined, 2));
  process.exit(result.failures.length === 0 ? 0 : 1);
}
