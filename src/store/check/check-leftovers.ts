/** What is in the database and belongs to nothing, and what is on the disk and in no record. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../base/digest.ts";
import { errnoOf } from "../../base/errors.ts";
import { blobPath } from "../blobs.ts";
import { findContainer } from "../container-records.ts";
import {
  dropUses,
  forgetLayersOn,
  forgetLostLayers,
  hasBlobRecord,
  hasSnapshot,
  SENT_ONLY,
  type User,
  usesOf,
} from "../snapshot-records.ts";
import { sessionExists } from "../session.ts";
import { moveAway, type StoreFiles } from "../store.ts";
import { settle } from "./check-users.ts";
import { isInProgress } from "./check-layers.ts";
import type { Checking, StoreFault } from "./fault.ts";

/** Forgets what is lost, after everything that needed it. */
export function checkDamage(check: Checking): void {
  const { store, damage } = check;
  for (const [thing, problem] of damage) {
    const isBlob = thing.startsWith("sha256:");
    const what = isBlob ? thing : `layers/${thing}`;
    const kind = isBlob ? "blob" : "layer";
    const path = isBlob ? blobPath(store.root, thing as Digest) : join(store.root, "layers", thing);
    if (isStillNeeded(check, thing)) {
      check.faults.push({ kind, what, problem, hint: "a working container stands on it" });
      continue;
    }
    settleFiles(check, { kind, what, problem }, "forgotten", path, () => {
      const { db } = store;
      db.query("DELETE FROM uses WHERE thing = ?").run(thing);
      db.query("DELETE FROM blobs WHERE digest = ?").run(thing);
      db.query("DELETE FROM layer_blobs WHERE digest = ?").run(thing);
      db.query("DELETE FROM snapshots WHERE id = ?").run(thing);
      forgetLayersOn(db, thing);
      forgetLostLayers(db);
      return true;
    });
  }
}

/** Whether a container whose files are all there would lose something of what it shows. */
function isStillNeeded({ store, damage }: Checking, thing: string): boolean {
  if (thing.startsWith("sha256:") || !existsSync(join(store.root, "layers", thing, "diff"))) return false;
  return (
    damage.has(thing) &&
    store.db.query("SELECT 1 FROM uses WHERE thing = ? AND user LIKE 'container:%'").get(thing) !== null
  );
}

/** Records that point at nothing. */
export function checkRecords(check: Checking): void {
  const { store, inventory } = check;
  for (const user of inventory.uses.keys()) {
    // A session ends its claims before it goes.
    if (userExists(check, user) || usesOf(store.db, user as User).length === 0) continue;
    const fault = { kind: "database", what: user, problem: "it is gone and still claims things" } as const;
    settle(check, fault, "its claims are dropped", () => dropUses(store.db, user as User));
  }
  const users = [...inventory.uses].filter(([user]) => userExists(check, user));
  const dangling = new Set(users.flatMap(([, things]) => [...things]));
  for (const thing of dangling) {
    if (inventory.blobs.has(thing as Digest) || inventory.snapshots.has(thing) || isInProgress(store, thing))
      continue;
    const fault = { kind: "database", what: thing, problem: "it is claimed and not known" } as const;
    settle(check, fault, "the claims are dropped", () =>
      store.db.query("DELETE FROM uses WHERE thing = ?").run(thing),
    );
  }
  for (const { table, where, what } of DANGLING) {
    const { count } = store.db.query(`SELECT count(*) AS count FROM ${table} WHERE ${where}`).get() as {
      count: number;
    };
    if (count === 0) continue;
    const fault = { kind: "database", what: table, problem: `${count} ${what}` } as const;
    settle(check, fault, "forgotten", () => store.db.query(`DELETE FROM ${table} WHERE ${where}`).run());
  }
}

const DANGLING = [
  {
    table: "image_layers",
    where: "image_id NOT IN (SELECT id FROM images)",
    what: "rows of images that are gone",
  },
  {
    table: "instance_layers",
    where: "index_id NOT IN (SELECT id FROM indexes)",
    what: "rows of lists that are gone",
  },
  {
    table: "layer_blobs",
    where: SENT_ONLY,
    what: "rows of layers that are gone",
  },
  {
    table: "layers",
    where: "stack <> '' AND instr(stack, ',') = 0 AND stack NOT IN (SELECT id FROM snapshots)",
    what: "rows of layers that are gone",
  },
];

function userExists({ store, inventory }: Checking, user: string): boolean {
  const at = user.indexOf(":");
  const [kind, id] = [user.slice(0, at), user.slice(at + 1)];
  if (kind === "session") return sessionExists(join(store.root, "tmp"), id);
  if (kind === "image") return inventory.images.some((image) => image.id === id);
  if (kind === "index") return inventory.indexes.some((index) => index.id === id);
  if (kind === "container") return inventory.containers.some((container) => container.id === id);
  return kind === "cache" && inventory.cache.some(({ key }) => key === id);
}

/** Files that no record knows and no living process makes. They appear within a transaction, so none sees half of it. */
export function checkFiles(check: Checking): void {
  const { store } = check;
  const look = (directory: string, isKnown: (name: string) => boolean) => {
    for (const name of namesIn(join(store.root, directory)))
      checkFile(check, `${directory}/${name}`, () => isKnown(name));
  };
  look("layers", (name) => isInProgress(store, name) || hasSnapshot(store.db, name));
  look("blobs/sha256", (name) => hasBlobRecord(store.db, `sha256:${name}`));
  look("containers", (name) => findContainer(store.db, name) !== undefined);
  look("tmp", (name) => isOfSession(store, name));
}

function isOfSession(store: StoreFiles, name: string): boolean {
  // A lock without a directory is a session that begins or ends.
  return name.endsWith(".lock") || sessionExists(join(store.root, "tmp"), name);
}

function checkFile(check: Checking, what: string, isKnown: () => boolean): void {
  const { store } = check;
  const path = join(store.root, what);
  const isStray = () => !isKnown() && existsSync(path);
  if (isKnown() || !store.db.transaction(isStray).immediate()) return;
  const fault = { kind: "leftover", what, problem: "nothing knows it" } as const;
  settleFiles(check, fault, "deleted", path, isStray);
}

/** Like settle(); the files go in the same transaction, unless `act` says that they stay. */
function settleFiles(
  check: Checking,
  fault: StoreFault,
  done: string,
  path: string,
  act: () => boolean,
): void {
  const trash = check.repair ? check.store.session.path("trash") : "";
  settle(check, fault, done, () => {
    if (act()) moveAway(path, trash);
  });
  if (check.repair) rmSync(trash, { recursive: true, force: true });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
