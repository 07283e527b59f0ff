/** What the database says of a store at one moment, all of it held by this session, so that it stays while it is checked. */
import type { Digest } from "../../base/digest.ts";
import { type LayerBlob, type StoredLayer, UNPACKED } from "../layer-records.ts";
import { addUses } from "../snapshot-records.ts";
import type { Database } from "../database.ts";
import { deleteUnused, type StoreFiles } from "../store.ts";

export interface Inventory {
  snapshots: Set<string>;
  blobs: Set<Digest>;
  images: { id: string; manifest: Digest }[];
  indexes: { id: string; manifest: Digest }[];
  names: { name: string; id: string }[];
  containers: { id: string; name: string; imageId: string | null }[];
  cache: { key: Digest; snapshot: string | null }[];
  /** Things by their users. */
  uses: Map<string, Set<string>>;
  /** Layers of each image, lowest first. */
  imageLayers: Map<string, StoredLayer[]>;
  /** The same for entries of lists, by `INDEX MANIFEST`. */
  instanceLayers: Map<string, StoredLayer[]>;
  layerBlobs: LayerBlob[];
  /** Snapshots that are what a layer's tar unpacks to. */
  unpacked: { id: string; diffId: Digest }[];
}

interface LayerRow {
  owner: string;
  stack: string;
  diffId: Digest;
}

/** Reads everything and holds it until releaseInventory(), in one transaction. */
export function takeInventory(store: StoreFiles): Inventory {
  const session = `session:${store.session.id}` as const;
  const take = store.db.transaction(() => {
    const inventory = readInventory(store.db);
    addUses(store.db, session, [...inventory.snapshots, ...inventory.blobs]);
    return inventory;
  });
  return take.immediate();
}

/** Reads everything. */
export function readInventory(db: Database): Inventory {
  const rows = <T>(sql: string, ...values: string[]) => db.query(sql).all(...values) as T[];
  const column = <T extends string>(sql: string) => rows<{ it: T }>(sql).map(({ it }) => it);
  const uses = new Map<string, Set<string>>();
  for (const { user, thing } of rows<{ user: string; thing: string }>("SELECT user, thing FROM uses"))
    uses.set(user, (uses.get(user) ?? new Set()).add(thing));
  return {
    snapshots: new Set(column<string>("SELECT id AS it FROM snapshots")),
    blobs: new Set(column<Digest>("SELECT digest AS it FROM blobs")),
    uses,
    images: rows("SELECT id, manifest FROM images"),
    indexes: rows("SELECT id, manifest FROM indexes"),
    names: rows("SELECT name, image_id AS id FROM names ORDER BY name"),
    containers: rows("SELECT id, name, image_id AS imageId FROM containers ORDER BY name"),
    cache: rows("SELECT key, snapshot FROM cache"),
    imageLayers: byOwner(
      rows("SELECT image_id AS owner, stack, diff_id AS diffId FROM image_layers ORDER BY 1, position"),
    ),
    instanceLayers: byOwner(
      rows(
        "SELECT index_id || ' ' || manifest AS owner, stack, diff_id AS diffId FROM instance_layers ORDER BY 1, position",
      ),
    ),
    layerBlobs: rows("SELECT digest, diff_id AS diffId, media_type AS mediaType, size FROM layer_blobs"),
    unpacked: rows("SELECT stack AS id, diff_id AS diffId FROM layers WHERE variant = ?", UNPACKED),
  };
}

/**
 * Ends the hold. What lost its last user meanwhile is deleted, as that user's removal would have done; what had none at the
 * beginning is not: a check alone destroys nothing.
 */
export function releaseInventory(store: StoreFiles, { snapshots, blobs, uses }: Inventory): void {
  const session = `session:${store.session.id}`;
  const before = uses.get(session);
  const held = [...snapshots, ...blobs].filter((thing) => before?.has(thing) !== true);
  const release = store.db.query("DELETE FROM uses WHERE thing = ? AND user = ?");
  store.db.transaction(() => void held.map((thing) => release.run(thing, session))).immediate();
  const used = new Set([...uses.values()].flatMap((things) => [...things]));
  deleteUnused(
    store,
    held.filter((thing) => used.has(thing)),
  );
}

function byOwner(rows: LayerRow[]): Map<string, StoredLayer[]> {
  const layers = new Map<string, StoredLayer[]>();
  for (const { owner, stack, diffId } of rows) {
    const list = layers.get(owner) ?? [];
    list.push({ diffId, stack: stack === "" ? [] : stack.split(",") });
    layers.set(owner, list);
  }
  return layers;
}
