/** Images in the database, with their layers and names. */
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";
import { joinStack, splitStack, type StoredLayer } from "./layer-records.ts";

export interface ImageRecord {
  /** Hexadecimal digest of the config. */
  id: string;
  /** Digest of the manifest. */
  manifest: Digest;
  /** ISO 8601, from the config. */
  created: string;
  /** Bytes of the uncompressed layers. */
  size: number;
  /** Those of the config, as JSON, so that a list of images reads no config; null where an older version stored it. */
  labels: string | null;
}

/** Adds an image with its layers, or renews the manifest and the layers of one that is there: it is as if just added. */
export function putImage(db: Database, image: ImageRecord, layers: StoredLayer[]): void {
  db.query(
    `INSERT INTO images (id, manifest, created, size, added, labels) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, added = excluded.added,
       labels = excluded.labels`,
  ).run(image.id, image.manifest, image.created, image.size, Date.now(), image.labels);
  db.query("DELETE FROM image_layers WHERE image_id = ?").run(image.id);
  const add = db.query("INSERT INTO image_layers VALUES (?, ?, ?, ?)");
  for (const [position, layer] of layers.entries())
    add.run(image.id, position, joinStack(layer.stack), layer.diffId);
}

const IMAGE = "SELECT id, manifest, created, size, labels FROM images";

export function findImage(db: Database, id: string): ImageRecord | undefined {
  return (db.query(`${IMAGE} WHERE id = ?`).get(id) as ImageRecord | null) ?? undefined;
}

/** Images whose id starts with a prefix; two are enough to call it ambiguous. */
export function findImagesByPrefix(db: Database, prefix: string): ImageRecord[] {
  return db.query(`${IMAGE} WHERE id >= ? AND id < ? LIMIT 2`).all(prefix, `${prefix}g`) as ImageRecord[];
}

/** The image that has this manifest. */
export function findImageByManifest(db: Database, manifest: Digest): ImageRecord | undefined {
  return (db.query(`${IMAGE} WHERE manifest = ? LIMIT 1`).get(manifest) as ImageRecord | null) ?? undefined;
}

/** Names of the images that have a layer of this diff_id. */
export function namesWithLayer(db: Database, diffId: Digest): string[] {
  const rows = db
    .query(
      "SELECT DISTINCT name FROM image_layers JOIN names ON names.image_id = image_layers.image_id WHERE diff_id = ?",
    )
    .all(diffId) as { name: string }[];
  return rows.map(({ name }) => name);
}

/** All images, newest first. */
export function allImages(db: Database): ImageRecord[] {
  return db.query(`${IMAGE} ORDER BY created DESC, added DESC`).all() as ImageRecord[];
}

export function imageLayers(db: Database, imageId: string): StoredLayer[] {
  const rows = db
    .query("SELECT stack, diff_id FROM image_layers WHERE image_id = ? ORDER BY position")
    .all(imageId) as {
    stack: string;
    diff_id: Digest;
  }[];
  return rows.map((row) => ({ diffId: row.diff_id, stack: splitStack(row.stack) }));
}

/** Ids of what has no name and was added before a time (milliseconds since 1970); no container comes from the images. */
export function namelessBefore(db: Database, before: number): { images: string[]; lists: string[] } {
  const ids = (query: string) => (db.query(query).all(before) as { id: string }[]).map(({ id }) => id);
  const nameless = "NOT EXISTS (SELECT 1 FROM names WHERE names.image_id = id)";
  return {
    images: ids(
      `SELECT id FROM images WHERE added < ? AND ${nameless}
       AND NOT EXISTS (SELECT 1 FROM containers WHERE containers.image_id = images.id)`,
    ),
    lists: ids(`SELECT id FROM indexes WHERE created < ? AND ${nameless}`),
  };
}

export function deleteImage(db: Database, id: string): void {
  deleteNames(db, id);
  db.query("DELETE FROM image_layers WHERE image_id = ?").run(id);
  db.query("DELETE FROM images WHERE id = ?").run(id);
}

/** Names that an image had are remembered up to this number: some get a new one by every build that changes nothing. */
const REMEMBERED_NAMES = 100;

/** Points a name at an image, away from whatever it named before. */
export function setName(db: Database, name: string, imageId: string): void {
  if (findName(db, name) === imageId) return;
  db.query("INSERT OR REPLACE INTO names VALUES (?, ?)").run(name, imageId);
  db.query("INSERT OR REPLACE INTO name_history (image_id, name) VALUES (?, ?)").run(imageId, name);
  db.query(
    `DELETE FROM name_history WHERE given IN
     (SELECT given FROM name_history WHERE image_id = ? ORDER BY given DESC LIMIT -1 OFFSET ${REMEMBERED_NAMES})`,
  ).run(imageId);
}

/** Takes away all names of an image or list that goes, and the memory of those that it had. */
export function deleteNames(db: Database, imageId: string): void {
  db.query("DELETE FROM names WHERE image_id = ?").run(imageId);
  db.query("DELETE FROM name_history WHERE image_id = ?").run(imageId);
}

/** Names that an image or list has or had, the one that was given last first. */
export function nameHistory(db: Database, imageId: string): string[] {
  const rows = db
    .query("SELECT name FROM name_history WHERE image_id = ? ORDER BY given DESC")
    .all(imageId) as { name: string }[];
  return rows.map(({ name }) => name);
}

export function findName(db: Database, name: string): string | undefined {
  return (db.query("SELECT image_id FROM names WHERE name = ?").get(name) as { image_id: string } | null)
    ?.image_id;
}

export function deleteName(db: Database, name: string): void {
  db.query("DELETE FROM names WHERE name = ?").run(name);
}

export function namesOf(db: Database, imageId: string): string[] {
  const rows = db.query("SELECT name FROM names WHERE image_id = ? ORDER BY name").all(imageId) as {
    name: string;
  }[];
  return rows.map((row) => row.name);
}

/** Lists count as images, among which they are shown. */
export function counts(db: Database): { images: number; containers: number; layers: number } {
  return db
    .query(
      "SELECT (SELECT count(*) FROM images) + (SELECT count(*) FROM indexes) AS images, (SELECT count(*) FROM containers) AS containers, (SELECT count(*) FROM snapshots) AS layers",
    )
    .get() as { images: number; containers: number; layers: number };
}
