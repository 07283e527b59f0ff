/**
 * An open store: where things lie, and how they become garbage.
 *
 *   blobs/sha256/HEX      manifests, configs, and layer blobs that came from or went to somewhere
 *   layers/ID/diff        snapshots
 *   containers/ID/        writable trees of working containers
 *   tmp/SESSION/          unfinished things of one process (session.ts)
 *   cooper.db             everything else (database.ts)
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { errnoOf, wrapError } from "../base/errors.ts";
import { readNames } from "../base/path-bytes.ts";
import { type BlobRef, blobPath, writeBytes, writeStream } from "./blobs.ts";
import { copySnapshotter } from "./copy-snapshotter.ts";
import { type Database, openDatabase } from "./database.ts";
import { overlay } from "./overlay.ts";
import {
  addBlobRecord,
  addSnapshot,
  addUses,
  dropUses,
  forgetUnused,
  hasBlobRecord,
  hasSnapshot,
  type StoredLayer,
  type User,
  unusedThings,
} from "./records.ts";
import { openSession, type Session, sweepSessions } from "./session.ts";
import type { Snapshotter } from "./snapshotter.ts";

export type DriverName = "overlay" | "copy";

/** The snapshotter of a name. */
export function snapshotterOf(driver: DriverName): Snapshotter {
  return driver === "overlay" ? overlay : copySnapshotter;
}

export class StoreFiles implements Disposable {
  readonly root: string;
  readonly db: Database;
  #session: Session | undefined;

  constructor(root: string, db: Database) {
    this.root = root;
    this.db = db;
  }

  /** This process's session; the first use sweeps what dead ones left. */
  get session(): Session {
    if (this.#session === undefined) {
      const parent = join(this.root, "tmp");
      const dead = sweepSessions(parent);
      this.#session = openSession(parent);
      if (dead.length > 0) forgetSessions(this, dead);
    }
    return this.#session;
  }

  [Symbol.dispose](): void {
    if (this.#session !== undefined) {
      const left = dropUses(this.db, `session:${this.#session.id}`);
      deleteUnused(this, left);
      this.#session[Symbol.dispose]();
      this.#session = undefined;
    }
    // The database stays open until the process ends: closing the last connection copies the log back and syncs it,
    // which costs every command more than the command itself. SQLite does so anyway once the log has grown.
  }
}

/** Opens a store, making it where there is none. */
export function openStoreFiles(root: string): StoreFiles {
  try {
    if (!existsSync(join(root, "cooper.db"))) makeStore(root);
    return new StoreFiles(root, openDatabase(join(root, "cooper.db")));
  } catch (error) {
    throw wrapError(`Cannot open the store in ${root}`, error);
  }
}

