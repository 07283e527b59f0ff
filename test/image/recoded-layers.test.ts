// Protects pushing again: what the target has is neither compressed nor sent, and nothing is taken for what it is not.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import type { BuildEvent } from "../../src/base/events.ts";
import { importImage, openStore, push, removeImage, type Store } from "../../src/index.ts";

const work = mkdtempSync("/var/tmp/cooper-recoded-");
let store: Store;
beforeAll(async () => {
  store = await openStore({ root: join(work, "store"), runRoot: join(work, "run") });
  mkdirSync(join(work, "tree"));
  writeFileSync(join(work, "tree/file"), "content ".repeat(100_000));
  await importImage(store, join(work, "tree"), { name: "mine" });
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

/** Pushes to a layout; whether the one layer was sent. */
async function pushTo(layout: string, options: Parameters<typeof push>[3] = {}): Promise<boolean> {
  const events: BuildEvent[] = [];
  await push(store, "mine", `oci:${join(work, layout)}:x`, { ...options, onEvent: (e) => events.push(e) });
  const told = events.flatMap((event) => (event.type === "blob" ? [event.skipped === true] : []));
  expect(told.length).toBeGreaterThan(0);
  return !told.every((skipped) => skipped);
}

const blobsOf = (layout: string) => readdirSync(join(work, layout, "blobs/sha256")).sort();

test("a second push to the same place sends nothing, to another place everything", async () => {
  expect(await pushTo("one")).toBe(true);
  const blobs = blobsOf("one");
  expect(await pushTo("one")).toBe(false);
  expect(blobsOf("one")).toEqual(blobs);
  expect(await pushTo("two")).toBe(true);
  expect(blobsOf("two")).toEqual(blobs);
  expect(await pushTo("two")).toBe(false);
});

test("another format or level is another blob, remembered for itself", async () => {
  expect(await pushTo("one", { compression: "zstd" })).toBe(true);
  expect(await pushTo("one", { compressionLevel: 9 })).toBe(true);
  expect(await pushTo("one", { compression: "zstd" })).toBe(false);
  expect(await pushTo("one", { compressionLevel: 9 })).toBe(false);
  expect(await pushTo("one")).toBe(false);
  expect(await pushTo("three", { compression: "zstd" })).toBe(true);
});

test("a blob that is no longer there is sent again", async () => {
  rmSync(join(work, "two"), { recursive: true });
  expect(await pushTo("two")).toBe(true);
});

test("what is remembered of layers goes with them", async () => {
  const count = () =>
    (filesOf(store).db.query("SELECT count(*) AS n FROM recoded_layers").get() as { n: number }).n;
  expect(count()).toBe(3);
  await removeImage(store, "mine");
  // What this session has pushed it holds to its end.
  await store[Symbol.asyncDispose]();
  store = await openStore({ root: join(work, "store"), runRoot: join(work, "run") });
  expect(count()).toBe(0);
});
