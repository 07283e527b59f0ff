/** The stat cache: content digests of files outside the store, by what stat(2) says of them. */
import type { StatCache, StatKey } from "../archive/hash-tree.ts";
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";

/** A file whose times lie closer to now than the clock's resolution may change again unseen (git's "racy" rule). */
const RESOLUTION_NS = 20_000_000n;

function isSettled(key: StatKey): boolean {
  const now = BigInt(Date.now()) * 1_000_000n;
  return key.mtimeNs < now - RESOLUTION_NS && key.ctimeNs < now - RESOLUTION_NS;
}

const BATCH = 20_000;

/** A cache in the store's database. Writes are gathered and made in one transaction at the end of the turn. */
export function fileDigestCache(db: Database): StatCache {
  const find = db.query(
    "SELECT digest FROM file_digests WHERE device = ? AND inode = ? AND size = ? AND mtime = ? AND ctime = ?",
  );
  const add = db.query("INSERT OR REPLACE INTO file_digests VALUES (?, ?, ?, ?, ?, ?)");
  const waiting: [StatKey, Digest][] = [];
  let isReading = false;
  const flush = () => {
    const entries = waiting.splice(0);
    if (entries.length === 0) return;
    // A transaction that has read cannot begin to write once another process has.
    if (isReading) db.run("COMMIT");
    db.transaction(() => {
      for (const [key, digest] of entries) add.run(...columns(key), digest);
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
    get: (key) => (find.get(...columns(key)) as { digest: Digest } | null)?.digest,
    put(key, digest) {
      if (!isSettled(key)) return;
      if (waiting.length === 0) queueMicrotask(flush);
      waiting.push([key, digest]);
      // A context may have any number of files, and all of them are hashed in one turn.
      if (waiting.length === BATCH) flush();
    },
  };
}

function columns(key: StatKey): [string, string, number, string, string] {
  return [String(key.device), String(key.inode), Number(key.size), String(key.mtimeNs), String(key.ctimeNs)];
}
