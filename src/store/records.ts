/** What the database keeps, as plain data, and the statements that read and write it. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { Database } from "./database.ts";

/** A layer of an image in the store: what it is elsewhere, and the snapshots that it is here. */
export interface StoredLayer {
  diffId: Digest;
  /** Snapshot ids, lowest first. */
  stack: string[];
}

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

/** A working container; `state` belongs to floor 4. */
export interface ContainerRecord {
  id: string;
  name: string;
  imageId: string | undefined;
  /** Milliseconds since 1970. */
  created: number;
  /** JSON. */
  state: string;
}

const join = (stack: string[]) => stack.join(",");
const split = (stack: string) => (stack === "" ? [] : stack.split(","));

// ---- snapshots and layers ----

export function addSnapshot(db: Database, id: string): void {
  db.query("INSERT INTO snapshots (id, created) VALUES (?, ?)").run(id, Date.now());
}

// ---- uses ----

/** Who needs snapshots and blobs. */
export type User =
  | `image:${string}`
  | `index:${string}`
  | `container:${string}`
  | `cache:${string}`
  | `session:${string}`;

export function addUses(db: Database, user: User, things: Iterable<string>): void {
  const add = db.query("INSERT OR IGNORE INTO uses VALUES (?, ?)");
  for (const thing of things) add.run(thing, user);
}

/** What one user needs. */
export function usesOf(db: Database, user: User): string[] {
  const rows = db.query("SELECT thing FROM uses WHERE user = ?").all(user) as { thing: string }[];
  return rows.map((row) => row.thing);
}

/** Ends all uses by one user; returns the things. */
export function dropUses(db: Database, user: User): string[] {
  const rows = db.query("DELETE FROM uses WHERE user = ? RETURNING thing").all(user) as { thing: string }[];
  return rows.map((row) => row.thing);
}

/** Forgets a thing unless somebody uses it; true when its files may now be deleted. */
export function forgetUnused(db: Database, thing: string): boolean {
  const isBlob = thing.startsWith("sha256:");
  const table = isBlob ? "blobs WHERE digest" : "snapshots WHERE id";
  const { changes } = db
    .query(`DELETE FROM ${table} = ?1 AND NOT EXISTS (SELECT 1 FROM uses WHERE thing = ?1)`)
    .run(thing);
  if (changes === 0) return false;
  if (isBlob) db.query("DELETE FROM layer_blobs WHERE digest = ?").run(thing);
  else forgetLayersOn(db, thing);
  return true;
}

/** Forgets what a snapshot, alone or with others on it, packs to. */
export function forgetLayersOn(db: Database, snapshot: string): void {
  forgetLayers(db, "stack = ?1 OR (stack > ?1 || ',' AND stack < ?1 || '-')", snapshot);
}

/** With what layers became elsewhere, which is of no use when nothing here gives those layers any more. */
function forgetLayers(db: Database, where: string, value: string): void {
  const gone = db.query(`DELETE FROM layers WHERE ${where} RETURNING diff_id AS diffId`).all(value);
  const forget = [
    db.query(`DELETE FROM layer_blobs WHERE diff_id = ?1 AND ${SENT_ONLY}`),
    db.query("DELETE FROM recoded_layers WHERE diff_id = ?1 AND diff_id NOT IN (SELECT diff_id FROM layers)"),
  ];
  for (const { diffId } of gone as { diffId: Digest }[]) for (const query of forget) query.run(diffId);
}

/** Of rows of layer_blobs: no blob is here, and no layer that it could be the blob of. */
export const SENT_ONLY =
  "digest NOT IN (SELECT digest FROM blobs) AND diff_id NOT IN (SELECT diff_id FROM layers)";

/** Snapshots that containers alone use: all that they have frozen and not committed. */
export function snapshotsOfContainers(db: Database): string[] {
  const rows = db
    .query(
      `SELECT thing FROM uses JOIN snapshots ON id = thing
       GROUP BY thing HAVING min(user) >= 'container:' AND max(user) < 'container;'`,
    )
    .all() as { thing: string }[];
  return rows.map((row) => row.thing);
}

/** Forgets a snapshot that was never made, whoever counted on it. */
export function forgetSnapshot(db: Database, id: string): void {
  db.query("DELETE FROM uses WHERE thing = ?").run(id);
  db.query("DELETE FROM snapshots WHERE id = ?").run(id);
}

/** Forgets what stacks pack to of which a snapshot is gone; forgetUnused() finds those that begin with it. */
export function forgetLostLayers(db: Database): void {
  const stacks = db.query("SELECT DISTINCT stack FROM layers WHERE stack LIKE '%,%'").all() as {
    stack: string;
  }[];
  for (const { stack } of stacks) {
    if (!split(stack).every((id) => hasSnapshot(db, id))) forgetLayers(db, "stack = ?", stack);
  }
}