function makeStore(root: string): void {
  for (const directory of ["blobs/sha256", "layers", "containers", "tmp"]) {
    mkdirSync(join(root, directory), { recursive: true, mode: 0o700 });
  }
  writeFileSync(join(root, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

// ---- snapshots ----

/** Directory of a snapshot. */
export function snapshotPath(store: StoreFiles, id: string): string {
  return join(store.root, "layers", id, "diff");
}

/** Directories of the snapshots of layers, lowest first. */
export function snapshotPaths(store: StoreFiles, layers: StoredLayer[]): string[] {
  return layers.flatMap((layer) => layer.stack.map((id) => snapshotPath(store, id)));
}

/**
 * Makes a snapshot by `fill`, which creates the directory it is given (or says false: there is nothing to keep).
 * The session uses it until something else does.
 */
export function makeSnapshot(store: StoreFiles, fill: (directory: string) => boolean): string | undefined {
  const id = store.session.snapshotId();
  if (!fill(snapshotPath(store, id))) return undefined;
  recordSnapshot(store, id);
  return id;
}

function recordSnapshot(store: StoreFiles, id: string): void {
  store.db
    .transaction(() => {
      addSnapshot(store.db, id);
      addUses(store.db, `session:${store.session.id}`, [id]);
    })
    .immediate();
}

/** The same for content that arrives over time: filled under a temporary name, renamed when complete. */
export async function makeSnapshotSlowly(
  store: StoreFiles,
  fill: (directory: string) => Promise<void>,
): Promise<string> {
  const temporary = store.session.path("layer");
  mkdirSync(temporary, { mode: 0o700 });
  await fill(temporary);
  const id = store.session.snapshotId();
  mkdirSync(join(store.root, "layers", id), { mode: 0o700 });
  renameSync(temporary, snapshotPath(store, id));
  recordSnapshot(store, id);
  return id;
}

/**
 * Marks snapshots as needed by this process. False when one of them is gone: somebody deleted it, look again.
 */
export function holdSnapshots(store: StoreFiles, ids: string[]): boolean {
  return store.db
    .transaction(() => {
      addUses(store.db, `session:${store.session.id}`, ids);
      return ids.every((id) => hasSnapshot(store.db, id));
    })
    .immediate();
}

// ---- blobs ----

/** Stores bytes that are at hand, for this session until something uses them. */
export function storeBytes(store: StoreFiles, bytes: Uint8Array): BlobRef {
  const temporary = store.session.path("blob");
  return keepBlob(store, writeBytes(bytes, temporary), temporary);
}

/** Stores a stream; see writeStream(). */
export async function storeStream(
  store: StoreFiles,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected?: BlobRef,
): Promise<BlobRef> {
  const temporary = store.session.path("blob");
  return keepBlob(store, await writeStream(content, temporary, expected), temporary);
}

/** Renames a complete file into place within the transaction that records it: no deleter comes between. */
function keepBlob(store: StoreFiles, blob: BlobRef, temporary: string): BlobRef {
  store.db
    .transaction(() => {
      renameSync(temporary, blobPath(store.root, blob.digest));
      addBlobRecord(store.db, blob.digest);
      addUses(store.db, `session:${store.session.id}`, [blob.digest]);
    })
    .immediate();
  return blob;
}

/** Marks a blob as needed by this process; false when the store does not have it. */
export function holdBlob(store: StoreFiles, digest: Digest): boolean {
  return store.db
    .transaction(() => {
      if (!hasBlobRecord(store.db, digest)) return false;
      addUses(store.db, `session:${store.session.id}`, [digest]);
      return true;
    })
    .immediate();
}

// ---- garbage ----

/** Ends a user's claims and deletes what nobody else claims. */
export function release(store: StoreFiles, user: User): void {
  deleteUnused(store, store.db.transaction(() => dropUses(store.db, user)).immediate());
}

/** Deletes those of the things that nobody uses. Returns how many. */
export function deleteUnused(store: StoreFiles, things: string[]): number {
  const trash: string[] = [];
  for (const thing of things) {
    const path = store.session.path("trash");
    // Forgotten and renamed in one transaction, so that whoever claims a thing finds all of it or nothing.
    const gone = store.db
      .transaction(() => forgetUnused(store.db, thing) && discard(store, thing, path))
      .immediate();
    if (gone) trash.push(path);
  }
  for (const path of trash) rmSync(path, { recursive: true, force: true });
  return trash.length;
}

/** Deletes every snapshot and blob that nobody uses. */
export function collectGarbage(store: StoreFiles): number {
  return deleteUnused(store, unusedThings(store.db));
}

function discard(store: StoreFiles, thing: string, trash: string): boolean {
  const path = thing.startsWith("sha256:")
    ? blobPath(store.root, thing as Digest)
    : join(store.root, "layers", thing);
  try {
    renameSync(path, trash);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw wrapError(`Cannot delete ${path}`, error);
  }
  return true;
}

/** Forgets what dead sessions claimed and deletes the directories that they had not recorded yet. */
function forgetSessions(store: StoreFiles, ids: string[]): void {
  store.db.transaction(() => ids.map((id) => dropUses(store.db, `session:${id}`))).immediate();
  for (const name of readNames(join(store.root, "layers"))) {
    if (!ids.some((id) => name.startsWith(id)) || hasSnapshot(store.db, name)) continue;
    const trash = store.session.path("trash");
    discard(store, name, trash);
    rmSync(trash, { recursive: true, force: true });
  }
  collectGarbage(store);
}
