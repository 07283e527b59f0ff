// Protects containers from what other processes remove while they are made.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../../src/api/store.ts";
import { annotatedBase } from "../../src/container/container-base.ts";
import { createContainer } from "../../src/container/working-container.ts";
import { inspectImage, listContainers, openStore, pull, removeImage } from "../../src/index.ts";
import { findImageByText, readConfig } from "../../src/store/images.ts";
import { makeImage } from "../support/make-image.ts";

test("an image that is removed after it was found gives no container", async () => {
  const work = mkdtempSync("/var/tmp/cooper-container-");
  try {
    await using store = await openStore({ root: join(work, "store"), runRoot: join(work, "run") });
    const { reference } = await makeImage(join(work, "layout"), { layers: [[{ path: "a", content: "a" }]] });
    await pull(store, reference, { name: "it" });
    const files = filesOf(store);
    const image = findImageByText(files, "it")!;
    const parts = {
      driver: "copy",
      ...annotatedBase(files, image),
      image: readConfig(files, image),
      run: {},
    } as const;
    createContainer(files, "first", parts);
    await expect(removeImage(store, "it")).rejects.toThrow("is used by first");

    await removeImage(store, "it", { force: true });
    expect(() => createContainer(files, "second", parts)).toThrow("was removed by another process");
    expect((await listContainers(store)).map(({ name }) => name)).toEqual(["first"]);
    await expect(inspectImage(store, "it")).rejects.toThrow("no such image");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});
