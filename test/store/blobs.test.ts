// Protects the content of the store: nothing but the bytes of a digest is ever kept or given out under it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import { importImage, inspectImage, openStore, pull, push, type Store } from "../../src/index.ts";
import { filesOf } from "../../src/api/store.ts";
import { storeSource } from "../../src/image/store-transport.ts";
import { blobPath, readBlob } from "../../src/store/blobs.ts";
import { imageLayers } from "../../src/store/image-records.ts";
import {
  holdBlob,
  openStoreFiles,
  type StoreFiles,
  snapshotPath,
  storeBytes,
  storeStream,
} from "../../src/store/store.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { makeImage } from "../support/make-image.ts";
import { findFaults } from "./check-store.ts";

const work = mkdtempSync("/var/tmp/cooper-blobs-");
afterAll(() => rmSync(work, { recursive: true, force: true }));

const content = Buffer.from("the content of a blob, in several pieces");
const digest = digestOf(content);

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "no error";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("what is stored", () => {
  let store: StoreFiles;
  beforeAll(() => {
    store = openStoreFiles(join(work, "plain"));
  });
  afterAll(() => store[Symbol.dispose]());
  const kept = () => readdirSync(join(store.root, "blobs/sha256"));

  test.each([
    ["short", content.subarray(0, -1)],
    ["empty", Buffer.alloc(0)],
    ["long", Buffer.concat([content, Buffer.from("!")])],
    ["other", Buffer.from(content.toString().toUpperCase())],
  ])("%s content is refused and not kept", async (_, bytes) => {
    const expected = { digest, size: content.length };
    expect(await codeOf(() => storeStream(store, pieces(bytes), expected))).toBe("integrity");
    expect(kept()).toEqual([]);
    expect(readdirSync(store.session.directory)).toEqual([]);
  });

  test("content that ends in an error is not kept", async () => {
    async function* broken() {
      yield content;
      throw new Error("the line is dead");
    }
    expect(storeStream(store, broken(), { digest, size: 1000 })).rejects.toThrow("the line is dead");
    expect(kept()).toEqual([]);
    expect(readdirSync(store.session.directory)).toEqual([]);
  });

  test("too much content is not read to its end", async () => {
    let given = 0;
    function* endless() {
      for (;;) yield Buffer.alloc(1 << 16, given++);
    }
    expect(await codeOf(() => storeStream(store, endless(), { digest, size: 100_000 }))).toBe("integrity");
    expect(given).toBeLessThan(5);
  });

  test("right content is kept, once", async () => {
    expect(await storeStream(store, pieces(content), { digest, size: content.length })).toEqual({
      digest,
      size: content.length,
    });
    expect(storeBytes(store, content).digest).toBe(digest);
    expect(kept()).toEqual([digest.slice(7)]);
    expect(readBlob(store.root, digest)).toEqual(content);
  });

  test("a damaged blob is not read as if it were whole, a lost one is not held", async () => {
    writeFileSync(blobPath(store.root, digest), content.toString().replace("pieces", "Pieces"));
    expect(await codeOf(() => readBlob(store.root, digest))).toBe("integrity");
    rmSync(blobPath(store.root, digest));
    expect(await codeOf(() => readBlob(store.root, digest))).toBe("not-found");
    expect(holdBlob(store, digest)).toBe(false);
    storeBytes(store, content);
    expect(holdBlob(store, digest)).toBe(true);
  });
});

describe("what is sent", () => {
  let store: Store;
  let files: StoreFiles;
  const target = () => `oci:${mkdtempSync(join(work, "target-"))}`;
  const validate = async (name: string) => {
    await using source = storeSource(files, name);
    await validateImage(source);
  };

  beforeAll(async () => {
    store = await openStore({ root: join(work, "images"), runRoot: join(work, "run") });
    files = filesOf(store);
    for (const name of ["one", "two"]) {
      mkdirSync(join(work, name));
      writeFileSync(join(work, name, "file"), name);
      await importImage(store, join(work, name), { name });
    }
    const layers = [[{ path: "file", content: "pulled" }]];
    const { reference } = await makeImage(join(work, "layout"), { layers });
    await pull(store, reference, { name: "pulled" });
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
  });

  test("whole images are whole", async () => {
    for (const name of ["one", "two", "pulled"]) await validate(name);
    expect(findFaults(files)).toEqual([]);
  });

  test.each([
    ["changed", (path: string) => writeFileSync(path, "eno")],
    ["longer", (path: string) => appendFileSync(path, "more")],
    ["gone", (path: string) => rmSync(path)],
  ])("a committed layer with a file that is %s is not sent", async (what, damage) => {
    const name = `damaged-${what}`;
    mkdirSync(join(work, name));
    writeFileSync(join(work, name, "file"), what);
    await importImage(store, join(work, name), { name });
    const [layer] = imageLayers(files.db, (await inspectImage(store, name)).id);
    damage(join(snapshotPath(files, layer!.stack[0]!), "file"));
    expect(await codeOf(() => push(store, name, target()))).toBe("integrity");
    expect(await codeOf(() => validate(name))).toBe("integrity");
  });

  test.each(["layer", "config"] as const)("a damaged %s blob is not sent", async (which) => {
    const entries = [{ path: "file", content: `for the damaged ${which}` }];
    const made = await makeImage(join(work, `layout-${which}`), {
      layers: [entries],
      created: `2024-01-01T00:00:0${which.length}Z`,
    });
    await pull(store, made.reference, { name: `blob-${which}` });
    const digest: Digest = which === "layer" ? made.manifest.layers[0]!.digest : made.manifest.config.digest;
    truncateSync(blobPath(store.root, digest), 20);
    expect(await codeOf(() => push(store, `blob-${which}`, target()))).toBe("integrity");
  });
});
