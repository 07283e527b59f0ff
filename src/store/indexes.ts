/**
 * Indexes of the store: lists of images that may be for several platforms. An index keeps all that its images consist of,
 * whether the store has these images under names of their own or not.
 */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { isIndexType, MEDIA } from "../oci/media-types.ts";
import { parseIndex, parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor, ImageIndex } from "../oci/types.ts";
import { readBlob } from "./blobs.ts";
import type { Database } from "./database.ts";
import { candidateNamesOrNone, nameAmong, type Removal } from "./images.ts";
import { randomContainerId } from "./random-id.ts";
import { deleteName, deleteNames, findImagesByPrefix, findName, namesOf, setName } from "./image-records.ts";
import type { StoredLayer } from "./layer-records.ts";
import { addUses, dropUses, hasBlobRecord, usesOf } from "./snapshot-records.ts";
import { deleteUnused, type StoreFiles, storeBytes } from "./store.ts";

export interface IndexRecord {
  /** 64 hexadecimal digits, random: it stays while the list changes. */
  id: string;
  /** Digest of the index. */
  manifest: Digest;
  /** Milliseconds since 1970. */
  created: number;
}

/** What else is to be known of an entry whose layers are not all blobs: an image that was committed here. */
export interface StoredInstance {
  manifest: Digest;
  /** Its layers, lowest first. */
  layers: StoredLayer[];
}

const RECORD = "SELECT id, manifest, created FROM indexes";
/** Indexes within indexes beyond this depth are an attack. */
const MAX_DEPTH = 4;

// ---- records ----

export function allIndexes(db: Database): IndexRecord[] {
  return db.query(`${RECORD} ORDER BY created DESC`).all() as IndexRecord[];
}

export function findIndex(db: Database, id: string): IndexRecord | undefined {
  return (db.query(`${RECORD} WHERE id = ?`).get(id) as IndexRecord | null) ?? undefined;
}

function findIndexByManifest(db: Database, manifest: Digest): IndexRecord | undefined {
  return (db.query(`${RECORD} WHERE manifest = ? LIMIT 1`).get(manifest) as IndexRecord | null) ?? undefined;
}

/** An index by full or short name, id, or unique prefix of an id that no image has. */
export function findIndexByText(store: StoreFiles, text: string): IndexRecord | undefined {
  for (const name of candidateNamesOrNone(text)) {
    const id = findName(store.db, name);
    if (id !== undefined) return findIndex(store.db, id);
  }
  const bare = text.replace(/^sha256:/, "");
  if (!/^[0-9a-f]{3,64}$/.test(bare)) return undefined;
  const found = store.db
    .query(`${RECORD} WHERE id >= ? AND id < ? LIMIT 2`)
    .all(bare, `${bare}g`) as IndexRecord[];
  if (found.length === 0) return undefined;
  if (found.length > 1 || findImagesByPrefix(store.db, bare).length > 0)
    throw new CooperError("usage", `Image id ${bare} is ambiguous`, { hint: "give more of its digits" });
  return found[0];
}

/** The snapshots of an entry's layers, lowest first; none when they are blobs. */
export function instanceLayers(db: Database, indexId: string, manifest: Digest): StoredLayer[] {
  const rows = db
    .query("SELECT stack, diff_id FROM instance_layers WHERE index_id = ? AND manifest = ? ORDER BY position")
    .all(indexId, manifest) as { stack: string; diff_id: Digest }[];
  return rows.map((row) => ({ diffId: row.diff_id, stack: row.stack === "" ? [] : row.stack.split(",") }));
}

/** Entries of an index whose layers have snapshots. */
export function storedInstances(db: Database, indexId: string): StoredInstance[] {
  const rows = db.query("SELECT DISTINCT manifest FROM instance_layers WHERE index_id = ?").all(indexId) as {
    manifest: Digest;
  }[];
  return rows.map(({ manifest }) => ({ manifest, layers: instanceLayers(db, indexId, manifest) }));
}

// ---- documents ----

export function readIndex(store: StoreFiles, record: IndexRecord): ImageIndex {
  return parseIndex(readBlob(store.root, record.manifest), `index ${record.id.slice(0, 12)}`);
}

