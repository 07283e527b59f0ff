// Protects the cache that is still useful: prune --keep-storage takes what was used longest ago, and no more than it must.
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { people } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";

setDefaultTimeout(60_000);

let site: Site;
beforeAll(async () => {
  site = openSite(people[0]!);
  await site.ok("import", busyboxBase(), "localhost/busybox");
});
afterAll(() => site[Symbol.asyncDispose]());

const MEGABYTE = 1 << 20;
const HOUR = 3_600_000;

/** Builds two steps of three megabytes each, which nothing but the cache keeps afterwards, as if `hours` ago. */
async function build(name: string, hours: number): Promise<string> {
  const before = Date.now();
  const fill = (file: string) => `RUN echo ${name}; dd if=/dev/urandom of=/${file} bs=1M count=3`;
  const context = site.files({ Dockerfile: `FROM localhost/busybox\n${fill("one")}\n${fill("two")}\n` });
  await site.ok("bud", "-q", "-t", "localhost/filled", context);
  await site.ok("rmi", "localhost/filled");
  using db = new Database(join(site.root, "cooper.db"));
  // All within one hour, whatever time it is.
  const start = (Math.floor(before / HOUR) - hours) * HOUR;
  db.query("UPDATE cache SET used = ? + used - ? WHERE used >= ?").run(start, before, before);
  return context;
}

const cacheBytes = async () => JSON.parse(await site.ok("du", "--json")).cache.bytes as number;
/** How many of a build's two steps are in the cache. */
async function cached(context: string): Promise<number> {
  const { stderr } = await site.cooper("bud", context);
  return stderr.match(/--> Using cache/g)?.length ?? 0;
}

test("the least recently used steps go until the cache fits; of one build the last steps first", async () => {
  await build("old", 50);
  const middle = await build("middle", 20);
  const recent = await build("recent", 0);
  expect(await cacheBytes()).toBeGreaterThan(18 * MEGABYTE);
  // Room for three steps and a half: the old build goes, and of the next one what stands on top.
  const pruned = JSON.parse(await site.ok("prune", "--keep-storage", "10.5m", "--json"));
  expect(pruned.reclaimedBytes).toBeGreaterThan(8 * MEGABYTE);
  expect(pruned.reclaimedBytes).toBeLessThan(10 * MEGABYTE);
  expect(await cacheBytes()).toBeLessThanOrEqual(10.5 * MEGABYTE);
  expect(await cached(recent)).toBe(2);
  expect(await cached(middle)).toBe(1);
});

test("nothing goes when it fits already; until= keeps what is newer; 0 leaves nothing; nonsense is refused", async () => {
  await site.ok("prune");
  await build("one", 5);
  const full = await cacheBytes();
  await site.ok("prune", "--keep-storage", "1g");
  expect(await cacheBytes()).toBe(full);
  await site.ok("prune", "--keep-storage", "0", "--filter", "until=10h");
  expect(await cacheBytes()).toBe(full);
  await site.ok("prune", "--keep-storage", "0", "--filter", "until=1h");
  expect(await cacheBytes()).toBe(0);
  expect((await site.cooper("prune", "--keep-storage", "much")).exitCode).toBe(125);
});

test("what an image uses is no part of the cache, and cache mounts are", async () => {
  await site.ok("prune");
  const context = site.files({
    Dockerfile:
      "FROM localhost/busybox\nRUN dd if=/dev/urandom of=/kept bs=1M count=3\nRUN --mount=type=cache,target=/c dd if=/dev/urandom of=/c/x bs=1M count=3\n",
  });
  await site.ok("bud", "-q", "-t", "localhost/kept", context);
  const mounts = async () => JSON.parse(await site.ok("du", "--json")).cacheMounts.count as number;
  await site.ok("prune", "--keep-storage", "4m");
  expect(await mounts()).toBe(1);
  await site.ok("prune", "--keep-storage", "2m");
  expect(await mounts()).toBe(0);
  expect(await cached(context)).toBe(2);
});

test("du says before what prune frees: what images share with the cache, and with --force the containers too", async () => {
  await site.ok("prune");
  const context = site.files({
    Dockerfile: "FROM localhost/busybox\nRUN dd if=/dev/urandom of=/large bs=1M count=3\n",
  });
  await site.ok("bud", "-q", "-t", "localhost/large", context);
  const box = await site.ok("from", "localhost/busybox");
  await site.ok("run", box, "dd", "if=/dev/urandom", "of=/written", "bs=1M", "count=2");
  const usage = JSON.parse(await site.ok("du", "--json"));
  const parts = ["images", "containers", "cache", "cacheMounts", "logs", "unfinished"];
  const promised = parts.reduce((sum, part) => sum + usage[part].reclaimable, 0);
  const prune = async (...more: string[]) => JSON.parse(await site.ok("prune", "--all", "--json", ...more));
  expect(promised).toBeGreaterThan(3 * MEGABYTE);
  expect((await prune()).reclaimedBytes).toBe(promised);
  const all = await prune("--force");
  expect(all.containers).toEqual([box]);
  expect(all.reclaimedBytes).toBeGreaterThan(3 * MEGABYTE);
});
