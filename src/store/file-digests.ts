/** The stat cache in the store's database: digests of files outside the store, by what stat(2) says of them. */
import type { FileState, StatCache } from "../archive/stat-cache.ts";
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";

const BATCH = 20_000;

/** Writes are gathered and made in one transaction at the end of the turn. */
export function fileDigestCache(db: Database): StatCache {
  const find = db.query("SELECT digest FROM file_digests WHERE identity = ? AND fingerprint = ?");
  const add = db.query("INSERT OR REPLACE INTO file_digests VALUES (?, ?, ?)");
  const waiting: [FileState, Digest][] = [];
  let isReading = false;
  const flush = () => {
    const entries = waiting.splice(0);
    if (entries.length === 0) return;
    // A transaction that has read cannot begin to write once another process has.
    if (isReading) db.run("COMMIT");
    db.transaction(() => {
      for (const [{ identity, fingerprint }, digest] of entries) add.run(identity, fingerprint, digest);
    }).immediate();
    if (isReading) db.run("BEGIN");
  };
  return {
    // Outside a transaction each look-up takes and drops the database's lock, which is most of its cost.
    during(work) {
      if (db.inTransaction) return work();
      db.run("BEGIN");
      isReading = true;
      try {
        return work();
      } finally {
        isReading = false;
        if (db.inTransaction) db.run("COMMIT");
      }
    },
    get: ({ identity, fingerprint }) =>
      (find.get(identity, fingerprint) as { digest: Digest } | null)?.digest,
    put(state, digest) {
      if (waiting.length === 0) queueMicrotask(flush);
      waiting.push([state, digest]);
      // A context may have any number of files, and all of them are hashed in one turn.
      if (waiting.length === BATCH) flush();
    },
  };
}
