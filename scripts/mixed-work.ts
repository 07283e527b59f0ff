/** A store, a registry, and the commands of a day's work on both: what torture.ts kills, and crowd.ts has many do at once. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { people, type Person } from "../test/support/as-users.ts";
import { busyboxBase } from "../test/support/bases.ts";
import { finished, openSite, type Result, type Site, type Started } from "../test/support/cooper.ts";
import type { Random } from "../test/fuzz/mutate.ts";
import { startRegistry, type TestRegistry } from "../test/transport/registry-server.ts";

/** Names that the commands are about; the fewer there are, the more often one command makes what another replaces. */
export interface Subjects {
  images: string[];
  containers: string[];
}

export interface Command {
  /** For counting. */
  kind: string;
  args: string[];
}

/** The image that all others are built from; a container holds it while everything else is removed. */
export const BASE = "localhost/base";
const ANCHOR = "anchor";

/** Errors that only tell that another command has removed, made or is using a thing. */
const EXPECTED =
  /no such (?:image|container)|exists already|is used by|several names|nothing to|was removed|manifest unknown|in use/;

const DOCKERFILE = `FROM ${BASE} AS one
ARG N
RUN echo $N > /n; head -c 300000 /dev/urandom > /noise
COPY file /copied
FROM ${BASE}
ARG N
RUN rm -rf /etc/passwd; mkdir -p /deep/er; echo $N > /deep/er/n
COPY --from=one /n /noise /from/
`;

export class MixedWork implements AsyncDisposable {
  readonly failures: string[] = [];
  readonly context: string;
  #serial = 0;

  private constructor(
    readonly site: Site,
    readonly registry: TestRegistry,
    readonly log: (line: string) => void,
  ) {
    this.context = site.files({ Dockerfile: DOCKERFILE, file: "x".repeat(100_000) });
  }

  /** Opens a place with the base (a root file system with a shell: directory or tar) in its store, its registry and a layout. */
  static async open(person: Person, base: string, log: (line: string) => void): Promise<MixedWork> {
    const work = new MixedWork(openSite(person), await startRegistry(), log);
    await work.must("import", base, BASE);
    await work.must("push", "-q", BASE, `oci:${work.#layout}:base`);
    await work.must("from", "--name", ANCHOR, BASE);
    await work.must("copy", ANCHOR, join(work.context, "file"), "/anchored");
    return work;
  }

