// Protects names and removal of images as Buildah has them: short names, ids and their prefixes, what needs force.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import {
  type CooperError,
  from,
  importImage,
  inspectImage,
  listContainers,
  listImages,
  openContainer,
  openStore,
  removeImage,
  type Store,
  tagImage,
} from "../../src/index.ts";
import { storeBytes } from "../../src/store/store.ts";
import { findFaults } from "../store/check-store.ts";

const work = mkdtempSync("/var/tmp/cooper-images-");
let store: Store;
let number = 0;
/** Ids of two images. */
let one = "";
let two = "";

const add = async (name: string | undefined, content: string) => {
  const directory = join(work, `tree-${content}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "file"), content);
  return (await importImage(store, directory, name === undefined ? {} : { name })).id;
};

beforeAll(() => mkdirSync(work, { recursive: true }));
beforeEach(async () => {
  await store?.[Symbol.asyncDispose]();
  // Scratch containers and those of imported images are made with the driver that mounts nothing.
  store = await openStore({
    root: join(work, `store-${number++}`),
    runRoot: join(work, "run"),
    driver: "copy",
  });
  one = await add("one", "one");
  two = await add("docker.io/library/two:3", "two");
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

const names = async (id: string) => (await inspectImage(store, id)).names;
const idOf = async (text: string) => (await inspectImage(store, text)).id;

async function refusal(action: () => Promise<unknown>): Promise<Pick<CooperError, "code" | "message">> {
  try {
    await action();
  } catch (error) {
    return error as CooperError;
  }
  throw new Error("It was not refused");
}

describe("an image is found by", () => {
  test("its full and its short names", async () => {
    for (const text of ["localhost/one:latest", "localhost/one", "one", "one:latest"])
      expect(await idOf(text)).toBe(one);
    for (const text of ["two:3", "library/two:3", "docker.io/two:3", "docker.io/library/two:3"])
      expect(await idOf(text)).toBe(two);
  });

  test("its id, with or without the algorithm, and any prefix that is its alone", async () => {
    for (const text of [one, `sha256:${one}`, one.slice(0, 12), one.slice(0, 20)])
      expect(await idOf(text)).toBe(one);
  });

  test("a name before an id that begins so", async () => {
    await tagImage(store, "two:3", [one.slice(0, 8)]);
    expect(await idOf(one.slice(0, 8))).toBe(two);
    expect(await idOf(one.slice(0, 9))).toBe(one);
  });

  test("the local one of two names that a short one may mean", async () => {
    await tagImage(store, one, ["localhost/two:3"]);
    expect(await idOf("two:3")).toBe(one);
    expect(await idOf("docker.io/two:3")).toBe(two);
  });

  test.each([
    "three",
    "two",
    "two:latest",
    "one:3",
    "registry.example/one",
    "localhost/two:3",
    "ffff",
    "",
    "UPPER",
    "a b",
    "../x",
    "sha256:",
    "%",
  ])("but not by %p", async (text) => {
    expect((await refusal(() => inspectImage(store, text))).code).toMatch(/^(not-found|invalid|usage)$/);
  });

  test("an ambiguous prefix is refused", async () => {
    // Until two ids share their first three digits.
    const seen = new Map<string, string>();
    let shared: string | undefined;
    for (let n = 0; shared === undefined; n++) {
      const id = Bun.SHA256.hash(`image ${n}`, "hex");
      if (seen.has(id.slice(0, 3))) shared = id.slice(0, 3);
      seen.set(id.slice(0, 3), id);
      const { db } = filesOf(store);
      db.query("INSERT INTO images (id, manifest, created, size, added) VALUES (?, '', '', 0, 0)").run(id);
    }
    expect((await refusal(() => inspectImage(store, shared!))).code).toBe("usage");
  });
});

describe("tagging", () => {
  test("gives more names, and takes a name from who had it", async () => {
    await tagImage(store, "one", ["uno", "eins:1", "quay.io/x/y"]);
    expect(await names(one)).toEqual([
      "localhost/eins:1",
      "localhost/one:latest",
      "localhost/uno:latest",
      "quay.io/x/y:latest",
    ]);
    await tagImage(store, "two:3", ["uno"]);
    expect(await idOf("uno")).toBe(two);
    expect(await names(one)).not.toContain("localhost/uno:latest");
  });

  test("an image that lost its last name is still there", async () => {
    await tagImage(store, "two:3", ["one"]);
    expect(await names(one)).toEqual([]);
    expect((await listImages(store)).map(({ id }) => id).sort()).toEqual([one, two].sort());
  });

  test("all names or none are given", async () => {
    expect((await refusal(() => tagImage(store, "one", ["good", "Not Good"]))).code).toMatch(/invalid|usage/);
    expect(await names(one)).toEqual(["localhost/one:latest"]);
    expect((await refusal(() => tagImage(store, "nothing", ["good"]))).code).toBe("not-found");
  });
});

describe("removing", () => {
  test("by the only name deletes the image and its files", async () => {
    expect(await removeImage(store, "one")).toEqual({ untagged: ["localhost/one:latest"], deleted: [one] });
    expect((await listImages(store)).map(({ id }) => id)).toEqual([two]);
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("by one of several names takes the name away, forced or not", async () => {
    await tagImage(store, "one", ["uno", "eins"]);
    expect(await removeImage(store, "uno")).toEqual({ untagged: ["localhost/uno:latest"], deleted: [] });
    expect(await removeImage(store, "eins", { force: true })).toEqual({
      untagged: ["localhost/eins:latest"],
      deleted: [],
    });
    expect(await names(one)).toEqual(["localhost/one:latest"]);
  });

  test("by id with one name deletes; with several it needs force", async () => {
    await tagImage(store, "one", ["uno"]);
    expect(await refusal(() => removeImage(store, one.slice(0, 12)))).toMatchObject({
      code: "in-use",
      message: expect.stringContaining("localhost/uno"),
    });
    expect(await removeImage(store, one, { force: true })).toEqual({
      untagged: ["localhost/one:latest", "localhost/uno:latest"],
      deleted: [one],
    });
    expect(await removeImage(store, `sha256:${two}`)).toMatchObject({ deleted: [two] });
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("what a container comes from needs force, and leaves the container its files", async () => {
    const container = await from(store, "one");
    expect(await refusal(() => removeImage(store, "one"))).toMatchObject({
      code: "in-use",
      message: expect.stringContaining(container.name),
    });
    expect(await names(one)).toEqual(["localhost/one:latest"]);
    await tagImage(store, "one", ["uno"]);
    expect(await removeImage(store, "uno")).toEqual({ untagged: ["localhost/uno:latest"], deleted: [] });
    expect(await removeImage(store, "one", { force: true })).toMatchObject({ deleted: [one] });
    expect(await listContainers(store)).toMatchObject([
      { name: container.name, imageId: one, imageName: "localhost/one:latest" },
    ]);
    const { imageId } = await container.commit("again");
    expect((await inspectImage(store, "again")).config.rootfs.diff_ids).toHaveLength(1);
    expect(imageId).not.toBe(one);
    await container.remove();
    await removeImage(store, "again");
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("leaves alone what other images share", async () => {
    const same = await add("same", "one");
    const [a, b] = [await inspectImage(store, one), await inspectImage(store, same)];
    await removeImage(store, "one");
    expect((await inspectImage(store, "same")).config).toEqual(b.config);
    expect(a.id).not.toBe(b.id);
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("of nothing is an error", async () => {
    expect((await refusal(() => removeImage(store, "nothing"))).code).toBe("not-found");
  });
});

test("a name that is gone while its container is not: the container is found by name and by prefix", async () => {
  const first = await from(store, "one", { name: "xc" });
  const second = await from(store, "one");
  expect(second.name).toBe("one-working-container");
  expect((await from(store, "one")).name).toBe("one-working-container-1");
  expect((await openContainer(store, first.id.slice(0, 16))).name).toBe("xc");
  expect((await refusal(() => from(store, "one", { name: "xc" }))).code).toBe("exists");
  expect((await refusal(() => openContainer(store, "nobody"))).code).toBe("not-found");
  await first.rename("xd");
  expect((await refusal(() => openContainer(store, "xc"))).code).toBe("not-found");
  expect((await refusal(() => second.rename("xd"))).code).toBe("exists");
  await first.remove();
  expect((await refusal(() => first.commit("late"))).code).toBe("not-found");
});

test("what a session holds goes with it", async () => {
  const { root } = store;
  {
    await using other = await openStore({ root, runRoot: join(work, "run") });
    storeBytes(filesOf(other), Buffer.from("passing"));
  }
  expect(findFaults(filesOf(store))).toEqual([]);
});
