/** The store's metadata: one SQLite database in WAL mode, one transaction per change. */
import { Database } from "bun:sqlite";
import { CooperError } from "../base/errors.ts";

export type { Database } from "bun:sqlite";

/**
 * snapshots     directories layers/ID/diff that are complete and never written again; `bytes` that one takes on the disk, once it
 *               was measured
 * blobs         files of blobs/ that are complete
 * uses          who needs a snapshot (by id) or a blob (by digest): image:ID, container:ID, cache:KEY, or session:ID for
 *               work in progress. What nobody uses is garbage
 * layers        what a stack of snapshots (ids joined by commas, lowest first) packs to; `variant` names the options
 *               of the packing that change its bytes (a timestamp)
 * images        by id, the hexadecimal digest of the config; `manifest` is the manifest's digest
 * image_layers  the stack behind each layer of an image: two images may reach one diff_id by different stacks
 * layer_blobs   compressed blobs and the diff_id that they hold: those in blobs/, and what layers that are here became elsewhere
 * creation_times  when an image was made, by its digest without times: a build that gives the same gives the same id
 * cache         the snapshot that a build step gave, by key; NULL when it changed no file. `result` is the diff_id of one that came
 *               from a remote cache, NULL where the snapshot's id tells it from others; `created` when the step was run
 * indexes       lists of images; `id` is random, since it stays while the list changes; `manifest` is the digest of the index.
 *               Names may point at them as at images
 * instance_layers  for layers of an index's images that were never a blob: the stack behind each. All layers of an
 *               image or none are here; those of the others are blobs
 * recoded_layers  the digests that layers had when they were compressed and sent (recoded-layers.ts)
 * store_key     a random key (store-key.ts)
 * name_history  names that images and lists have or had, in the order in which they were given
 * step_records  what each step of a Dockerfile was made of when it was last run (step-records.ts)
 */
const FIRST_SCHEMA = `
CREATE TABLE snapshots (id TEXT PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blobs (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE uses (thing TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (thing, user)) WITHOUT ROWID;
CREATE INDEX uses_user ON uses (user);
CREATE TABLE layers (stack TEXT NOT NULL, variant TEXT NOT NULL, diff_id TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (stack, variant)) WITHOUT ROWID;
CREATE INDEX layers_diff_id ON layers (diff_id);
CREATE TABLE images (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, created TEXT NOT NULL, size INTEGER NOT NULL,
  added INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_layers (image_id TEXT NOT NULL, position INTEGER NOT NULL, stack TEXT NOT NULL, diff_id TEXT NOT NULL,
  PRIMARY KEY (image_id, position)) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, image_id TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX names_image ON names (image_id);
CREATE TABLE layer_blobs (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE INDEX layer_blobs_diff_id ON layer_blobs (diff_id);
CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image_id TEXT, created INTEGER NOT NULL,
  state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cache (key TEXT PRIMARY KEY, snapshot TEXT, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE creation_times (timeless TEXT PRIMARY KEY, created TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file_digests (device TEXT NOT NULL, inode TEXT NOT NULL, size INTEGER NOT NULL, mtime TEXT NOT NULL,
  ctime TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (device, inode)) WITHOUT ROWID;
`;

const INDEXES = `
CREATE TABLE indexes (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE instance_layers (index_id TEXT NOT NULL, manifest TEXT NOT NULL, position INTEGER NOT NULL,
  stack TEXT NOT NULL, diff_id TEXT NOT NULL, PRIMARY KEY (index_id, manifest, position)) WITHOUT ROWID;
`;

const RECODED_LAYERS = `
CREATE TABLE recoded_layers (diff_id TEXT NOT NULL, compression TEXT NOT NULL, level INTEGER NOT NULL, digest TEXT NOT NULL,
  size INTEGER NOT NULL, PRIMARY KEY (diff_id, compression, level)) WITHOUT ROWID;
`;

/** JSON; NULL for images that an older version stored. */
const IMAGE_LABELS = "ALTER TABLE images ADD COLUMN labels TEXT";

