/** Layers in the database: what stacks of snapshots are as tars, and blobs that are known to hold them. */
import type { Digest } from "../base/digest.ts";
import type { Database } from "./database.ts";

/** A layer of an image in the store: what it is elsewhere, and the snapshots that it is here. */
export interface StoredLayer {
  diffId: Digest;
  /** Snapshot ids, lowest first. */
  stack: string[];
}

/** A stack as the database holds it. */
export const joinStack = (stack: string[]) => stack.join(",");

/** A stack that the database holds. */
export const splitStack = (stack: string) => (stack === "" ? [] : stack.split(","));

/** What a stack is known to pack to with the given options. */
export function findLayer(
  db: Database,
  stack: string[],
  variant = "",
): { diffId: Digest; size: number } | undefined {
  const row = db
    .query("SELECT diff_id, size FROM layers WHERE stack = ? AND variant = ?")
    .get(joinStack(stack), variant) as {
    diff_id: Digest;
    size: number;
  } | null;
  return row === null ? undefined : { diffId: row.diff_id, size: row.size };
}

/** With which options a stack packs to a layer. */
export function findVariant(db: Database, stack: string[], diffId: Digest): string | undefined {
  const row = db
    .query("SELECT variant FROM layers WHERE stack = ? AND diff_id = ?")
    .get(joinStack(stack), diffId);
  return (row as { variant: string } | null)?.variant;
}

export function addLayer(
  db: Database,
  stack: string[],
  layer: { diffId: Digest; size: number },
  variant = "",
): void {
  db.query("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?)").run(
    joinStack(stack),
    variant,
    layer.diffId,
    layer.size,
  );
}

/** Variant of a layer that came from elsewhere: its snapshot is what the tar unpacks to, whatever lies below. */
export const UNPACKED = "unpacked";

/**
 * A snapshot that a layer was unpacked to. One that a container wrote is never it, even if it packs to the same tar: its
 * opaque directories and whiteouts hide things that only other images have.
 */
export function findUnpacked(db: Database, diffId: Digest): { stack: string[]; size: number } | undefined {
  const row = db
    .query(
      "SELECT stack, size FROM layers JOIN snapshots ON id = stack WHERE diff_id = ? AND variant = ? LIMIT 1",
    )
    .get(diffId, UNPACKED) as { stack: string; size: number } | null;
  return row === null ? undefined : { stack: splitStack(row.stack), size: row.size };
}

/** Bytes of a stored layer's tar; undefined when that was never found out. */
export function layerSize(db: Database, layer: StoredLayer): number | undefined {
  const row = db
    .query("SELECT size FROM layers WHERE stack = ? AND diff_id = ?")
    .get(joinStack(layer.stack), layer.diffId);
  return (row as { size: number } | null)?.size;
}

export interface LayerBlob {
  digest: Digest;
  diffId: Digest;
  mediaType: string;
  size: number;
}

export function addLayerBlob(db: Database, blob: LayerBlob): void {
  db.query("INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?)").run(
    blob.digest,
    blob.diffId,
    blob.mediaType,
    blob.size,
  );
}

export function findLayerBlob(db: Database, digest: Digest): LayerBlob | undefined {
  const row = db
    .query(
      "SELECT digest, diff_id AS diffId, media_type AS mediaType, size FROM layer_blobs WHERE digest = ?",
    )
    .get(digest);
  return (row as LayerBlob | null) ?? undefined;
}

export function blobsOfLayer(db: Database, diffId: Digest): LayerBlob[] {
  return db
    .query(
      "SELECT digest, diff_id AS diffId, media_type AS mediaType, size FROM layer_blobs WHERE diff_id = ?",
    )
    .all(diffId) as LayerBlob[];
}