/** Snapshots and blobs that nobody uses. */
export function unusedThings(db: Database): string[] {
  const rows = db
    .query(
      `SELECT id AS thing FROM snapshots WHERE NOT EXISTS (SELECT 1 FROM uses WHERE thing = id)
       UNION ALL SELECT digest FROM blobs WHERE NOT EXISTS (SELECT 1 FROM uses WHERE thing = digest)`,
    )
    .all() as { thing: string }[];
  return rows.map((row) => row.thing);
}

export function addBlobRecord(db: Database, digest: Digest): void {
  db.query("INSERT OR IGNORE INTO blobs VALUES (?)").run(digest);
}

export function hasBlobRecord(db: Database, digest: Digest): boolean {
  return db.query("SELECT 1 FROM blobs WHERE digest = ?").get(digest) !== null;
}

export function hasSnapshot(db: Database, id: string): boolean {
  return db.query("SELECT 1 FROM snapshots WHERE id = ?").get(id) !== null;
}

/** What a stack is known to pack to with the given options. */
export function findLayer(
  db: Database,
  stack: string[],
  variant = "",
): { diffId: Digest; size: number } | undefined {
  const row = db
    .query("SELECT diff_id, size FROM layers WHERE stack = ? AND variant = ?")
    .get(join(stack), variant) as {
    diff_id: Digest;
    size: number;
  } | null;
  return row === null ? undefined : { diffId: row.diff_id, size: row.size };
}

/** With which options a stack packs to a layer. */
export function findVariant(db: Database, stack: string[], diffId: Digest): string | undefined {
  const row = db.query("SELECT variant FROM layers WHERE stack = ? AND diff_id = ?").get(join(stack), diffId);
  return (row as { variant: string } | null)?.variant;
}

export function addLayer(
  db: Database,
  stack: string[],
  layer: { diffId: Digest; size: number },
  variant = "",
): void {
  db.query("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?)").run(
    join(stack),
    variant,
    layer.diffId,
    layer.size,
  );
}

/** Variant of a layer that came from elsewhere: its snapshot is what the tar unpacks to, whatever lies below. */
export const UNPACKED = "unpacked";

/**
 * A snapshot that a layer was unpacked to. One that a container wrote is never it, even if it packs to the same tar: its
 * opaque directories and whiteouts hide things that only other images have.
 */
export function findUnpacked(db: Database, diffId: Digest): { stack: string[]; size: number } | undefined {
  const row = db
    .query(
      "SELECT stack, size FROM layers JOIN snapshots ON id = stack WHERE diff_id = ? AND variant = ? LIMIT 1",
    )
    .get(diffId, UNPACKED) as { stack: string; size: number } | null;
  return row === null ? undefined : { stack: split(row.stack), size: row.size };
}

/** Bytes of a stored layer's tar; undefined when that was never found out. */
export function layerSize(db: Database, layer: StoredLayer): number | undefined {
  const row = db
    .query("SELECT size FROM layers WHERE stack = ? AND diff_id = ?")
    .get(join(layer.stack), layer.diffId);
  return (row as { size: number } | null)?.size;
}

// ---- layer blobs ----

export interface LayerBlob {
  digest: Digest;
  diffId: Digest;
  mediaType: string;
  size: number;
}

export function addLayerBlob(db: Database, blob: LayerBlob): void {
  db.query("INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?)").run(
    blob.digest,
    blob.diffId,
    blob.mediaType,
    blob.size,
  );
}

export function findLayerBlob(db: Database, digest: Digest): LayerBlob | undefined {
  const row = db
    .query(
      "SELECT digest, diff_id AS diffId, media_type AS mediaType, size FROM layer_blobs WHERE digest = ?",
    )
    .get(digest);
  return (row as LayerBlob | null) ?? undefined;
}

export function blobsOfLayer(db: Database, diffId: Digest): LayerBlob[] {
  return db
    .query(
      "SELECT digest, diff_id AS diffId, media_type AS mediaType, size FROM layer_blobs WHERE diff_id = ?",
    )
    .all(diffId) as LayerBlob[];
}

// ---- images ----

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
    add.run(image.id, position, join(layer.stack), layer.diffId);
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
  return rows.map((row) => ({ diffId: row.diff_id, stack: split(row.stack) }));
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
  db.query("DELETE FROM names WHERE image_id = ?").run(id);
  db.query("DELETE FROM image_layers WHERE image_id = ?").run(id);
  db.query("DELETE FROM images WHERE id = ?").run(id);
}

// ---- names ----

