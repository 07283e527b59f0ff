/** What the store knows of steps that were run: the snapshot that each gave, by key. */
import type { Digest } from "../base/digest.ts";
import { addCached, type CachedStep, findCached } from "./cache-records.ts";
import { deleteUnused, holdSnapshots, type StoreFiles } from "./store.ts";

/**
 * What a step gave, if it was run at `notBefore` (milliseconds since 1970) or later and its snapshot is still there, which
 * is held for this session.
 */
export function knownStep(store: StoreFiles, key: Digest, notBefore?: number): CachedStep | undefined {
  const found = findCached(store.db, key, notBefore);
  if (found === undefined) return undefined;
  return found.snapshot === null || holdSnapshots(store, [found.snapshot]) ? found : undefined;
}

/** Keeps what a step gave under each of its keys, with what `record` writes in the same transaction. */
export function rememberStep(
  store: StoreFiles,
  keys: Iterable<Digest>,
  step: CachedStep,
  record: () => void = () => {},
): void {
  const replaced = store.db
    .transaction(() => {
      record();
      return [...keys].flatMap((key) => addCached(store.db, key, step));
    })
    .immediate();
  deleteUnused(store, replaced);
}

/** Notes that all steps whose snapshots this process holds were used now, at one time: without it that is known to the hour. */
export function touchSteps({ db, session }: StoreFiles): void {
  db.query("UPDATE cache SET used = ? WHERE snapshot IN (SELECT thing FROM uses WHERE user = ?)").run(
    Date.now(),
    `session:${session.id}`,
  );
}
