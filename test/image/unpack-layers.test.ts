// Protects unpacking while a layer arrives: one read, bounded memory, and nothing kept of what fails.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { digestOf } from "../../src/base/digest.ts";
import { CooperError } from "../../src/base/errors.ts";
import { Pipe } from "../../src/image/pipe.ts";
import { storeLayer } from "../../src/image/unpack-layers.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import { blobPath } from "../../src/store/blobs.ts";
import { findLayerBlob, findUnpacked } from "../../src/store/layer-records.ts";
import { openStoreFiles, snapshotPath, type StoreFiles } from "../../src/store/store.ts";
import { makeImage } from "../support/make-image.ts";

const work = mkdtempSync("/var/tmp/cooper-unpack-");
let store: StoreFiles;
beforeAll(() => {
  store = openStoreFiles(join(work, "store"));
});
afterAll(() => {
  store[Symbol.dispose]();
  rmSync(work, { recursive: true, force: true });
});

/** A layer of its own for each test: one file, three times as large as what may wait in a pipe. */
async function makeLayer(name: string) {
  const content = Buffer.alloc(12 << 20, `${name} is random enough, ${Math.random()}. `);
  const made = await makeImage(join(work, name), { layers: [[{ path: "file", content }]] });
  const tar = Buffer.from(made.layers[0]!.tar);
  const bytes = gzipSync(tar, { level: 0 });
  return { content, bytes, diffId: digestOf(tar), blob: { digest: digestOf(bytes), size: bytes.length } };
}

async function* cut(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof CooperError ? error.code : `${error}`;
}

const role = { kind: "layer", mediaType: MEDIA.ociLayerGzip } as const;
const things = () => [
  ...readdirSync(join(store.root, "layers")),
  ...readdirSync(join(store.root, "blobs/sha256")),
];

describe("a layer that arrives", () => {
  test("is kept and unpacked in one go", async () => {
    const { content, bytes, diffId, blob } = await makeLayer("whole");
    expect(await storeLayer(store, cut(bytes), blob, { ...role, diffId })).toEqual(blob);
    const { stack } = findUnpacked(store.db, diffId)!;
    expect(readFileSync(join(snapshotPath(store, stack[0]!), "file")).equals(content)).toBe(true);
    expect(readFileSync(blobPath(store.root, blob.digest)).equals(bytes)).toBe(true);
    expect(findLayerBlob(store.db, blob.digest)?.diffId).toBe(diffId);
  });

  test("and is unpacked already is only kept", async () => {
    const { bytes, diffId, blob } = await makeLayer("twice");
    await storeLayer(store, cut(bytes), blob, { ...role, diffId });
    const before = readdirSync(join(store.root, "layers")).length;
    const other = Buffer.concat([bytes, gzipSync("")]);
    const otherBlob = { digest: digestOf(other), size: other.length };
    await storeLayer(store, cut(other), otherBlob, { ...role, diffId });
    expect(readdirSync(join(store.root, "layers"))).toHaveLength(before);
    expect(existsSync(blobPath(store.root, otherBlob.digest))).toBe(true);
    // Whether it is the same tar is for whoever names an image to find out.
    expect(findLayerBlob(store.db, otherBlob.digest)).toBeUndefined();
  });

  test("leaves nothing when it is another tar, is damaged, or breaks off", async () => {
    const { bytes, diffId, blob } = await makeLayer("lost");
    const before = things();
    const lie = storeLayer(store, cut(bytes), blob, { ...role, diffId: digestOf("another") });
    expect(await failureOf(lie)).toBe("integrity");
    async function* broken() {
      yield* cut(bytes.subarray(0, 9 << 20));
      throw new CooperError("system", "The connection was dropped");
    }
    expect(await failureOf(storeLayer(store, broken(), blob, { ...role, diffId }))).toBe("system");
    const damaged = Buffer.from(bytes).fill(0x55, 100, 200);
    const damagedBlob = { digest: digestOf(damaged), size: damaged.length };
    expect(await failureOf(storeLayer(store, cut(damaged), damagedBlob, { ...role, diffId }))).toBe(
      "invalid",
    );
    expect(things()).toEqual(before);
    expect(findUnpacked(store.db, diffId)).toBeUndefined();
  });

  test("is not read further once it cannot be unpacked", async () => {
    const damaged = Buffer.concat([gzipSync("no archive"), Buffer.alloc(64 << 20)]);
    let read = 0;
    async function* counted() {
      for await (const chunk of cut(damaged)) {
        read += chunk.length;
        yield chunk;
      }
    }
    const blob = { digest: digestOf(damaged), size: damaged.length };
    expect(await failureOf(storeLayer(store, counted(), blob, { ...role, diffId: digestOf("x") }))).toBe(
      "invalid",
    );
    expect(read).toBeLessThan(32 << 20);
  });
});

describe("Pipe", () => {
  test("the writer waits for a reader that is far behind", async () => {
    const pipe = new Pipe();
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < 20; i++) {
        await pipe.write(new Uint8Array(1 << 20));
        written++;
      }
      pipe.end();
    })();
    await Bun.sleep(5);
    expect(written).toBe(4);
    let read = 0;
    for await (const chunk of pipe.read()) read += chunk.length;
    await writing;
    expect(read).toBe(20 << 20);
  });

  test("either side learns that the other has left", async () => {
    const pipe = new Pipe();
    const writing = (async () => {
      while (await pipe.write(new Uint8Array(1 << 20)));
      return "left";
    })();
    for await (const _ of pipe.read()) break;
    expect(await writing).toBe("left");
    const failing = new Pipe();
    const reading = failureOf(
      (async () => {
        for await (const _ of failing.read());
      })(),
    );
    await failing.write(new Uint8Array(1));
    failing.fail(new CooperError("cancelled", "Stopped"));
    expect(await reading).toBe("cancelled");
  });
});
