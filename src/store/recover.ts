/**
 * Puts right what processes left that were killed. Files are renamed while the database does not know of them yet, or
 * not any more: whatever it does not know, and no living session makes, is garbage.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { blobPath } from "./blobs.ts";
import { allContainers, deleteContainer, findContainer } from "./container-records.ts";
import {
  dropUses,
  forgetLostLayers,
  forgetSnapshot,
  hasBlobRecord,
  hasSnapshot,
  snapshotsOfContainers,
} from "./snapshot-records.ts";
import {
  buryDeadSession,
  clearDeadSession,
  type DeadSession,
  SESSION_ID_LENGTH,
  sessionExists,
} from "./session.ts";
import { collectGarbage, moveAway, snapshotPath, type StoreFiles } from "./store.ts";

/** Ends what dead sessions claimed, and deletes everything that nobody claims then. Their locks go last. */
export function recoverStore(store: StoreFiles, dead: DeadSession[]): void {
  // The database may need the space that they take.
  for (const session of dead) clearDeadSession(session);
  store.db.transaction(() => dead.map(({ id }) => dropUses(store.db, `session:${id}`))).immediate();
  const ids = new Set(dead.map(({ id }) => id));
  const isInProgress = (snapshot: string) => {
    const session = snapshot.slice(0, SESSION_ID_LENGTH);
    return !ids.has(session) && sessionExists(join(store.root, "tmp"), session);
  };
  const lost = snapshotsOfContainers(store.db).filter(
    (id) => !existsSync(snapshotPath(store, id)) && !isInProgress(id),
  );
  store.db.transaction(() => lost.map((id) => forgetSnapshot(store.db, id))).immediate();
  for (const name of namesIn(store, "layers")) {
    // The session is looked for before the record: when it has ended between the two, the record is there.
    if (isInProgress(name)) continue;
    deleteUnless(store, join(store.root, "layers", name), () => hasSnapshot(store.db, name));
  }
  for (const name of namesIn(store, "blobs/sha256")) {
    const digest: Digest = `sha256:${name}`;
    deleteUnless(store, blobPath(store.root, digest), () => hasBlobRecord(store.db, digest));
  }
  for (const name of namesIn(store, "containers")) {
    const isKnown = () => findContainer(store.db, name) !== undefined;
    deleteUnless(store, join(store.root, "containers", name), isKnown);
  }
  store.db.transaction(() => forgetLostContainers(store)).immediate();
  collectGarbage(store);
  store.db.transaction(() => forgetLostLayers(store.db)).immediate();
  for (const session of dead) buryDeadSession(session);
}

function namesIn(store: StoreFiles, directory: string): string[] {
  return readdirSync(join(store.root, directory));
}

/** Deletes a path that the database does not know. Files appear within a transaction, so that none sees half of it. */
function deleteUnless(store: StoreFiles, path: string, isKnown: () => boolean): void {
  if (isKnown()) return;
  const trash = store.session.path("trash");
  store.db
    .transaction(() => {
      if (!isKnown()) moveAway(path, trash);
    })
    .immediate();
  rmSync(trash, { recursive: true, force: true });
}

/** A removal on a full disk deletes the files first; the database cannot show a container whose files are still to come. */
function forgetLostContainers(store: StoreFiles): void {
  for (const { id } of allContainers(store.db)) {
    if (existsSync(join(store.root, "containers", id))) continue;
    deleteContainer(store.db, id);
    dropUses(store.db, `container:${id}`);
  }
}
