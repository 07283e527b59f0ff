/** What must hold of every store between commands: the database and the files say the same, and nothing is left over. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { storeSource } from "../../src/image/store-transport.ts";
import { allIndexes } from "../../src/store/indexes.ts";
import { allContainers } from "../../src/store/container-records.ts";
import { allImages } from "../../src/store/image-records.ts";
import { unusedThings } from "../../src/store/snapshot-records.ts";
import type { StoreFiles } from "../../src/store/store.ts";
import { validateImage } from "../../src/transport/validate.ts";
import { mountsMentioning } from "../support/leftovers.ts";

/** One line for each thing that is wrong; opens a session, as a command does, which puts right what the dead left. */
export function findFaults(store: StoreFiles): string[] {
  const session = store.session.id;
  const rows = (sql: string) => (store.db.query(sql).all() as { it: string }[]).map(({ it }) => it);
  const names = (directory: string) => readdirSync(join(store.root, directory)).sort();
  const snapshots = rows("SELECT id AS it FROM snapshots");
  const known = new Set([...snapshots, ...rows("SELECT digest AS it FROM blobs")]);
  const users = [
    ...allImages(store.db).map(({ id }) => `image:${id}`),
    ...allIndexes(store.db).map(({ id }) => `index:${id}`),
    ...allContainers(store.db).map(({ id }) => `container:${id}`),
    ...rows("SELECT 'cache:' || key AS it FROM cache"),
    ...names("tmp").map((id) => `session:${id}`),
  ];
  return [
    ...differences("layers/", names("layers"), snapshots),
    ...differences("blobs/sha256/", names("blobs/sha256"), rows("SELECT substr(digest, 8) AS it FROM blobs")),
    ...differences("containers/", names("containers"), rows("SELECT id AS it FROM containers")),
    ...snapshots
      .filter((id) => !existsSync(join(store.root, "layers", id, "diff")))
      .map((id) => `layers/${id} has no diff`),
    ...names("tmp")
      .filter((name) => name !== session && name !== `${session}.lock`)
      .map((name) => `tmp/${name} was left`),
    ...unusedThings(store.db).map((thing) => `${thing} is unused`),
    ...rows("SELECT DISTINCT user AS it FROM uses")
      .filter((user) => !users.includes(user))
      .map((user) => `${user} uses things and is gone`),
    ...rows("SELECT DISTINCT thing AS it FROM uses")
      .filter((thing) => !known.has(thing))
      .map((thing) => `${thing} is used and is gone`),
    ...rows(
      "SELECT name AS it FROM names WHERE image_id NOT IN (SELECT id FROM images UNION ALL SELECT id FROM indexes)",
    ).map((name) => `${name} names nothing`),
    ...mountsMentioning(store.root).map((line) => `mounted: ${line}`),
  ];
}

/** A freeze that was killed leaves the record of a snapshot that the container does not count. */
function differences(where: string, files: string[], records: string[]): string[] {
  return [
    ...files.filter((name) => !records.includes(name)).map((name) => `${where}${name} is unknown`),
    ...records.filter((name) => !files.includes(basename(name))).map((name) => `${where}${name} is missing`),
  ];
}

/** Reads every image whole. Throws the first fault. */
export async function validateAll(store: StoreFiles): Promise<number> {
  const images = allImages(store.db);
  for (const { id } of images) {
    await using source = storeSource(store, id);
    await validateImage(source);
  }
  return images.length;
}
