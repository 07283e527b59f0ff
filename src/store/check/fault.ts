/** What a check of the store finds, and what its parts share. */
import type { StoreFiles } from "../store.ts";
import type { Inventory } from "./inventory.ts";

/** One thing that is not as it should be. */
export interface StoreFault {
  kind: "database" | "blob" | "layer" | "image" | "list" | "container" | "cache" | "leftover";
  /** The thing: a digest, a name or id, a path below the store's root. */
  what: string;
  /** What is wrong with it. */
  problem: string;
  /** What was done; undefined when nothing was. */
  repair?: string;
  /** What its owner can do where nothing was done. */
  hint?: string;
}

/** A check that is under way. */
export interface Checking {
  store: StoreFiles;
  inventory: Inventory;
  repair: boolean;
  signal: AbortSignal | undefined;
  faults: StoreFault[];
  /** Snapshots (by id) and blobs (by digest) that are lost, with what is wrong. */
  damage: Map<string, string>;
}
