/** Working containers in the database. */
import { CooperError } from "../base/errors.ts";
import type { Database } from "./database.ts";

/** A working container; `state` belongs to floor 4. */
export interface ContainerRecord {
  id: string;
  name: string;
  imageId: string | undefined;
  /** Milliseconds since 1970. */
  created: number;
  /** JSON. */
  state: string;
}

const CONTAINER = "SELECT id, name, image_id AS imageId, created, state FROM containers";

function container(row: unknown): ContainerRecord | undefined {
  if (row === null || row === undefined) return undefined;
  const record = row as Omit<ContainerRecord, "imageId"> & { imageId: string | null };
  return { ...record, imageId: record.imageId ?? undefined };
}

/** Throws `exists` when the name is taken. */
export function addContainer(db: Database, record: ContainerRecord): void {
  const { changes } = db
    .query("INSERT OR IGNORE INTO containers VALUES (?, ?, ?, ?, ?)")
    .run(record.id, record.name, record.imageId ?? null, record.created, record.state);
  if (changes === 0) {
    throw new CooperError("exists", `A container named "${record.name}" exists already`, {
      hint: `remove it with: cooper rm ${record.name}`,
    });
  }
}

export function saveContainerState(db: Database, id: string, state: string): void {
  db.query("UPDATE containers SET state = ? WHERE id = ?").run(state, id);
}

/** Throws `exists` when the name is taken. */
export function renameContainer(db: Database, id: string, name: string): void {
  const { changes } = db.query("UPDATE OR IGNORE containers SET name = ? WHERE id = ?").run(name, id);
  if (changes === 0) throw new CooperError("exists", `A container named "${name}" exists already`);
}

export function findContainer(db: Database, id: string): ContainerRecord | undefined {
  return container(db.query(`${CONTAINER} WHERE id = ?`).get(id));
}

export function findContainerByName(db: Database, name: string): ContainerRecord | undefined {
  return container(db.query(`${CONTAINER} WHERE name = ?`).get(name));
}

/** `stem`, or `stem-N` with the smallest N that no container has. */
export function freeName(db: Database, stem: string): string {
  const rows = db.query("SELECT name FROM containers WHERE name >= ?1 AND name < ?1 || '.'").all(stem) as {
    name: string;
  }[];
  const taken = new Set(rows.map((row) => row.name));
  for (let number = 0; ; number++) {
    const name = number === 0 ? stem : `${stem}-${number}`;
    if (!taken.has(name)) return name;
  }
}

export function findContainersByPrefix(db: Database, prefix: string): ContainerRecord[] {
  return db
    .query(`${CONTAINER} WHERE id >= ? AND id < ? LIMIT 2`)
    .all(prefix, `${prefix}g`)
    .map((row) => container(row)!);
}

export function allContainers(db: Database): ContainerRecord[] {
  return db
    .query(`${CONTAINER} ORDER BY created`)
    .all()
    .map((row) => container(row)!);
}

/** Containers made from an image. */
export function containersOf(db: Database, imageId: string): ContainerRecord[] {
  return db
    .query(`${CONTAINER} WHERE image_id = ?`)
    .all(imageId)
    .map((row) => container(row)!);
}

export function deleteContainer(db: Database, id: string): void {
  db.query("DELETE FROM containers WHERE id = ?").run(id);
}