/** The index document with these entries; Docker's list where all of them are Docker's and nothing needs more. */
export function indexDocument(index: ImageIndex): ImageIndex {
  const { manifests, annotations, subject, artifactType, ...rest } = index;
  const isDocker =
    manifests.length > 0 &&
    annotations === undefined &&
    subject === undefined &&
    artifactType === undefined &&
    manifests.every((m) => m.mediaType === MEDIA.dockerManifest && m.annotations === undefined);
  const mediaType = isDocker ? MEDIA.dockerList : MEDIA.ociIndex;
  return {
    ...rest,
    schemaVersion: 2,
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    manifests,
    ...(subject === undefined ? {} : { subject }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

// ---- changes ----

/**
 * Makes an index of a document, or of the bytes that are a blob already. Everything that its entries consist of is held by
 * this session. Throws `exists` when a name is taken, unless `replace`.
 */
export function createIndex(
  store: StoreFiles,
  index: ImageIndex | Digest,
  instances: StoredInstance[],
  names: string[],
  replace = false,
): IndexRecord {
  const digest =
    typeof index === "string"
      ? index
      : storeBytes(store, Buffer.from(JSON.stringify(indexDocument(index)))).digest;
  const record: IndexRecord = { id: randomContainerId(), manifest: digest, created: Date.now() };
  store.db
    .transaction(() => {
      for (const name of names) {
        if (!replace && findName(store.db, name) !== undefined) throw nameTaken(name);
      }
      store.db.query("INSERT INTO indexes VALUES (?, ?, ?)").run(record.id, digest, record.created);
      addInstances(store.db, record.id, instances);
      addUses(store.db, `index:${record.id}`, thingsOfIndex(store, record));
      for (const name of names) setName(store.db, name, record.id);
    })
    .immediate();
  return record;
}

/** The index of a document: one that is there already, or a new one. The names become its names, whoever had them. */
export function obtainIndex(
  store: StoreFiles,
  index: ImageIndex,
  instances: StoredInstance[],
  names: string[],
): IndexRecord {
  const { digest } = storeBytes(store, Buffer.from(JSON.stringify(indexDocument(index))));
  const known = findIndexByManifest(store.db, digest);
  if (known === undefined) return createIndex(store, digest, instances, names, true);
  const name = store.db.transaction(() => {
    if (!holdIndex(store, known.id)) return false;
    for (const one of names) setName(store.db, one, known.id);
    return true;
  });
  return name.immediate() ? known : createIndex(store, digest, instances, names, true);
}

function nameTaken(name: string): CooperError {
  return new CooperError("exists", `The name ${name} is taken already`, {
    hint: "use --amend to add to a list that exists, or --replace",
  });
}

/**
 * Changes an index by a function that may be called again, when somebody else changed it meanwhile. New entries must be
 * held by this session; what those that are gone consisted of is deleted, unless somebody uses it.
 */
export function changeIndex(
  store: StoreFiles,
  id: string,
  change: (index: ImageIndex) => ImageIndex,
  added: StoredInstance[] = [],
): IndexRecord {
  for (;;) {
    const before = findIndex(store.db, id);
    if (before === undefined)
      throw new CooperError("not-found", `The list ${id.slice(0, 12)} was removed by another process`);
    const document = indexDocument(change(readIndex(store, before)));
    const { digest } = storeBytes(store, Buffer.from(JSON.stringify(document)));
    const dropped = replaceManifest(store, before, digest, added);
    if (dropped === undefined) continue;
    deleteUnused(store, dropped);
    return { ...before, manifest: digest };
  }
}

/** Things that the index may not need any more; undefined when it is not what it was. */
function replaceManifest(
  store: StoreFiles,
  before: IndexRecord,
  manifest: Digest,
  added: StoredInstance[],
): string[] | undefined {
  const { db } = store;
  return db
    .transaction(() => {
      const { changes } = db
        .query("UPDATE indexes SET manifest = ? WHERE id = ? AND manifest = ?")
        .run(manifest, before.id, before.manifest);
      if (changes === 0) return undefined;
      addInstances(db, before.id, added);
      const dropped = dropUses(db, `index:${before.id}`);
      const things = thingsOfIndex(store, { ...before, manifest });
      addUses(db, `index:${before.id}`, things);
      forgetInstances(db, before.id, things);
      return dropped;
    })
    .immediate();
}

function addInstances(db: Database, indexId: string, instances: StoredInstance[]): void {
  const add = db.query("INSERT OR REPLACE INTO instance_layers VALUES (?, ?, ?, ?, ?)");
  for (const { manifest, layers } of instances) {
    for (const [position, layer] of layers.entries())
      add.run(indexId, manifest, position, layer.stack.join(","), layer.diffId);
  }
}

/** Forgets the layers of entries that are gone: an entry of that digest that comes again may have others. */
function forgetInstances(db: Database, indexId: string, things: ReadonlySet<string>): void {
  for (const { manifest } of storedInstances(db, indexId)) {
    if (things.has(manifest)) continue;
    db.query("DELETE FROM instance_layers WHERE index_id = ? AND manifest = ?").run(indexId, manifest);
  }
}

/** Removes a name of an index, or the index with its last one or when given by id; undefined where the text means none. */
export function removeIndexByText(store: StoreFiles, text: string): Removal | undefined {
  void store.session;
  let unused: string[] = [];
  const remove = store.db.transaction((): Removal | undefined => {
    const list = findIndexByText(store, text);
    if (list === undefined) return undefined;
    const names = namesOf(store.db, list.id);
    const byName = nameAmong(names, text);
    if (byName !== undefined && names.length > 1) {
      deleteName(store.db, byName);
      return { untagged: [byName], deleted: [] };
    }
    unused = deleteIndexRecord(store.db, list.id);
    return { untagged: names, deleted: [list.id] };
  });
  const removal = remove.immediate();
  deleteUnused(store, unused);
  return removal;
}

/** Removes an index with its names; the images of the store that it lists stay. */
export function deleteIndex(store: StoreFiles, id: string): void {
  const things = store.db.transaction(() => deleteIndexRecord(store.db, id)).immediate();
  deleteUnused(store, things);
}

/** Forgets an index, within a transaction; returns what it consisted of. */
export function deleteIndexRecord(db: Database, id: string): string[] {
  deleteNames(db, id);
  db.query("DELETE FROM instance_layers WHERE index_id = ?").run(id);
  db.query("DELETE FROM indexes WHERE id = ?").run(id);
  return dropUses(db, `index:${id}`);
}

/** Marks an index and all that it consists of as needed by this process. False when it is gone. */
export function holdIndex(store: StoreFiles, id: string): boolean {
  const user = `session:${store.session.id}` as const;
  return store.db
    .transaction(() => {
      const things = usesOf(store.db, `index:${id}`);
      addUses(store.db, user, things);
      return things.length > 0;
    })
    .immediate();
}

function thingsOfIndex(store: StoreFiles, record: IndexRecord): Set<string> {
  const things = new Set<string>();
  const root = { mediaType: MEDIA.ociIndex, digest: record.manifest, size: 0 };
  collectThings(store, record.id, readIndex(store, record).mediaType, root, things, 0);
  return things;
}

function collectThings(
  store: StoreFiles,
  indexId: string,
  mediaType: string | undefined,
  { digest }: Descriptor,
  things: Set<string>,
  depth: number,
): void {
  if (things.has(digest) || !hasBlobRecord(store.db, digest)) return;
  things.add(digest);
  const root = parseManifestOrIndex(readBlob(store.root, digest), `manifest ${digest}`, mediaType);
  if (root.kind === "index") {
    if (depth > MAX_DEPTH) throw new CooperError("invalid", `${digest} has indexes within indexes, too deep`);
    for (const entry of root.index.manifests)
      collectThings(store, indexId, entry.mediaType, entry, things, depth + 1);
    return;
  }
  for (const blob of [root.manifest.config, ...root.manifest.layers])
    if (hasBlobRecord(store.db, blob.digest)) things.add(blob.digest);
  for (const layer of instanceLayers(store.db, indexId, digest))
    for (const snapshot of layer.stack) things.add(snapshot);
}

/** Whether an entry of an index is an index itself. */
export function isNested(entry: Descriptor): boolean {
  return isIndexType(entry.mediaType);
}
