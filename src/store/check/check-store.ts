/**
 * Whether a store is what it should be: blobs against their digests, layers against their diff_ids, records against the
 * disk. Others may use the store meanwhile: what was there at the beginning is held until the end, and what appears later
 * is not looked at.
 */
import { errnoOf, isDiskFull, wrapError } from "../../base/errors.ts";
import type { StoreFiles } from "../store.ts";
import { checkBlobs } from "./check-blobs.ts";
import { checkCommitted, checkSnapshots, checkUnpacked } from "./check-layers.ts";
import { checkDamage, checkFiles, checkRecords } from "./check-leftovers.ts";
import { checkUsers } from "./check-users.ts";
import type { Checking, StoreFault } from "./fault.ts";
import { type Inventory, readInventory, releaseInventory, takeInventory } from "./inventory.ts";

export interface CheckReport {
  faults: StoreFault[];
  /** How many there were of each; of the layers, those that could be compared with a diff_id. */
  blobs: number;
  layers: number;
  verifiedLayers: number;
  /** Unpacked layers that were not compared: that takes room, and the disk is full or read-only. */
  skippedLayers: number;
  images: number;
  containers: number;
}

export interface CheckRequest {
  /** Unpacks again what there is a blob of, and forgets the rest. */
  repair: boolean;
  signal?: AbortSignal | undefined;
}

/** Checks all of a store; memory grows with the number of things, not with their size. */
export async function checkStoreFiles(
  store: StoreFiles,
  { repair, signal }: CheckRequest,
): Promise<CheckReport> {
  const faults: StoreFault[] = [];
  checkDatabase(store, repair, faults);
  const { inventory, hasRoom, release } = hold(store, repair);
  const check: Checking = { store, inventory, repair, signal, faults, damage: new Map() };
  try {
    checkSnapshots(check);
    await checkBlobs(check);
    const unpacked = hasRoom ? await checkUnpacked(check) : 0;
    const committed = await checkCommitted(check);
    checkUsers(check);
    checkDamage(check);
    checkRecords(check);
    checkFiles(check);
    return {
      faults,
      blobs: inventory.blobs.size,
      layers: inventory.snapshots.size,
      verifiedLayers: unpacked + committed,
      skippedLayers: hasRoom ? 0 : inventory.unpacked.length,
      images: inventory.images.length + inventory.indexes.length,
      containers: inventory.containers.length,
    };
  } finally {
    release();
  }
}

/**
 * What is there, until release(). Where no note can be made of that, on a disk that is full or read-only, a transaction that
 * writes nothing keeps others from changing anything.
 */
function hold(
  store: StoreFiles,
  repair: boolean,
): { inventory: Inventory; hasRoom: boolean; release: () => void } {
  try {
    const inventory = takeInventory(store);
    return { inventory, hasRoom: true, release: () => releaseInventory(store, inventory) };
  } catch (error) {
    const isReadOnly = errnoOf(error) === "EROFS";
    if (repair || !(isReadOnly || isDiskFull(error))) throw error;
    store.db.run(isReadOnly ? "BEGIN" : "BEGIN IMMEDIATE");
    return {
      inventory: readInventory(store.db),
      hasRoom: false,
      release: () => void store.db.run("ROLLBACK"),
    };
  }
}

/** SQLite's own check. What only its indexes say wrongly can be made again from its tables. */
function checkDatabase(store: StoreFiles, repair: boolean, faults: StoreFault[]): void {
  const problems = integrity(store);
  if (problems.length === 0) return;
  const problem = problems.join("; ");
  if (repair) {
    try {
      store.db.run("REINDEX");
    } catch (error) {
      throw wrapError("Cannot repair the store's database", error);
    }
    if (integrity(store).length === 0) {
      faults.push({ kind: "database", what: "cooper.db", problem, repair: "its indexes are made again" });
      return;
    }
  }
  faults.push({
    kind: "database",
    what: "cooper.db",
    problem,
    hint: "restore it, or begin another store (--root)",
  });
}

function integrity({ db }: StoreFiles): string[] {
  const rows = db.query("PRAGMA integrity_check(20)").all() as { integrity_check: string }[];
  return rows.map((row) => row.integrity_check).filter((line) => line !== "ok");
}
