// Protects stores that older versions made: each is brought to the schema that a new one has; newer ones are refused.
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openDatabase, UPGRADES } from "../../src/store/database.ts";

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
