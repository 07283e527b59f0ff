/**
 * What layers were compressed to when they were sent: digests only. A later copy asks the place that it goes to for the
 * blob before it compresses anything. The blobs themselves are not kept: that would double what committed layers take on
 * the disk, to spare a core some seconds for each gigabyte.
 */
import type { Digest } from "../base/digest.ts";
import type { BlobRef } from "./blobs.ts";
import type { Database } from "./database.ts";

/** How a layer was compressed; `level` 0 stands for the default. */
export interface Recoding {
  diffId: Digest;
  compression: string;
  level: number;
}

/** What a layer became when it was last compressed so. */
export function findRecoded(db: Database, { diffId, compression, level }: Recoding): BlobRef | undefined {
  const row = db
    .query("SELECT digest, size FROM recoded_layers WHERE diff_id = ? AND compression = ? AND level = ?")
    .get(diffId, compression, level);
  return (row as BlobRef | null) ?? undefined;
}

export function addRecoded(db: Database, { diffId, compression, level }: Recoding, blob: BlobRef): void {
  db.query("INSERT OR REPLACE INTO recoded_layers VALUES (?, ?, ?, ?, ?)").run(
    diffId,
    compression,
    level,
    blob.digest,
    blob.size,
  );
}
