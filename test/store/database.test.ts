// Protects stores that older versions made: each is brought to the schema that a new one has; newer ones are refused.
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { compactDatabase, openDatabase, UPGRADES } from "../../src/store/database.ts";

const work = mkdtempSync("/var/tmp/cooper-database-");
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Tables with their columns, and indexes. */
function shapeOf(database: Database): string[] {
  const parts = database
    .query("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")
    .all() as { type: string; name: string }[];
  return parts.flatMap(({ type, name }) => [
    `${type} ${name}`,
    ...(type !== "table" ? [] : (database.query(`PRAGMA table_info(${name})`).all() as object[])).map(
      (column) => JSON.stringify(column),
    ),
  ]);
}

function databaseOf(version: number, name = `version-${version}.db`): string {
  const path = join(work, name);
  const database = new Database(path, { create: true });
  for (const statements of UPGRADES.slice(0, version)) database.run(statements);
  database.run(`PRAGMA user_version = ${version}`);
  database.close();
  return path;
}

describe.each(UPGRADES.map((_, index) => index + 1))("version %d", (version) => {
  test("is opened with the schema of today", () => {
    using fresh = openDatabase(join(work, `fresh-${version}.db`));
    using upgraded = openDatabase(databaseOf(version));
    expect(shapeOf(upgraded)).toEqual(shapeOf(fresh));
    expect(upgraded.query("PRAGMA user_version").get()).toEqual({ user_version: UPGRADES.length });
  });
});

test("a newer version is refused, and stays as it is", () => {
  const path = databaseOf(UPGRADES.length, "newer.db");
  const database = new Database(path);
  database.run("PRAGMA user_version = 1000");
  database.close();
  expect(() => openDatabase(path)).toThrow(/version 1000/);
  using again = new Database(path);
  expect(again.query("PRAGMA user_version").get()).toEqual({ user_version: 1000 });
});

test("what is no longer needed goes back to the file system, unless another writes", () => {
  const path = join(work, "compact.db");
  using database = openDatabase(path);
  const pages = () => (database.query("PRAGMA page_count").get() as { page_count: number }).page_count;
  const add = database.query("INSERT INTO blobs VALUES (?)");
  database.transaction(() => {
    for (let n = 0; n < 20_000; n++) add.run(`sha256:${String(n).padStart(64, "0")}`);
  })();
  const full = pages();
  compactDatabase(database);
  expect(pages(), "all of it is needed").toBe(full);

  database.run("DELETE FROM blobs");
  using other = openDatabase(path);
  other.transaction(() => {
    other.run("INSERT INTO blobs VALUES ('sha256:other')");
    compactDatabase(database);
    expect(pages(), "another writes").toBe(full);
  })();
  compactDatabase(database);
  expect(pages()).toBeLessThan(full / 4);
  expect(database.query("SELECT digest FROM blobs").all()).toEqual([{ digest: "sha256:other" }]);
});
