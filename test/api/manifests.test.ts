// Protects lists of images: a list keeps what its images consist of, changes by several at once are all there, nothing leaks.
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import {
  addToManifest,
  annotateManifest,
  type CooperError,
  copy,
  createManifest,
  digestOfReference,
  from,
  importImage,
  inspectImage,
  inspectManifest,
  inspectReference,
  listImages,
  manifestExists,
  openStore,
  pruneImages,
  pushManifest,
  removeFromManifest,
  removeImage,
  removeManifest,
  type Store,
  tagImage,
  untagImage,
} from "../../src/index.ts";
import { openOciLayoutSource } from "../../src/transport/oci-layout.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { findFaults } from "../store/check-store.ts";
import { hostPlatformForTests, makeImage } from "../support/make-image.ts";

const work = mkdtempSync("/var/tmp/cooper-lists-");
const here = hostPlatformForTests.architecture;
const elsewhere = here === "amd64" ? "arm64" : "amd64";
let store: Store;
let number = 0;

const imported = async (name: string, platform: string) => {
  const directory = join(work, `tree-${name}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "file"), `${name}\n`);
  return await importImage(store, directory, { name, platform });
};

beforeEach(async () => {
  await store?.[Symbol.asyncDispose]();
  store = await openStore({
    root: join(work, `store-${number++}`),
    runRoot: join(work, "run"),
    driver: "copy",
  });
});
afterAll(async () => {
  await store?.[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

async function code(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    return (error as CooperError).code;
  }
  return "";
}

const digestsOf = async (list: string) => (await inspectManifest(store, list)).manifests.map((m) => m.digest);
const layout = () => join(work, `layout-${number}-${Math.random().toString(36).slice(2)}`);

describe("a list of two committed images", () => {
  beforeEach(async () => {
    await imported("one", `linux/${here}`);
    await imported("two", `linux/${elsewhere}`);
    await createManifest(store, "list", { images: ["one", "two"] });
  });

  test("tells their platforms and digests, keeps its id, and counts as one thing with a name", async () => {
    const { manifests } = await inspectManifest(store, "list");
    expect(manifests.map(({ platform }) => platform)).toEqual([
      { architecture: here, os: "linux" },
      { architecture: elsewhere, os: "linux" },
    ]);
    expect(manifests.map(({ digest }) => digest)).toEqual(
      await Promise.all(["one", "two"].map(async (name) => (await inspectImage(store, name)).digest)),
    );
    const [listed] = (await listImages(store)).filter(({ isList }) => isList);
    expect(listed?.names).toEqual(["localhost/list:latest"]);
    await annotateManifest(store, "list", undefined, { index: true, annotations: ["a=b=c"] });
    expect((await listImages(store)).find(({ isList }) => isList)?.id).toBe(listed!.id);
    expect((await inspectManifest(store, listed!.id.slice(0, 10))).annotations).toEqual({ a: "b=c" });
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("is whole when the images' own records are gone, and everything goes with it", async () => {
    await removeImage(store, "one");
    await removeImage(store, "two");
    expect(findFaults(filesOf(store))).toEqual([]);
    const target = layout();
    const { digest } = await pushManifest(store, "list", `oci:${target}:x`, { compression: "none" });
    expect(await digestOfReference(`oci:${target}:x`)).toBe(digest);
    for (const architecture of [here, elsewhere]) {
      const alone = layout();
      await copy(`oci:${target}:x`, `oci:${alone}`, { platform: `linux/${architecture}` });
      await validateImage(openOciLayoutSource(alone));
    }
    await removeManifest(store, "list");
    expect(await listImages(store)).toEqual([]);
    // What a session made is its own until it ends.
    const { root, runRoot } = store;
    await store[Symbol.asyncDispose]();
    store = await openStore({ root, runRoot, driver: "copy" });
    expect(findFaults(filesOf(store))).toEqual([]);
    expect(filesOf(store).db.query("SELECT * FROM snapshots").all()).toEqual([]);
    expect(filesOf(store).db.query("SELECT * FROM blobs").all()).toEqual([]);
  });

  test("FROM it is FROM the image for the platform, from its own content if need be", async () => {
    const ids = { one: (await inspectImage(store, "one")).id, two: (await inspectImage(store, "two")).id };
    expect((await inspectImage(store, "list")).id).toBe(ids.one);
    await using native = await from(store, "list");
    expect((await native.inspect()).imageId).toBe(ids.one);
    await removeImage(store, "two");
    await using foreign = await from(store, "list", { platform: `linux/${elsewhere}` });
    expect((await foreign.inspect()).imageId).toBe(ids.two);
    expect(await code(from(store, "list", { platform: "linux/s390x", pull: "never" }))).toBe("not-found");
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("an entry is changed and removed by digest and by name", async () => {
    const [one, two] = (await digestsOf("list")) as [string, string];
    await annotateManifest(store, "list", two, { variant: "v9", osVersion: "1", annotations: ["k=v"] });
    expect((await inspectManifest(store, "list")).manifests[1]).toMatchObject({
      platform: { architecture: elsewhere, os: "linux", variant: "v9", "os.version": "1" },
      annotations: { k: "v" },
    });
    await removeFromManifest(store, "list", "one");
    expect(await digestsOf("list")).toEqual([two as `sha256:${string}`]);
    expect(await code(removeFromManifest(store, "list", one))).toBe("not-found");
    expect(await code(annotateManifest(store, "list", one, { arch: "arm" }))).toBe("not-found");
  });

  test("an entry that goes and comes again from elsewhere has the layers that it came with", async () => {
    const target = layout();
    const { digest } = await inspectImage(store, "one");
    await copy("one", `dir:${target}`, { store });
    await removeFromManifest(store, "list", digest);
    await removeImage(store, "one");
    const { root, runRoot } = store;
    await store[Symbol.asyncDispose]();
    store = await openStore({ root, runRoot, driver: "copy" });
    expect((await addToManifest(store, "list", `dir:${target}`)).digest).toBe(digest);
    expect(findFaults(filesOf(store))).toEqual([]);
    await using container = await from(store, "list");
    expect((await container.inspect()).baseDigest).toBe(digest);
  });

  test("names move as those of images do", async () => {
    await tagImage(store, "list", ["other"]);
    expect(await manifestExists(store, "other")).toBe(true);
    expect(await removeImage(store, "other")).toEqual({ untagged: ["localhost/other:latest"], deleted: [] });
    expect(await untagImage(store, "list")).toEqual(["localhost/list:latest"]);
    expect(await manifestExists(store, "list")).toBe(false);
    const { images } = await pruneImages(store);
    expect(images).toHaveLength(1);
    // The images have names of their own.
    expect((await listImages(store)).map(({ names }) => names[0]).sort()).toEqual([
      "localhost/one:latest",
      "localhost/two:latest",
    ]);
  });

  test("an image takes its name, and it stays without one", async () => {
    await tagImage(store, "one", ["list"]);
    expect(await code(inspectManifest(store, "list"))).toBe("invalid");
    expect((await listImages(store)).find(({ isList }) => isList)?.names).toEqual([]);
    expect(findFaults(filesOf(store))).toEqual([]);
  });

  test("changes at the same time are all there", async () => {
    const extra = await Promise.all(
      ["a", "b", "c", "d"].map((name) => imported(name, `linux/${here}`).then(() => name)),
    );
    // Another session of the same store stands for another process.
    await using second = await openStore({ root: store.root, runRoot: store.runRoot, driver: "copy" });
    await Promise.all(extra.map((name, i) => addToManifest(i % 2 === 0 ? store : second, "list", name)));
    expect(await digestsOf("list")).toHaveLength(6);
  });

  test("without its images it is sent only where they are", async () => {
    const target = layout();
    expect(await code(pushManifest(store, "list", `oci:${target}:x`, { all: false }))).toBe("not-found");
    await pushManifest(store, "list", `oci:${target}:x`, { compression: "none" });
    const { digest } = await pushManifest(store, "list", `oci:${target}:y`, { all: false });
    expect(await digestOfReference(`oci:${target}:y`)).toBe(digest);
  });

  test("Docker's format gives Docker's list, --rm takes the list away", async () => {
    const target = layout();
    await pushManifest(store, "list", `dir:${target}`, { format: "docker", remove: true });
    const { mediaType, isList } = await inspectReference(`dir:${target}`);
    expect([mediaType, isList]).toEqual(["application/vnd.docker.distribution.manifest.list.v2+json", true]);
    expect(await manifestExists(store, "list")).toBe(false);
  });
});

test("names: taken, amended, replaced, converted, missing", async () => {
  const { digest } = await imported("one", `linux/${here}`);
  const first = await createManifest(store, "list");
  expect(await code(createManifest(store, "list"))).toBe("exists");
  expect((await createManifest(store, "list", { amend: true, images: ["one"] })).id).toBe(first.id);
  expect((await createManifest(store, "list", { amend: true, images: ["one"] })).id).toBe(first.id);
  expect(await digestsOf("list")).toEqual([digest]);
  expect((await createManifest(store, "list", { replace: true })).id).not.toBe(first.id);
  expect(await digestsOf("list")).toEqual([]);
  // The name of an image becomes that of a list that has it.
  await createManifest(store, "one", { amend: true });
  expect(await digestsOf("one")).toEqual([digest]);
  expect(await code(addToManifest(store, "nothing", "one"))).toBe("not-found");
  expect(await code(addToManifest(store, "list", "localhost/nothing"))).toBe("not-found");
  expect(findFaults(filesOf(store))).toEqual([]);
});

test("images of other places are kept as they are, with all of a list or one of it", async () => {
  const directory = join(work, "made");
  const made = await makeImage(directory, {
    name: "plain",
    layers: [[{ path: "a", content: "a" }]],
    platform: { os: "linux", architecture: elsewhere },
  });
  await createManifest(store, "list");
  const { digest } = await addToManifest(store, "list", made.reference, { annotations: ["x=y"] });
  expect(digest).toBe(made.descriptor.digest);
  expect((await inspectManifest(store, "list")).manifests).toEqual([
    {
      mediaType: made.descriptor.mediaType,
      digest: made.descriptor.digest,
      size: made.descriptor.size,
      platform: { architecture: elsewhere, os: "linux" },
      annotations: { x: "y" },
    },
  ]);
  await imported("one", `linux/${here}`);
  await addToManifest(store, "list", "one");
  const target = layout();
  await pushManifest(store, "list", `oci:${target}:x`);
  await createManifest(store, "one-of", { images: [`oci:${target}:x`] });
  expect(await digestsOf("one-of")).toHaveLength(1);
  await createManifest(store, "all-of", { images: [`oci:${target}:x`], all: true });
  expect((await inspectManifest(store, "all-of")).manifests[0]?.annotations).toEqual({ x: "y" });
  expect(await digestsOf("all-of")).toHaveLength(2);
  await createManifest(store, "again", { images: ["list"], all: true });
  expect(await digestsOf("again")).toEqual(await digestsOf("list"));
  expect(findFaults(filesOf(store))).toEqual([]);
  // A list that is copied into the store keeps its digest.
  await copy(`oci:${target}:x`, "copied", { store, all: true });
  expect(await digestOfReference("copied", { store })).toBe(await digestOfReference(`oci:${target}:x`));
});
