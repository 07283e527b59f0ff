// Protects what a commit makes of a container: its layers, history and config, however often and in whatever form it is committed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import { storeSource } from "../../src/image/store-transport.ts";
import {
  type CommitOptions,
  type Container,
  from,
  inspectImage,
  openStore,
  pull,
  type Store,
} from "../../src/index.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { makeImage } from "../support/make-image.ts";
import { findFaults, validateAll } from "../store/check-store.ts";

// The driver that needs no mount: its trees are written from here.
const work = mkdtempSync("/var/tmp/cooper-commit-");
let store: Store;
const BASE_LAYERS = 2;

beforeAll(async () => {
  store = await openStore({ root: join(work, "store"), runRoot: join(work, "run"), driver: "copy" });
  const { reference } = await makeImage(join(work, "layout"), {
    layers: [[{ path: "etc/" }, { path: "etc/a", content: "a" }], [{ path: "etc/b", content: "b" }]],
    config: { Env: ["A=b"], Cmd: ["true"] },
  });
  await pull(store, reference, { name: "base" });
});
afterAll(async () => {
  await validateAll(filesOf(store));
  expect(findFaults(filesOf(store))).toEqual([]);
  await store[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

let number = 0;

/** Commits, and says what is in the image. */
async function committed(container: Container, options: CommitOptions = {}) {
  const name = `committed-${number++}`;
  const { imageId } = await container.commit(name, options);
  await using source = storeSource(filesOf(store), name);
  const [image] = await validateImage(source);
  const { config, manifest } = await inspectImage(store, name);
  const history = (config.history ?? []).map(
    ({ created_by, empty_layer }) => `${created_by}${empty_layer ? " (empty)" : ""}`,
  );
  return {
    imageId,
    config,
    manifest,
    history,
    layers: image!.layers.map((names) => names.map((entry) => entry.replace(/\/$/, "")).sort()),
  };
}

const BASE = [["etc", "etc/a"], ["etc/b"]];

describe("a commit", () => {
  test("is the base and one layer", async () => {
    await using container = await from(store, "base");
    writeFileSync(join(await container.mount(), "new"), "x");
    const image = await committed(container);
    expect(image.layers).toEqual([...BASE, ["new"]]);
    expect(image.history).toEqual(["layer 0", "layer 1", "cooper commit"]);
    expect(image.config.config).toMatchObject({ Env: ["A=b"], Cmd: ["true"] });
  });

  test("without changes is the base with another config", async () => {
    await using container = await from(store, "base");
    await container.config({ labels: ["x=y"], createdBy: "label it" });
    const image = await committed(container);
    expect(image.layers).toEqual(BASE);
    expect(image.history).toEqual(["layer 0", "layer 1", "label it (empty)"]);
    expect(image.config.config?.Labels).toEqual({ x: "y" });
  });

  test("of scratch without changes has no layer", async () => {
    await using container = await from(store, "scratch");
    const image = await committed(container);
    expect(image.layers).toEqual([]);
    expect(image.history).toEqual(["cooper commit (empty)"]);
  });

  test("after another is the base and one layer again, without what was deleted in between", async () => {
    await using container = await from(store, "base");
    const root = await container.mount();
    writeFileSync(join(root, "kept"), "x");
    writeFileSync(join(root, "secret"), "x");
    rmSync(join(root, "etc/a"));
    await container.umount();
    expect((await committed(container)).layers).toEqual([...BASE, ["etc", "etc/.wh.a", "kept", "secret"]]);
    await container.mount();
    rmSync(join(root, "secret"));
    writeFileSync(join(root, "etc/a"), "again");
    writeFileSync(join(root, "later"), "x");
    await container.umount();
    const second = await committed(container);
    expect(second.layers).toEqual([...BASE, ["etc", "etc/a", "kept", "later"]]);
    expect(second.history).toEqual(["layer 0", "layer 1", "cooper commit"]);
    // And it is still usable.
    expect(readdirSync(await container.mount()).sort()).toEqual(["etc", "kept", "later"]);
  });

  test("of a container that its user has open leaves it as it is", async () => {
    await using container = await from(store, "base");
    const root = await container.mount();
    writeFileSync(join(root, "one"), "x");
    expect((await committed(container)).layers).toEqual([...BASE, ["one"]]);
    expect(await container.mount()).toBe(root);
    writeFileSync(join(root, "two"), "x");
    expect((await committed(container)).layers).toEqual([...BASE, ["one", "two"]]);
  });

  test("squashed is one layer with what is left of everything", async () => {
    await using container = await from(store, "base");
    const root = await container.mount();
    rmSync(join(root, "etc/a"));
    mkdirSync(join(root, "new"));
    await container.config({ createdBy: "all of it" });
    const image = await committed(container, { squash: true });
    expect(image.layers).toEqual([["etc", "etc/b", "new"]]);
    expect(image.history).toEqual(["all of it"]);
  });

  test("squashed without changes is the base in one layer, which can be sent", async () => {
    await using container = await from(store, "base");
    expect((await committed(container, { squash: true })).layers).toEqual([["etc", "etc/a", "etc/b"]]);
    await using one = await from(store, `committed-${number - 1}`);
    expect((await committed(one, { squash: true })).layers).toEqual([["etc", "etc/a", "etc/b"]]);
  });

  test("of a pulled image of one layer, squashed, packs that layer anew", async () => {
    const { reference } = await makeImage(join(work, "single"), {
      layers: [
        [
          { path: "z", content: "z" },
          { path: "a", content: "a" },
        ],
      ],
    });
    await pull(store, reference, { name: "single" });
    await using container = await from(store, "single");
    expect((await committed(container, { squash: true })).layers).toEqual([["a", "z"]]);
  });

  test("without history has none", async () => {
    await using container = await from(store, "base");
    expect((await committed(container, { omitHistory: true })).history).toEqual([]);
  });

  test.each(["oci", "docker"] as const)(
    "in the %s format has that format's types throughout",
    async (format) => {
      await using container = await from(store, "base");
      writeFileSync(join(await container.mount(), "new"), "x");
      const { manifest } = await committed(container, { format, annotations: ["a=b"] });
      const types = [
        manifest.mediaType!,
        manifest.config.mediaType,
        ...manifest.layers.map((layer) => layer.mediaType),
      ];
      for (const type of types)
        expect(type).toStartWith(format === "oci" ? "application/vnd.oci." : "application/vnd.docker.");
      expect(manifest.layers).toHaveLength(BASE_LAYERS + 1);
      expect(manifest.annotations).toEqual(format === "oci" ? { a: "b" } : undefined);
    },
  );

  test("keeps the base's blobs as they were", async () => {
    await using container = await from(store, "base");
    const base = (await inspectImage(store, "base")).manifest.layers;
    expect((await committed(container)).manifest.layers).toEqual(base);
  });

  test("that removes the container leaves no container", async () => {
    const container = await from(store, "base");
    writeFileSync(join(await container.mount(), "new"), "x");
    expect((await committed(container, { remove: true })).layers).toEqual([...BASE, ["new"]]);
    expect(readdirSync(join(store.root, "containers"))).toEqual([]);
  });

  test("with a name that is no name makes nothing, and keeps the container", async () => {
    await using container = await from(store, "base");
    expect(container.commit("Not A Name", { remove: true })).rejects.toThrow();
    expect(readdirSync(join(store.root, "containers"))).toHaveLength(1);
  });
});
