/**
 * Whether a store is what it should be: blobs against their digests, layers against their diff_ids, records against the
 * disk. Others may use the store meanwhile: what was there at the beginning is held until the end, and what appears later
 * is not looked at.
 */
import { wrapError } from "../../base/errors.ts";
import type { StoreFiles } from "../store.ts";
import { checkBlobs } from "./check-blobs.ts";
import { checkCommitted, checkSnapshots, checkUnpacked } from "./check-layers.ts";
import { checkDamage, checkFiles, checkRecords } from "./check-leftovers.ts";
import { checkUsers } from "./check-users.ts";
import type { Checking, Fault } from "./fault.ts";
import { releaseInventory, takeInventory } from "./inventory.ts";

export interface CheckReport {
  faults: Fault[];
  /** How many there were of each; of the layers, those that could be compared with a diff_id. */
  blobs: number;
  layers: number;
  verifiedLayers: number;
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
  const faults: Fault[] = [];
  checkDatabase(store, repair, faults);
  const inventory = takeInventory(store);
  const check: Checking = { store, inventory, repair, signal, faults, damage: new Map() };
  try {
    checkSnapshots(check);
    await checkBlobs(check);
    const unpacked = await checkUnpacked(check);
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
      images: inventory.images.length + inventory.indexes.length,
      containers: inventory.containers.length,
    };
  } finally {
    releaseInventory(store, inventory);
  }
}

/** SQLite's own check. What only its indexes say wrongly can be made again from its tables. */
function checkDatabase(store: StoreFiles, repair: boolean, faults: Fault[]): void {
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
