/** All checks of a host, and what they come to. */
import { type Tier, TIER_SUMMARIES } from "../tier.ts";
import type { Check } from "./check.ts";
import { checkIds } from "./check-ids.ts";
import { checkNamespaces } from "./check-namespaces.ts";
import { checkStorage } from "./check-storage.ts";
import {
  checkCgroups,
  checkClock,
  checkFuse,
  checkKernel,
  checkPasta,
  checkRuntime,
} from "./check-system.ts";
import type { Host } from "./host.ts";

export interface Diagnosis {
  tier: Tier;
  summary: string;
  /** Whether a build can work: no check failed. */
  works: boolean;
  checks: Check[];
}

/** Looks at everything; leaves nothing behind. */
export function diagnose(host: Host): Diagnosis {
  const namespaces = checkNamespaces(host);
  const { tier } = namespaces;
  const ids = checkIds(host);
  const explained = ids.some(({ status }) => status === "warning");
  const checks = [
    checkKernel(host),
    checkClock(host),
    ...namespaces.checks.filter(({ id }) => id !== "id-mapping" || !explained),
    ...ids,
    ...checkStorage(host, namespaces.inside),
    checkRuntime(host),
    checkPasta(host),
    checkFuse(host),
    checkCgroups(host),
  ];
  return {
    tier,
    summary: TIER_SUMMARIES[tier],
    works: checks.every(({ status }) => status !== "error"),
    checks,
  };
}