  get #layout(): string {
    return join(this.site.work, "layout");
  }

  /** Where an image of this store is in the registry. */
  remote(image: string): string {
    return `docker://${this.registry.host}/${image.replace("localhost/", "")}`;
  }

  /** Some command; half of the builds find their steps in the cache. */
  command(random: Random, { images, containers }: Subjects): Command {
    const image = random.pick(images);
    const container = random.pick(containers);
    const value = `N=${random.below(2) === 0 ? random.below(3) : this.#serial++}`;
    const write = `echo ${value} > /v; head -c 200000 /dev/urandom > /r`;
    const insecure = "--tls-verify=false";
    const build = (...flags: string[]) => ["bud", ...flags, "--build-arg", value, "-t", image, this.context];
    return random.pick<Command>([
      { kind: "bud", args: build() },
      { kind: "bud --layers", args: build("--layers") },
      { kind: "bud --no-cache", args: build("--no-cache") },
      { kind: "from", args: ["from", "--name", container, BASE] },
      { kind: "run", args: ["run", container, "--", "sh", "-c", write] },
      { kind: "copy", args: ["copy", container, join(this.context, "file"), "/in"] },
      { kind: "commit", args: ["commit", container, image] },
      { kind: "commit --rm", args: ["commit", "--rm", container, image] },
      { kind: "pull of a layout", args: ["pull", `oci:${this.#layout}:base`] },
      { kind: "pull", args: ["pull", insecure, this.remote(image)] },
      {
        kind: "push to a layout",
        args: ["push", image, `oci:${join(this.site.work, "out")}:${image.slice(-1)}`],
      },
      { kind: "push", args: ["push", insecure, image, this.remote(image)] },
      { kind: "rm", args: ["rm", container] },
      { kind: "rmi", args: ["rmi", "--force", image] },
      { kind: "rmi of a pulled one", args: ["rmi", "--force", this.remote(image).slice("docker://".length)] },
      { kind: "manifest", args: ["manifest", "create", "--amend", "localhost/list", image] },
      { kind: "tag", args: ["tag", image, random.pick(images)] },
      { kind: "prune", args: ["prune"] },
      { kind: "prune --all", args: ["prune", "--all"] },
    ]);
  }

  start(args: string[]): Started {
    return this.site.start(["cooper", ...args]);
  }

  /** Runs a command to its end. */
  async ended(args: string[]): Promise<Result> {
    return await finished(this.start(args));
  }

  /** Runs one that has to work, and returns its output's first line. */
  async must(...args: string[]): Promise<string> {
    const result = await this.ended(args);
    if (result.exitCode !== 0) this.fail(`${args.join(" ")}: ${outputOf(result)}`);
    return result.stdout.split("\n", 1)[0]!;
  }

  /** Whether a command that failed only met what others do. Nobody removes the base. */
  isExpected(result: Result): boolean {
    const output = outputOf(result);
    return EXPECTED.test(output) && !output.includes(`${BASE}: no such`);
  }

  /** `cooper check` without a fault. */
  async check(after: string): Promise<void> {
    const result = await this.ended(["check", "--quiet"]);
    if (result.exitCode !== 0) this.fail(`check after ${after}: ${outputOf(result)}`);
  }

  fail(what: string): void {
    this.log(what);
    this.failures.push(what);
  }

  /** Removes every container but the anchor, and whatever then can be. */
  async clear(): Promise<void> {
    const names = (await this.site.ok("containers", "-a", "--format", "{{.ContainerName}}")).split("\n");
    const others = names.filter((name) => name !== "" && name !== ANCHOR);
    if (others.length > 0) await this.must("rm", ...others);
    await this.must("prune", "--all");
    await this.check("prune --all");
  }

  /** Removes the anchor as well: its file must be there, and then nothing more in the store. Returns what is. */
  async empty(): Promise<string[]> {
    await this.must("run", ANCHOR, "--", "test", "-s", "/anchored");
    await this.must("rm", "--all");
    await this.must("rmi", "--all", "--force");
    await this.must("prune", "--all");
    await this.check("the end");
    return ["layers", "blobs/sha256", "containers", "tmp"].flatMap((directory) =>
      readdirSync(join(this.site.root, directory)).map((name) => `${directory}/${name}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registry[Symbol.dispose]();
    await this.site[Symbol.asyncDispose]();
  }
}

/** Both streams of a command. */
export function outputOf({ stdout, stderr }: Result): string {
  return `${stdout}${stderr}`.trim();
}

/** What a command line asks of mixed work: the numbers of `defaults`, --seed, --user and --base. */
export function workOptions<Name extends string>(
  defaults: Record<Name, number>,
): Record<Name, number> & { seed: number; person: Person; base: string; log: (line: string) => void } {
  const names = Object.keys(defaults) as Name[];
  const numbers = { ...defaults, seed: Date.now() % 1_000_000 };
  const flags = Object.entries(numbers).map(([name, value]) => [
    name,
    { type: "string", default: String(value) } as const,
  ]);
  const { values } = parseArgs({
    options: {
      ...(Object.fromEntries(flags) as Record<string, { type: "string"; default: string }>),
      user: { type: "boolean", default: false },
      base: { type: "string" },
    },
  });
  const given = values as Record<string, string> & { user: boolean | string };
  const person = people.find(({ kind }) => kind === (given.user ? "user" : "root"));
  if (person === undefined) throw new Error("Without root only --user can be had");
  console.log(`seed ${given.seed}`);
  return {
    ...(Object.fromEntries(names.map((name) => [name, Number(given[name])])) as Record<Name, number>),
    seed: Number(given.seed),
    person,
    base: given.base ?? busyboxBase(),
    log: console.log,
  };
}