/** Points a name at an image, away from whatever it named before. */
export function setName(db: Database, name: string, imageId: string): void {
  db.query("INSERT OR REPLACE INTO names VALUES (?, ?)").run(name, imageId);
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

// ---- containers ----

const CONTAINER = "SELECT id, name, image_id AS imageId, created, state FROM containers";

function container(row: unknown): ContainerRecord | undefined {
  if (row === null || row === undefined) return undefined;
  const record = row as Omit<ContainerRecord, "imageId"> & { imageId: string | null };
  return { ...record, imageId: record.imageId ?? undefined };
}

/** Throws `exists` when the name is taken. */
export function addContainer(db: Database, record: ContainerRecord): void {
  const { changes } = db
    .query("INSERT OR IGNORE INTO containers VALUES (?, ?, ?, ?, ?)")
    .run(record.id, record.name, record.imageId ?? null, record.created, record.state);
  if (changes === 0) {
    throw new CooperError("exists", `A container named "${record.name}" exists already`, {
      hint: `remove it with: cooper rm ${record.name}`,
    });
  }
}

export function saveContainerState(db: Database, id: string, state: string): void {
  db.query("UPDATE containers SET state = ? WHERE id = ?").run(state, id);
}

/** Throws `exists` when the name is taken. */
export function renameContainer(db: Database, id: string, name: string): void {
  const { changes } = db.query("UPDATE OR IGNORE containers SET name = ? WHERE id = ?").run(name, id);
  if (changes === 0) throw new CooperError("exists", `A container named "${name}" exists already`);
}

export function findContainer(db: Database, id: string): ContainerRecord | undefined {
  return container(db.query(`${CONTAINER} WHERE id = ?`).get(id));
}

export function findContainerByName(db: Database, name: string): ContainerRecord | undefined {
  return container(db.query(`${CONTAINER} WHERE name = ?`).get(name));
}

/** `stem`, or `stem-N` with the smallest N that no container has. */
export function freeName(db: Database, stem: string): string {
  const rows = db.query("SELECT name FROM containers WHERE name >= ?1 AND name < ?1 || '.'").all(stem) as {
    name: string;
  }[];
  const taken = new Set(rows.map((row) => row.name));
  for (let number = 0; ; number++) {
    const name = number === 0 ? stem : `${stem}-${number}`;
    if (!taken.has(name)) return name;
  }
}

export function findContainersByPrefix(db: Database, prefix: string): ContainerRecord[] {
  return db
    .query(`${CONTAINER} WHERE id >= ? AND id < ? LIMIT 2`)
    .all(prefix, `${prefix}g`)
    .map((row) => container(row)!);
}

export function allContainers(db: Database): ContainerRecord[] {
  return db
    .query(`${CONTAINER} ORDER BY created`)
    .all()
    .map((row) => container(row)!);
}

/** Containers made from an image. */
export function containersOf(db: Database, imageId: string): ContainerRecord[] {
  return db
    .query(`${CONTAINER} WHERE image_id = ?`)
    .all(imageId)
    .map((row) => container(row)!);
}

export function deleteContainer(db: Database, id: string): void {
  db.query("DELETE FROM containers WHERE id = ?").run(id);
}

// ---- build cache ----

/** What a build step gave. */
export interface CachedStep {
  /** Null when it changed no file. */
  snapshot: string | null;
  /** The diff_id of a snapshot that came from a remote cache; null of one that was made here, which its id identifies. */
  result: Digest | null;
  /** When the step was run: milliseconds since 1970. */
  created: number;
}

/** What is known of a step, if it was run at `notBefore` (milliseconds since 1970) or later. */
export function findCached(db: Database, key: Digest, notBefore = 0): CachedStep | undefined {
  const row = db.query("SELECT snapshot, result, created, used FROM cache WHERE key = ?").get(key) as
    | (CachedStep & { used: number })
    | null;
  if (row === null || row.created < notBefore) return undefined;
  const now = Date.now();
  // Which steps are in use is known to the hour: a transaction for each step of each build would cost more than it tells.
  if (now - row.used > USE_PRECISION) db.query("UPDATE cache SET used = ? WHERE key = ?").run(now, key);
  return row;
}

/** Milliseconds. */
const USE_PRECISION = 3_600_000;

/** Keeps a step's snapshot; returns the one that it replaces, which may be nobody's now. */
export function addCached(db: Database, key: Digest, { snapshot, result, created }: CachedStep): string[] {
  db.query("INSERT OR REPLACE INTO cache (key, snapshot, used, result, created) VALUES (?, ?, ?, ?, ?)").run(
    key,
    snapshot,
    Date.now(),
    result,
    created,
  );
  const replaced = dropUses(db, `cache:${key}`);
  if (snapshot !== null) addUses(db, `cache:${key}`, [snapshot]);
  return replaced;
}

/** When an image was first made of which only the digest without its times is known. */
export function findCreationTime(db: Database, timeless: Digest): string | undefined {
  const row = db.query("SELECT created FROM creation_times WHERE timeless = ?").get(timeless) as {
    created: string;
  } | null;
  return row?.created;
}

export function rememberCreationTime(db: Database, timeless: Digest, created: string): void {
  db.query("INSERT OR REPLACE INTO creation_times VALUES (?, ?)").run(timeless, created);
}

// ---- counts ----

export function counts(db: Database): { images: number; containers: number; layers: number } {
  return db
    .query(
      "SELECT (SELECT count(*) FROM images) AS images, (SELECT count(*) FROM containers) AS containers, (SELECT count(*) FROM snapshots) AS layers",
    )
    .get() as { images: number; containers: number; layers: number };
}
