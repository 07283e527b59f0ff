// Protects the store from databases that are not what they should be, and says what is wrong with the place.
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CooperError } from "../../src/base/errors.ts";
import { listContainers, listImages, openStore, storeInfo } from "../../src/index.ts";
import { openStoreFiles } from "../../src/store/store.ts";

const work = mkdtempSync(join(tmpdir(), "cooper-database-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
let number = 0;
const fresh = () => join(work, `store-${number++}`);

function refusal(root: string): CooperError {
  try {
    openStoreFiles(root)[Symbol.dispose]();
  } catch (error) {
    return error as CooperError;
  }
  throw new Error("It opened");
}

describe("a store", () => {
  test("that does not exist is made, an empty one, whoever asks", async () => {
    const root = join(fresh(), "deep/down");
    await using store = await openStore({ root, runRoot: join(work, "run") });
    expect(listImages(store)).toEqual([]);
    expect(listContainers(store)).toEqual([]);
    expect(await storeInfo(store)).toMatchObject({ images: 0, containers: 0, layers: 0 });
    // Reading opens no session.
    expect(readdirSync(join(root, "tmp"))).toEqual([]);
    expect(existsSync(join(root, "oci-layout"))).toBe(true);
  });

  test("of which a kill left only the directories is finished", () => {
    const root = fresh();
    openStoreFiles(root)[Symbol.dispose]();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(join(root, `cooper.db${suffix}`), { force: true });
    writeFileSync(join(root, "cooper.db"), "");
    using store = openStoreFiles(root);
    expect(store.db.query("SELECT count(*) AS count FROM images").get()).toEqual({ count: 0 });
  });

  test("of a later version is refused, and not changed", () => {
    const root = fresh();
    openStoreFiles(root)[Symbol.dispose]();
    const db = new Database(join(root, "cooper.db"));
    db.run("PRAGMA user_version = 4711");
    db.close();
    const error = refusal(root);
    expect(error).toMatchObject({ code: "unsupported", message: expect.stringContaining("4711") });
    expect(error.hint).toContain("--root");
    expect(refusal(root).code).toBe("unsupported");
  });

  test("whose database is something else is refused", () => {
    const root = fresh();
    openStoreFiles(root)[Symbol.dispose]();
    writeFileSync(
      join(root, "cooper.db"),
      "this is not a database, and was never meant to be one\n".repeat(100),
    );
    expect(refusal(root)).toMatchObject({ code: "system", message: expect.stringContaining(root) });
  });

  test("in a place that is a file is refused", () => {
    const root = fresh();
    writeFileSync(root, "");
    expect(refusal(root)).toMatchObject({ code: "system", message: expect.stringContaining(root) });
  });

  test("in a place where nothing can be made is refused", () => {
    expect(refusal("/proc/nowhere/store")).toMatchObject({
      code: "system",
      message: expect.stringContaining("/proc/nowhere"),
    });
    mkdirSync(join(work, "directory"));
    mkdirSync(join(work, "directory/cooper.db"));
    expect(refusal(join(work, "directory")).code).toBe("system");
  });
});
