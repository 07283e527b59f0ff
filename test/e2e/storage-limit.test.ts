// Protects the cap on a store: after each build the least recently used cache goes until it fits, and nothing that is needed.
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { finished, openSite, type Site } from "../support/cooper.ts";
import { eventually } from "../support/leftovers.ts";

setDefaultTimeout(60_000);

const MEGABYTE = 1 << 20;

/** Far above the base and the database; of the steps below three fit, and not four. */
const LIMIT = 17 * MEGABYTE;
/** Runs `cooper ARGS` with that limit. */
const limited = (...args: string[]) => site.run(["cooper", ...args], { env: { COOPER_MAX_STORAGE: "17m" } });

let site: Site;
beforeAll(async () => {
  site = openSite(people[0]!);
  await site.ok("import", busyboxBase(), "localhost/busybox");
});
afterAll(() => site[Symbol.asyncDispose]());

const fill = (text: string, megabytes = 4) =>
  `RUN echo ${text}; dd if=/dev/urandom of=/${text} bs=1M count=${megabytes}\n`;

/** A context whose image is small, and whose other stage leaves large steps to the cache. */
function context(...steps: string[]): string {
  const work = steps.map((step) => fill(step)).join("");
  return site.files({
    Dockerfile: `FROM localhost/busybox AS work\n${work}RUN touch /small\nFROM scratch\nCOPY --from=work /small /\n`,
  });
}

async function build(directory: string, ...flags: string[]): Promise<string> {
  const { exitCode, stderr } = await limited("bud", ...flags, directory);
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  return stderr;
}

const usage = async () => JSON.parse(await site.ok("du", "--json"));
/** How many steps a build without the cap takes from the cache. */
async function cached(directory: string): Promise<number> {
  return (await site.cooper("bud", directory)).stderr.match(/--> Using cache/g)?.length ?? 0;
}

test("after each build the steps that were used longest ago are gone, and the store fits", async () => {
  const [one, two, three] = [context("a"), context("b"), context("c", "d")];
  await build(one);
  await build(two);
  // Its steps are the oldest no more.
  await build(one);
  expect(await build(three)).not.toContain("limit");
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
  expect(await cached(three)).toBe(4);
  expect(await cached(one)).toBe(3);
  expect(await cached(two)).toBeLessThan(3);
});

test("a build that leaves more than fits keeps what its later steps stand on", async () => {
  const large = context("e", "f", "g", "h", "i");
  await build(large);
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
  const found = await cached(large);
  expect(found).toBeGreaterThan(0);
  expect(found).toBeLessThan(7);
});

test("what a failed build leaves counts, too", async () => {
  const failing = site.files({
    Dockerfile: `FROM localhost/busybox\n${fill("k", 12)}${fill("l", 12)}RUN false\n`,
  });
  expect((await limited("bud", failing)).exitCode).toBe(1);
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
});

test("scripts that cache their steps are held to it", async () => {
  await site.ok("from", "--name", "script", "localhost/busybox");
  const runs = ["m", "n"].map((file) => `dd if=/dev/urandom of=/${file} bs=1M count=9`);
  for (const run of runs) {
    expect((await limited("run", "--cache", "script", "--", "sh", "-c", run)).exitCode).toBe(0);
    await site.ok("rm", "script");
    await site.ok("from", "--name", "script", "localhost/busybox");
  }
  expect(await limited("run", "--cache", "script", "--", "touch", "/x")).toMatchObject({
    exitCode: 0,
    stderr: "",
  });
  await site.ok("rm", "script");
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
});

test("what has a name or is in use stays, and a limit that cannot be kept is told of", async () => {
  const named = site.files({ Dockerfile: `FROM localhost/busybox\n${fill("o", 10)}` });
  const used = site.files({ Dockerfile: `FROM localhost/busybox\n${fill("p", 10)}` });
  await build(named, "-t", "localhost/named");
  await build(used, "-t", "localhost/used");
  await site.ok("from", "--name", "user", "localhost/used");
  await site.ok("untag", "localhost/used");
  makeOld();
  const warning =
    /The store takes \d+ MiB, more than its limit of 17 MiB: what is left has a name or is in use/;
  expect(await build(context("q"))).toMatch(warning);
  const script = await limited("run", "--cache", "user", "--", "touch", "/x");
  expect({ ...script, stdout: "" }).toEqual({
    exitCode: 0,
    stdout: "",
    stderr: expect.stringMatching(warning),
  });
  expect((await usage()).cache.bytes).toBeLessThan(MEGABYTE);
  expect(await site.ok("run", "user", "ls", "/p")).toContain("/p");
  expect(await site.ok("images", "-q", "localhost/named")).not.toBe("");
  await site.ok("rm", "user");
  await site.ok("rmi", "localhost/named");
});

test("what a build under way has made stays", async () => {
  const mark = site.files({});
  const slow = site.files({
    Dockerfile: `FROM localhost/busybox\n${fill("y", 20)}RUN touch /mark/began; sleep 4; test -s /y\n`,
  });
  const running = site.start(["cooper", "bud", "--volume", `${mark}:/mark`, slow]);
  expect(await eventually(() => existsSync(join(mark, "began")), 30_000)).toBe(true);
  expect(await build(context("z"))).toContain("The store takes");
  expect((await finished(running)).exitCode).toBe(0);
});

test("images that a rebuild took the name of go once they are an hour old; a new one without a name stays", async () => {
  const file = (text: string) =>
    site.files({ Dockerfile: `FROM localhost/busybox\n${fill(text, 6)}CMD ["${text}"]\n` });
  const id = async (text: string, ...flags: string[]) =>
    (await limited("bud", "-q", ...flags, file(text))).stdout.trim();
  const first = await id("r", "-t", "localhost/app");
  await id("s", "-t", "localhost/app");
  makeOld();
  const nameless = await id("t");
  const ids = await site.ok("images", "-aq", "--no-trunc");
  expect(ids).not.toContain(first);
  expect(ids).toContain(nameless);
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
});

test("the limit is one of containers.conf, too; one that is no size is an error before anything runs", async () => {
  const conf = site.files({ "cooper.conf": '[cooper]\nmax_storage = "17m"\n' });
  const env = { CONTAINERS_CONF: join(conf, "cooper.conf") };
  expect((await site.run(["cooper", "bud", context("u", "v", "w", "x")], { env })).exitCode).toBe(0);
  expect((await usage()).totalBytes).toBeLessThanOrEqual(LIMIT);
  const plenty = { COOPER_MAX_STORAGE: "plenty" };
  const bad = await site.run(["cooper", "bud", context("y")], { env: plenty });
  expect([bad.exitCode, bad.stderr]).toEqual([125, expect.stringContaining('COOPER_MAX_STORAGE "plenty"')]);
  expect(bad.stderr).not.toContain("STEP");
});

/** All images are two hours older. */
function makeOld(): void {
  using db = new Database(join(site.root, "cooper.db"));
  db.query("UPDATE images SET added = added - ?").run(2 * 3_600_000);
}
