/** The build cache in the database: what steps gave, and when an image was first made. */
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";
import { addUses, dropUses } from "./snapshot-records.ts";

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
