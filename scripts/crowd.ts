/**
 * Many processes at once on one store, with a registry beside it: bun scripts/crowd.ts [--processes N] [--seconds N]
 * [--seed N] [--user] [--base ROOTFS]; as root. COOPER_BIN: the program. Nothing but the errors that come of others' work may
 * happen, nothing that somebody holds may be lost, and in the end the disk holds what it held at the beginning.
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../test/fuzz/mutate.ts";
import type { Person } from "../test/support/as-users.ts";
import { finished, type Result } from "../test/support/cooper.ts";
import { BASE, MixedWork, outputOf, workOptions } from "./mixed-work.ts";

export interface CrowdOptions {
  processes: number;
  seconds: number;
  seed: number;
  person: Person;
  /** A root file system, directory or tar, with a shell. */
  base: string;
  log: (line: string) => void;
}

export interface CrowdResult {
  /** Commands that ended, by kind. */
  done: Record<string, number>;
  /** Those among them that found a thing in use, made or removed by another. */
  refused: number;
  /** Images that were held for a time, each of which was looked at before it was let go. */
  held: number;
  failures: string[];
  /** What the store takes, before and after. */
  before: DiskUse;
  after: DiskUse;
  /** Entries below the store when everything was removed. */
  left: string[];
}

export interface DiskUse {
  /** Of all but the database, and directories themselves, which file systems do not shrink. */
  bytes: number;
  inodes: number;
  /** Of the database, which keeps the space of what is gone for what comes. */
  database: number;
}

/** Milliseconds after which a command is said to hang. */
const HANG = 300_000;
/** Images that one process holds at a time. */
const MOST_HELD = 3;

/** Everybody's names. */
const SUBJECTS = {
  images: Array.from({ length: 6 }, (_, number) => `localhost/i${number}`),
  containers: Array.from({ length: 6 }, (_, number) => `work${number}`),
};

/** An image that only its maker may remove: a container comes from it, and nobody else knows its name. */
interface Held {
  image: string;
  container: string;
  id: string;
  /** What is in its file /from/n. */
  value: string;
}

