/** Looking whether a store is whole. */
import type { CheckOptions, Store } from "../api-types.ts";
import { type CheckReport, checkStoreFiles } from "../store/check/check-store.ts";
import { filesOf } from "./store.ts";

/**
 * Verifies every blob, every layer that has a diff_id to be compared with, and that database and disk say the same. With
 * `repair`, what a kept blob gives is unpacked again and everything else that is damaged is forgotten; each fault says
 * what was lost. Others may use the store meanwhile.
 */
export async function checkStore(store: Store, options: CheckOptions = {}): Promise<CheckReport> {
  return await checkStoreFiles(filesOf(store), { repair: options.repair ?? false, signal: options.signal });
}
