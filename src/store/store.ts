/**
 * An open store: where things lie, and how they become garbage.
 *
 *   blobs/sha256/HEX      manifests, configs, and layer blobs that came from or went to somewhere
 *   layers/ID/diff        snapshots
 *   containers/ID/        writable trees of working containers
 *   tmp/SESSION/          unfinished things of one process (session.ts)
 *   reserve               room for making room (reserve.ts)
 *   cooper.db             everything else (database.ts)
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { markTopDirectory } from "../base/file-calls.ts";
import { type BlobRef, blobPath, writeBytes, writeStream } from "./blobs.ts";
import { copySnapshotter } from "./copy-snapshotter.ts";
import { type Database, openDatabase } from "./database.ts";
import { overlay } from "./overlay.ts";
import { findImage, type ImageRecord, imageLayers } from "./image-records.ts";
import type { StoredLayer } from "./layer-records.ts";
import {
  addBlobRecord,
  addSnapshot,
  addUses,
  dropUses,
  forgetUnused,
  hasBlobRecord,
  hasSnapshot,
  type User,
  unusedThings,
  usesOf,
} from "./snapshot-records.ts";
import { recoverStore } from "./recover.ts";
import { keepReserve } from "./reserve.ts";
import { type DeadSession, deadSessions, openSession, type Session } from "./session.ts";
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
  #inDoubt = false;

  constructor(root: string, db: Database) {
    this.root = root;
    this.db = db;
  }

  /** Some change of files and records was not finished: the next session looks what is left, as after a kill. */
  doubt(): void {
    this.#inDoubt = true;
  }

  /** This process's session; the first use puts right what dead ones left. */
  get session(): Session {
    if (this.#session === undefined) {
      const parent = join(this.root, "tmp");
      this.#session = openSession(parent);
      keepReserve(this.root);
      const dead = deadSessions(parent);
      if (dead.length > 0) this.#recover(dead);
    }
    return this.#session;
  }

  /** What cannot be put right now (the disk is full…) is left to the next session: it need not be in anybody's way. */
  #recover(dead: DeadSession[]): void {
    try {
      recoverStore(this, dead);
    } catch {
      for (const { lock } of dead) lock[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.endSession();
    this.db.close();
  }

  /** Gives back what this process held. All that a process which ends needs: closing the database would sync it. */
  endSession(): void {
    const session = this.#session;
    if (session !== undefined) {
      try {
        if (this.#inDoubt) throw new CooperError("system", "Files and records may differ");
        deleteUnused(this, dropUses(this.db, `session:${session.id}`));
        session[Symbol.dispose]();
      } catch {
        session.abandon();
      }
      this.#session = undefined;
    }
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
  for (const directory of ["layers", "containers", "tmp"]) spread(join(root, directory));
  writeFileSync(join(root, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/**
 * Has ext4 put each tree below a directory somewhere else. Near files that were just deleted, as after `rmi`, it makes new
 * ones several times more slowly: it passes over each inode that was freed in the last seconds.
 */
function spread(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    markTopDirectory(fd);
  } finally {
    closeSync(fd);
  }
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
  return finishing(store, () => {
    if (!fill(snapshotPath(store, id))) return undefined;
    recordSnapshot(store, id);
    return id;
  });
}

/**
 * Changes files and the records of them. A failure between the two leaves what a kill would leave, and is put right in the
 * same way.
 */
export function finishing<T>(store: StoreFiles, change: () => T): T {
  try {
    return change();
  } catch (error) {
    store.doubt();
    throw error;
  }
}

function recordSnapshot(store: StoreFiles, id: string): void {
  const user = sessionUser(store);
  store.db
    .transaction(() => {
      addSnapshot(store.db, id);
      addUses(store.db, user, [id]);
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
  finishing(store, () => {
    mkdirSync(join(store.root, "layers", id), { mode: 0o700 });
    renameSync(temporary, snapshotPath(store, id));
    recordSnapshot(store, id);
  });
  return id;
}

/**
 * Marks snapshots as needed by this process. False when one of them is gone: somebody deleted it, look again.
 */
export function holdSnapshots(store: StoreFiles, ids: string[]): boolean {
  const user = sessionUser(store);
  return store.db
    .transaction(() => {
      addUses(store.db, user, ids);
      return ids.every((id) => isThere(store, id));
    })
    .immediate();
}

/**
 * Marks an image and all that it consists of as needed by this process, and says what that is now. Undefined when it is
 * gone.
 */
export function holdImage(
  store: StoreFiles,
  imageId: string,
): { image: ImageRecord; layers: StoredLayer[] } | undefined {
  const user = sessionUser(store);
  return store.db
    .transaction(() => {
      const image = findImage(store.db, imageId);
      if (image === undefined) return undefined;
      addUses(store.db, user, usesOf(store.db, `image:${imageId}`));
      return { image, layers: imageLayers(store.db, imageId) };
    })
    .immediate();
}

/** Asked for before a transaction begins: a new session may have much to put right. */
function sessionUser(store: StoreFiles): User {
  return `session:${store.session.id}`;
}

/** Whether a thing is known, and not one that a killed deleter had moved away before the database took note. */
function isThere(store: StoreFiles, thing: string): boolean {
  if (thing.startsWith("sha256:"))
    return hasBlobRecord(store.db, thing as Digest) && existsSync(blobPath(store.root, thing as Digest));
  return hasSnapshot(store.db, thing) && existsSync(snapshotPath(store, thing));
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
  const user = sessionUser(store);
  const keep = store.db.transaction(() => {
    renameSync(temporary, blobPath(store.root, blob.digest));
    addBlobRecord(store.db, blob.digest);
    addUses(store.db, user, [blob.digest]);
  });
  finishing(store, () => keep.immediate());
  return blob;
}

/** Marks a blob as needed by this process; false when the store does not have it. */
export function holdBlob(store: StoreFiles, digest: Digest): boolean {
  const user = sessionUser(store);
  return store.db
    .transaction(() => {
      if (!isThere(store, digest)) return false;
      addUses(store.db, user, [digest]);
      return true;
    })
    .immediate();
}

// ---- garbage ----

/** Deletes those of the things that nobody uses. Returns how many. */
export function deleteUnused(store: StoreFiles, things: string[]): number {
  const trash: string[] = [];
  for (const thing of things) {
    const path = store.session.path("trash");
    // Forgotten and renamed in one transaction, so that whoever claims a thing finds all of it or nothing.
    const forget = store.db.transaction(() => forgetUnused(store.db, thing) && discard(store, thing, path));
    if (finishing(store, () => forget.immediate())) trash.push(path);
  }
  for (const path of trash) rmSync(path, { recursive: true, force: true });
  return trash.length;
}

/** Deletes every snapshot and blob that nobody uses. */
export function collectGarbage(store: StoreFiles): number {
  return deleteUnused(store, unusedThings(store.db));
}

/** Moves the files of a thing away, inside the transaction that forgets it. */
function discard(store: StoreFiles, thing: string, trash: string): boolean {
  const path = thing.startsWith("sha256:")
    ? blobPath(store.root, thing as Digest)
    : join(store.root, "layers", thing);
  moveAway(path, trash);
  return true;
}

/** Moves what is to be deleted out of everybody's sight, if it is there. */
export function moveAway(path: string, trash: string): void {
  try {
    renameSync(path, trash);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw wrapError(`Cannot delete ${path}`, error);
  }
}