/** Does it in a store of its own. */
export async function crowd(options: CrowdOptions): Promise<CrowdResult> {
  await using work = await MixedWork.open(options.person, options.base, options.log);
  for (const image of SUBJECTS.images)
    await work.must("push", "--tls-verify=false", BASE, work.remote(image));
  // Pulled, the base has a blob as well.
  await work.must("pull", "--tls-verify=false", work.remote(SUBJECTS.images[0]!));
  await work.clear();
  const before = diskUse(work.site.root);
  const done: Record<string, number> = {};
  const end = Date.now() + options.seconds * 1000;
  const members = Array.from(
    { length: options.processes },
    (_, n) => new Member(work, n, options.seed, done),
  );
  const report = setInterval(
    () => options.log(`${sum(Object.values(done))} commands, ${work.failures.length} failures`),
    30_000,
  );
  await Promise.all(members.map((member) => member.work(end)));
  clearInterval(report);
  await work.check("the crowd");
  await Promise.all(members.map((member) => member.letGo()));
  await work.clear();
  const after = diskUse(work.site.root);
  const left = await work.empty();
  return {
    done,
    refused: sum(members.map(({ refused }) => refused)),
    held: sum(members.map(({ serial }) => serial)),
    failures: work.failures,
    before,
    after,
    left,
  };
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/** One of the crowd: a command after the other, so that there are as many processes as members. */
class Member {
  refused = 0;
  serial = 0;
  readonly #random: Random;
  readonly #held: Held[] = [];

  constructor(
    readonly shop: MixedWork,
    readonly number: number,
    seed: number,
    readonly done: Record<string, number>,
  ) {
    this.#random = new Random(seed + number * 7919);
  }

  async work(end: number): Promise<void> {
    while (Date.now() < end) {
      const choice = this.#random.below(20);
      if (choice === 0) await this.#hold();
      else if (choice === 1 && this.#held.length > 0) await this.#look(this.#random.pick(this.#held));
      else if (choice === 2) await this.#do("check", ["check", "--quiet"]);
      else {
        const { kind, args } = this.shop.command(this.#random, SUBJECTS);
        await this.#do(kind, args);
      }
    }
  }

  /** Looks at everything that it holds, and gives it up. */
  async letGo(): Promise<void> {
    for (let held = this.#held.shift(); held !== undefined; held = this.#held.shift())
      await this.#release(held);
  }

  /** Makes an image that is like no other, and a container from it. */
  async #hold(): Promise<void> {
    if (this.#held.length === MOST_HELD) await this.#release(this.#held.shift()!);
    const value = `${this.number}-${this.serial}`;
    const [image, container] = [`localhost/held${value}`, `held${value}`];
    const made = await this.#do("bud of one's own", [
      ...["bud", "--quiet", "--build-arg", `N=${value}`, "-t", image],
      this.shop.context,
    ]);
    // Until the container is there `prune --all` may take it.
    const from = ["from", "--pull-never", "--name", container, image];
    if (made === undefined || (await this.#do("from one's own", from)) === undefined) return;
    this.serial++;
    this.#held.push({ image, container, id: made.stdout.trim(), value });
    await this.#must("push of one's own", ["push", "--tls-verify=false", image, this.shop.remote(image)]);
  }

  /** The name still means the image, and its content is what was put in. */
  async #look({ image, container, id, value }: Held): Promise<void> {
    const inspect = ["inspect", "--type", "image", "--format", "{{.FromImageID}}", image];
    const named = await this.#must("inspect", inspect);
    if (named !== id) this.shop.fail(`${image} is ${named}, was ${id}`);
    const content = await this.#must("run of one's own", ["run", container, "--", "cat", "/from/n"]);
    if (content !== value) this.shop.fail(`${image} holds "${content}", not "${value}"`);
  }

  /** After a last look it is removed, and fetched again from the registry: the same image. */
  async #release(held: Held): Promise<void> {
    await this.#look(held);
    await this.#must("rm of one's own", ["rm", held.container]);
    await this.#do("rmi of one's own", ["rmi", held.image]);
    const pull = ["pull", "--quiet", "--policy=always", "--tls-verify=false", this.shop.remote(held.image)];
    const id = await this.#must("pull of one's own", pull);
    if (id !== held.id) this.shop.fail(`${held.image} came back as ${id}, was ${held.id}`);
    await this.#do("rmi of one's own", [
      "rmi",
      "--force",
      this.shop.remote(held.image).slice("docker://".length),
    ]);
  }

  /** Runs a command that nothing of the others' work may keep from working; its output's first line. */
  async #must(kind: string, args: string[]): Promise<string> {
    const result = await this.#ended(kind, args);
    if (result.exitCode !== 0) this.shop.fail(`${args.join(" ")}: ${outputOf(result)}`);
    return result.stdout.split("\n", 1)[0]!;
  }

  /** Runs one that may find others in its way; undefined when it did. */
  async #do(kind: string, args: string[]): Promise<Result | undefined> {
    const result = await this.#ended(kind, args);
    if (result.exitCode === 0) return result;
    if (this.shop.isExpected(result)) this.refused++;
    else this.shop.fail(`${args.join(" ")}: ${outputOf(result)}`);
    return undefined;
  }

  async #ended(kind: string, args: string[]): Promise<Result> {
    const child = this.shop.start(args);
    const timer = setTimeout(() => {
      this.shop.fail(`${args.join(" ")} hangs`);
      child.kill("SIGKILL");
    }, HANG);
    const result = await finished(child);
    clearTimeout(timer);
    this.done[kind] = (this.done[kind] ?? 0) + 1;
    return result;
  }
}

/** What lies below a store's directory. */
function diskUse(root: string): DiskUse {
  const use: DiskUse = { bytes: 0, inodes: 0, database: 0 };
  const seen = new Set<number>();
  const add = (path: string): void => {
    const stat = lstatSync(path);
    if (seen.has(stat.ino)) return;
    seen.add(stat.ino);
    if (path.startsWith(join(root, "cooper.db"))) {
      use.database += stat.size;
      return;
    }
    use.inodes++;
    if (!stat.isDirectory()) use.bytes += stat.blocks * 512;
    else for (const name of readdirSync(path)) add(join(path, name));
  };
  add(root);
  return use;
}

if (import.meta.main) {
  const result = await crowd(workOptions({ processes: 16, seconds: 1200 }));
  console.log(JSON.stringify(result, undefined, 2));
  const same = result.before.bytes === result.after.bytes && result.before.inodes === result.after.inodes;
  process.exit(result.failures.length + result.left.length === 0 && same ? 0 : 1);
}
