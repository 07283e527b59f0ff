/** Snapshots and blobs in the database, and who uses which. */
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";
import { splitStack } from "./layer-records.ts";

export function addSnapshot(db: Database, id: string): void {
  db.query("INSERT INTO snapshots (id, created) VALUES (?, ?)").run(id, Date.now());
}

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
    if (!splitStack(stack).every((id) => hasSnapshot(db, id))) forgetLayers(db, "stack = ?", stack);
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
