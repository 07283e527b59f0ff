/**
 * Mixed work on one store, of which each command is killed with SIGKILL at a random moment, and `cooper check` after each:
 * bun scripts/torture.ts [--kills N] [--seconds N] [--seed N] [--base ROOTFS]
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

export interface TortureOptions {
  kills: number;
  /** Ends sooner when they have passed. */
  seconds: number;
  seed: number;
  /** A root file system, directory or tar, with a shell. */
  base: string;
  log: (line: string) => void;
}

export interface TortureResult {
  /** Commands that were killed before they ended, by kind. */
  killed: Record<string, number>;
  /** Commands that had ended already. */
  finished: number;
  /** What `cooper check` printed, and what else went wrong; empty when all is well. */
  failures: string[];
  /** Entries below the store that the last `prune --all` left. */
  left: string[];
}

interface Ended {
  status: number;
  output: string;
  killed: boolean;
}

const program = process.env.COOPER_BIN ?? resolve(import.meta.dir, "../bin/cooper");
/** Words of errors that only tell that an earlier command was killed before it did its part, or that a thing is used. */
const EXPECTED = /no such (image|container)|exists already|is used by|several names|nothing to|was removed/;

/** Runs it; the directory that it uses is removed. */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  const work = mkdtempSync("/var/tmp/cooper-torture-");
  try {
    return await new Torture(work, options).run();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

class Torture {
  #work: string;
  #options: TortureOptions;
  #state: number;
  #serial = 0;
  /** Milliseconds that each kind of command takes, a moving average. */
  #durations = new Map<string, number>();
  #result: TortureResult = { killed: {}, finished: 0, failures: [], left: [] };

  constructor(work: string, options: TortureOptions) {
    this.#work = work;
    this.#options = options;
    this.#state = options.seed >>> 0;
  }

  async run(): Promise<TortureResult> {
    await this.#prepare();
    const end = Date.now() + this.#options.seconds * 1000;
    let killed = 0;
    for (let round = 1; killed < this.#options.kills && Date.now() < end; round++) {
      const [kind, args] = this.#command();
      await this.#provide(args);
      const { status, output, killed: hit } = await this.#strike(kind, args);
      if (hit) killed++;
      if (hit) this.#result.killed[kind] = (this.#result.killed[kind] ?? 0) + 1;
      else this.#result.finished++;
      if (!hit && status !== 0 && !EXPECTED.test(output)) this.#fail(round, `${args.join(" ")}: ${output}`);
      await this.#check(round, `${kind}${hit ? " (killed)" : ""}`);
      if (round % 50 === 0)
        this.#options.log(`${round} commands, ${killed} killed, ${this.#result.failures.length} failures`);
    }
    await this.#finish();
    return this.#result;
  }

  async #prepare(): Promise<void> {
    const context = join(this.#work, "context");
    mkdirSync(context);
    writeFileSync(join(context, "file"), "x".repeat(100_000));
    writeFileSync(
      join(context, "Dockerfile"),
      "FROM localhost/base AS one\nARG N\nRUN echo $N > /n; head -c 300000 /dev/urandom > /noise\nCOPY file /copied\n" +
        "FROM localhost/base\nARG N\nRUN rm -rf /etc/passwd; mkdir -p /deep/er; echo $N > /deep/er/n\nCOPY --from=one /n /noise /from/\n",
    );
    await this.#must("import", this.#options.base, "localhost/base");
    await this.#must("push", "localhost/base", `oci:${this.#work}/layout:base`);
    // Keeps the base while everything else is pruned, and must itself be there in the end.
    await this.#must("from", "--name", "anchor", "localhost/base");
    await this.#must("copy", "anchor", join(context, "file"), "/anchored");
  }

  async #finish(): Promise<void> {
    await this.#must("run", "anchor", "--", "test", "-s", "/anchored");
    await this.#must("rm", "--all");
    await this.#must("rmi", "--all", "--force");
    await this.#must("prune", "--all");
    await this.#check(-1, "the end");
    for (const directory of ["layers", "blobs/sha256", "containers", "tmp"]) {
      const path = join(this.#work, "store", directory);
      const { stdout } = Bun.spawnSync(["ls", "-A", path]);
      const names = stdout.toString().split("\n");
      this.#result.left.push(...names.filter((name) => name !== "").map((name) => `${directory}/${name}`));
    }
  }

  #random(below: number): number {
    this.#state = (this.#state * 1_664_525 + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }

  /** Some command of a day's work; several names are shared, so that what one makes another replaces or removes. */
  #command(): [kind: string, args: string[]] {
    const name = `localhost/i${this.#random(4)}`;
    const container = `c${this.#random(3)}`;
    const context = join(this.#work, "context");
    const value = `N=${this.#random(2) === 0 ? this.#random(3) : this.#serial++}`;
    const commands: [string, string[]][] = [
      ["bud", ["bud", "--build-arg", value, "-t", name, context]],
      ["bud --layers", ["bud", "--layers", "--build-arg", value, "-t", name, context]],
      ["bud --no-cache", ["bud", "--no-cache", "--build-arg", value, "-t", name, context]],
      ["from", ["from", "--name", container, "localhost/base"]],
      ["run", ["run", container, "--", "sh", "-c", `echo ${value} > /v; head -c 200000 /dev/urandom > /r`]],
      ["copy", ["copy", container, join(context, "file"), "/in"]],
      ["commit", ["commit", container, name]],
      ["commit --rm", ["commit", "--rm", container, name]],
      ["pull", ["pull", `oci:${this.#work}/layout:base`]],
      ["push", ["push", name, `oci:${this.#work}/out:${name.slice(-1)}`]],
      ["rm", ["rm", container]],
      ["rmi", ["rmi", "--force", name]],
      ["manifest", ["manifest", "create", "--amend", "localhost/list", name]],
      ["tag", ["tag", name, `localhost/i${this.#random(4)}`]],
      ["prune", ["prune"]],
      ["prune --all", ["prune", "--all"]],
    ];
    return commands[this.#random(commands.length)]!;
  }

  /** What most commands work on is there again, so that few of them end before they have begun. */
  async #provide(args: string[]): Promise<void> {
    const container = args.find((arg) => /^c\d$/.test(arg));
    if (container !== undefined && args[0] !== "from")
      await this.#ended(["from", "--name", container, "localhost/base"]);
  }

  /** Starts a command and kills it, alone or with its process group, at some moment of the time that it usually takes. */
  async #strike(kind: string, args: string[]): Promise<Ended> {
    const usual = this.#durations.get(kind) ?? 400;
    const begun = performance.now();
    const child = this.#spawn(args);
    const whole = this.#random(2) === 0;
    const timer = setTimeout(() => kill(whole ? -child.pid : child.pid), 5 + this.#random(usual * 0.6));
    const output = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    const status = await child.exited;
    clearTimeout(timer);
    const killed = child.signalCode === "SIGKILL";
    if (!killed) this.#durations.set(kind, (usual * 3 + performance.now() - begun) / 4);
    return { status, output: output.join(""), killed };
  }

  #spawn(args: string[]) {
    const argv = [
      program,
      "--root",
      join(this.#work, "store"),
      "--runroot",
      join(this.#work, "run"),
      ...args,
    ];
    return Bun.spawn(argv, { stdout: "pipe", stderr: "pipe", stdin: "ignore", detached: true });
  }

  async #ended(args: string[]): Promise<Ended> {
    const child = this.#spawn(args);
    const output = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { status: await child.exited, output: output.join(""), killed: false };
  }

  async #must(...args: string[]): Promise<void> {
    const { status, output } = await this.#ended(args);
    if (status !== 0) this.#fail(0, `${args.join(" ")}: ${output}`);
  }

  async #check(round: number, after: string): Promise<void> {
    const { status, output } = await this.#ended(["check", "--quiet"]);
    if (status !== 0) this.#fail(round, `check after ${after}: ${output}`);
    const mounts = await Bun.file("/proc/self/mountinfo").text();
    if (mounts.includes(this.#work)) this.#fail(round, `a mount was left by ${after}`);
  }

  #fail(round: number, what: string): void {
    this.#options.log(`round ${round}: ${what}`);
    this.#result.failures.push(what);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was quicker.
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "1000" },
      seconds: { type: "string", default: "86400" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      base: { type: "string" },
    },
  });
  if (values.base === undefined || !existsSync(values.base)) {
    console.error("Give a root file system: --base DIRECTORY (scripts/make-busybox-base makes one)");
    process.exit(2);
  }
  console.log(`seed ${values.seed}`);
  const result = await torture({
    kills: Number(values.kills),
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    base: values.base,
    log: console.log,
  });
  console.log(JSON.stringify(result, undefined, 2));
  process.exit(result.failures.length + result.left.length === 0 ? 0 : 1);
}
