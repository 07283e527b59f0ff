/** What a store and its host are. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import type { Store, StoreInfo } from "../api-types.ts";
import { networkNeed } from "../container/run-spec.ts";
import { expectedNetwork, listRuntimes } from "../sandbox/select-sandbox.ts";
import { type Tier, TIER_SUMMARIES } from "../sandbox/tier.ts";
import { expectedTier, namespaceState } from "../sandbox/user-namespace.ts";
import { counts } from "../store/image-records.ts";
import { filesOf } from "./store.ts";
import packageJson from "../../package.json" with { type: "json" };

/** Version of this Cooper. */
export const VERSION: string = packageJson.version;

/** Facts about the store and the host. */
export async function storeInfo(store: Store): Promise<StoreInfo> {
  const state = namespaceState();
  const { tier, tierSummary } = tierFacts();
  const runtimes = listRuntimes(tier).map(({ isolation, program }) => ({ name: isolation, program }));
  return {
    root: store.root,
    runRoot: store.runRoot,
    driver: store.driver,
    rootless: state.kind !== "root",
    tier,
    tierSummary,
    ...networkFacts(tier),
    isolation: runtimes[0]?.name,
    runtimes,
    uidMap: readMap("/proc/self/uid_map"),
    gidMap: readMap("/proc/self/gid_map"),
    ...counts(filesOf(store).db),
    kernel: release(),
    cores: cpus().length,
    memoryBytes: totalmem(),
    version: VERSION,
  };
}

function networkFacts(tier: Tier): Pick<StoreInfo, "network" | "networkSummary"> {
  const need = networkNeed({});
  const { network } = need;
  if (network !== "default") return { network, networkSummary: `${network}: containers.conf says so` };
  const { mode, why } = expectedNetwork(tier, need);
  return { network: mode, networkSummary: `${mode}: ${why}` };
}

function tierFacts(): { tier: Tier; tierSummary: string } {
  const { tier, why } = expectedTier();
  return { tier, tierSummary: `${TIER_SUMMARIES[tier]}${why === undefined ? "" : ` (${why})`}` };
}

function readMap(file: string): [number, number, number][] {
  return readFileSync(file, "latin1")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number]);
}
