/** A random key that no other store has, for digests of what must not be guessed from them. */
import { randomBytes } from "./random-id.ts";
import type { Database } from "./database.ts";

/** 32 bytes; made when it is first asked for, the same for all processes from then on. */
export function storeKey(db: Database): Buffer {
  const find = () => db.query("SELECT key FROM store_key").get() as { key: Uint8Array } | null;
  const known = find();
  if (known !== null) return Buffer.from(known.key);
  db.query("INSERT OR IGNORE INTO store_key (id, key) VALUES (1, ?)").run(randomBytes(32));
  return Buffer.from(find()!.key);
}
