/** What this host lets Cooper do, and what would make it more. */
import type { StoreOptions } from "../api-types.ts";
import { type Diagnosis, diagnose } from "../sandbox/doctor/diagnose.ts";
import { thisHost } from "../sandbox/doctor/host.ts";
import { driverFor, storePaths } from "./store.ts";

export type { Check, CheckStatus } from "../sandbox/doctor/check.ts";
export type { Tier } from "../sandbox/tier.ts";
export type { Diagnosis } from "../sandbox/doctor/diagnose.ts";

/**
 * Checks this host with real probes (namespaces, an overlay mount where the store is), as the user that this process
 * is; nothing is changed. Takes a tenth of a second or so. Error: `usage` for an unknown storage driver.
 */
export function doctor(options: StoreOptions = {}): Diagnosis {
  const paths = storePaths(options);
  return diagnose(thisHost({ ...paths, driver: driverFor({ ...options, root: paths.root }) }));
}
