// Protects the store from images that lie: about digests, about what layers hold, or about how many there are.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MergedDirectory } from "../../src/archive/diff-stack.ts";
import { type Digest, digestHex } from "../../src/base/digest.ts";
import { filesOf } from "../../src/api/store.ts";
import { listImages, openStore, pull, type Store } from "../../src/index.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import type { Manifest } from "../../src/oci/types.ts";
import { imageLayers } from "../../src/store/image-records.ts";
import { makeOpaque } from "../../src/archive/whiteouts.ts";
import { layerTar, measureLayer } from "../../src/store/pack.ts";
import { makeSnapshot, snapshotPath } from "../../src/store/store.ts";
import { addToIndex, makeImage, writeBlob } from "../support/make-image.ts";
import { findFaults } from "../store/check-store.ts";

const work = mkdtempSync("/var/tmp/cooper-lies-");
let store: Store;
beforeAll(async () => {
  store = await openStore({ root: join(work, "store"), runRoot: join(work, "run") });
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

const pathOf = (layout: string, digest: Digest) => join(layout, "blobs/sha256", digestHex(digest));

/** Writes a manifest that says what a real image's does not. */
function forge(layout: string, manifest: Manifest): string {
  addToIndex(layout, writeBlob(layout, MEDIA.ociManifest, JSON.stringify(manifest)), "forged");
  return `oci:${layout}:forged`;
}

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return "no error";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** A refused image leaves neither a name nor a file. */
async function refused(reference: string, code: string): Promise<void> {
  const before = (await listImages(store)).length;
  {
    await using other = await openStore({ root: store.root, runRoot: store.runRoot });
    expect(await codeOf(() => pull(other, reference, { name: "lie" }))).toBe(code);
  }
  expect(await listImages(store)).toHaveLength(before);
  expect(findFaults(filesOf(store))).toEqual([]);
}

describe("a pull", () => {
  let layout: string;
  const layers = [[{ path: "a", content: "a" }], [{ path: "b", content: "b" }]];
  beforeAll(() => {
    layout = join(work, "layout");
  });

  test("of a layer whose bytes have another digest is refused", async () => {
    const made = await makeImage(join(work, "bytes"), { layers });
    const path = pathOf(made.directory, made.manifest.layers[1]!.digest);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    await refused(made.reference, "integrity");
  });

  test("of a layer that holds something else than its diff_id is refused", async () => {
    const made = await makeImage(layout, { layers });
    const [first, second] = made.manifest.layers;
    await refused(forge(layout, { ...made.manifest, layers: [second!, first!] }), "integrity");
    await refused(forge(layout, { ...made.manifest, layers: [first!, first!] }), "integrity");
  });

  test("of a layer that is known, announced with another's diff_id, is refused", async () => {
    const made = await makeImage(layout, { layers });
    await pull(store, made.reference, { name: "honest" });
    const [first] = made.manifest.layers;
    await refused(forge(layout, { ...made.manifest, layers: [first!, first!] }), "integrity");
  });

  test("of more or fewer layers than diff_ids is refused", async () => {
    const made = await makeImage(layout, { layers });
    const [first, second] = made.manifest.layers;
    for (const lied of [[first!], [first!, second!, second!]])
      expect(["invalid", "integrity"]).toContain(
        await codeOf(() => pull(store, forge(layout, { ...made.manifest, layers: lied }), { name: "lie" })),
      );
  });

  test("of a layer that is wrong about its size is refused", async () => {
    const made = await makeImage(layout, { layers: [[{ path: "sized", content: "x" }]] });
    const [layer] = made.manifest.layers;
    for (const size of [layer!.size - 1, layer!.size + 1])
      await refused(forge(layout, { ...made.manifest, layers: [{ ...layer!, size }] }), "integrity");
  });
});

test("a layer that a container wrote is not taken for one that was pulled, equal as their tars are", async () => {
  const files = filesOf(store);
  // As overlayfs writes a directory that is new: opaque, though nothing is below, and the tar does not show it.
  const snapshot = makeSnapshot(files, (directory) => {
    mkdirSync(join(directory, "app"), { recursive: true });
    makeOpaque(join(directory, "app"));
    writeFileSync(join(directory, "app/new"), "new");
    return true;
  })!;
  const layer = { stack: [snapshot], below: [] };
  const { diffId } = await measureLayer(files, layer);
  const tar = Buffer.concat([...layerTar(files, layer)].map((chunk) => Buffer.from(chunk)));
  const old = [{ path: "app/" }, { path: "app/old", content: "old" }];
  const over = await makeImage(join(work, "over"), { layers: [old, tar] });
  expect(over.layers[1]!.diffId).toBe(diffId);

  const { id } = await pull(store, over.reference, { name: "over" });
  const stack = imageLayers(files.db, id).flatMap((each) => each.stack);
  expect(
    MergedDirectory.root(stack.map((each) => snapshotPath(files, each)))
      .child("app")
      .has("old"),
  ).toBe(true);
});