/** Steps that an older version kept count as older than any limit. */
const STEP_FACTS = `
ALTER TABLE cache ADD COLUMN result TEXT;
ALTER TABLE cache ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
`;

const STEP_RECORDS = `
CREATE TABLE step_records (project TEXT NOT NULL, stage TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
  facts TEXT NOT NULL, snapshot TEXT, PRIMARY KEY (project, stage, number));
`;

/** For look-ups of images by what they consist of. */
const CONTENT_INDEXES = `
CREATE INDEX images_manifest ON images (manifest);
CREATE INDEX indexes_manifest ON indexes (manifest);
CREATE INDEX image_layers_diff_id ON image_layers (diff_id);
`;

const STORE_KEY = "CREATE TABLE store_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)";
const SNAPSHOT_BYTES = "ALTER TABLE snapshots ADD COLUMN bytes INTEGER";

/** Files are known again one by one or many of a directory together; what was known is found out again. */
const FILE_STATES = `
DROP TABLE file_digests;
CREATE TABLE file_digests (identity TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
`;

/** Of the time before, the names that there are. */
const NAME_HISTORY = `
CREATE TABLE name_history (given INTEGER PRIMARY KEY, image_id TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (image_id, name));
INSERT INTO name_history (image_id, name) SELECT image_id, name FROM names;
`;

/** What each version adds to the one before it, the first to an empty database. */
export const UPGRADES: readonly string[] = [
  FIRST_SCHEMA,
  INDEXES,
  RECODED_LAYERS,
  IMAGE_LABELS,
  STEP_FACTS,
  STEP_RECORDS,
  CONTENT_INDEXES,
  STORE_KEY,
  SNAPSHOT_BYTES,
  FILE_STATES,
  NAME_HISTORY,
];
const VERSION = UPGRADES.length;
/** Milliseconds that a statement waits for another process's transaction. */
const BUSY_TIMEOUT = 30_000;
/** Pages in the log before they are moved into the database: commands leave it behind, and the next one reads it first. */
const LOG_PAGES = 128;

/** Opens the database, making or refusing its schema. WAL with synchronous=NORMAL survives a kill at any moment. */
export function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, strict: true });
  database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  const version = schemaVersion(database);
  if (version < VERSION) upgrade(database);
  else if (version > VERSION) {
    database.close();
    throw new CooperError(
      "unsupported",
      `The store's database ${path} has version ${version}, this Cooper reads ${VERSION}`,
      {
        hint: "use the Cooper that made it, or another --root",
      },
    );
  }
  database.run(`PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${LOG_PAGES}`);
  return database;
}

/**
 * Gives the file system back what the database takes and does not need, once that is more than half of it. Where another
 * process is writing, or the disk is full, it stays as it is: the next one tries again.
 */
export function compactDatabase(database: Database): void {
  const pragma = (name: string) =>
    Object.values(database.query(`PRAGMA ${name}`).get() as object)[0] as number;
  const free = pragma("freelist_count");
  if (free < LOG_PAGES || free * 2 < pragma("page_count")) return;
  try {
    database.run(
      "PRAGMA busy_timeout = 0; PRAGMA temp_store = MEMORY; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)",
    );
  } catch {
    // It is whole either way.
  }
  database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
}

function schemaVersion(database: Database): number {
  return (database.query("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** Makes the schema, or brings that of an older version up to date. */
function upgrade(database: Database): void {
  switchToWal(database);
  database
    .transaction(() => {
      // Another process may have done it while this one waited for the lock.
      const version = schemaVersion(database);
      if (version >= VERSION) return;
      for (const statements of UPGRADES.slice(version)) {
        for (const statement of statements.split(";")) if (statement.trim() !== "") database.run(statement);
      }
      database.run(`PRAGMA user_version = ${VERSION}`);
    })
    .immediate();
}

/** SQLite does not wait for others here, whatever busy_timeout says: they are only opening the database, as we do. */
function switchToWal(database: Database): void {
  for (const end = Date.now() + BUSY_TIMEOUT; ; Bun.sleepSync(2)) {
    try {
      database.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "SQLITE_BUSY" || Date.now() > end) throw error;
    }
  }
}
