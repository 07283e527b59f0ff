/** How much of the disk things of the store take: allocated bytes, as du(1) counts them. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { errnoOf } from "../base/errors.ts";
import { readNames, statusOf } from "../base/path-bytes.ts";
import { blobPath } from "./blobs.ts";
import type { StoreFiles } from "./store.ts";

const BLOCK = 512;

/** Bytes below a path, itself included; 0 when it is not there. Files with several names below it count once. */
export function diskBytes(path: string): number {
  return measure(path).bytes;
}

/** The same, and whether all of it could be read. */
function measure(path: string): { bytes: number; complete: boolean } {
  const seen = new Set<string>();
  let complete = true;
  let total = 0;
  const visit = (current: string) => {
    const stat = statusOf(current);
    if (stat === undefined) return;
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const inode = `${stat.dev}:${stat.ino}`;
      if (seen.has(inode)) return;
      seen.add(inode);
    }
    total += Number(stat.blocks) * BLOCK;
    // A file system that is mounted here is not the store's.
    if (!stat.isDirectory() || stat.dev !== device) return;
    const names = namesIn(current);
    complete &&= names !== undefined;
    for (const name of names ?? []) visit(`${current}/${name}`);
  };
  const device = statusOf(path)?.dev;
  visit(path);
  return { bytes: total, complete };
}

/** Names in a directory that others may be deleting; undefined where they may not be seen, as of a mount point of mode 000. */
function namesIn(directory: string): string[] | undefined {
  try {
    return readNames(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    if (errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}

/** Bytes of a snapshot (by id) or a blob (by digest). */
export function thingBytes(store: StoreFiles, thing: string): number {
  if (thing.startsWith("sha256:")) return diskBytes(blobPath(store.root, thing as Digest));
  return snapshotBytes(store, thing);
}

/** What never changes is measured once. */
function snapshotBytes(store: StoreFiles, id: string): number {
  const row = store.db.query("SELECT bytes FROM snapshots WHERE id = ?").get(id);
  const known = (row as { bytes: number | null } | null)?.bytes ?? undefined;
  if (known !== undefined) return known;
  const { bytes, complete } = measure(join(store.root, "layers", id));
  if (complete) noteBytes(store, id, bytes);
  return bytes;
}

/** A full disk, on which nothing can be noted, is what this is asked about. */
function noteBytes({ db }: StoreFiles, id: string, bytes: number): void {
  try {
    db.query("UPDATE snapshots SET bytes = ? WHERE id = ?").run(bytes, id);
  } catch {
    // It will be measured again.
  }
}

/** Every snapshot and blob with who uses it: `image:ID`, `container:ID`, `cache:KEY` and so on. */
export function usersOfThings(store: StoreFiles): Map<string, string[]> {
  const users = new Map<string, string[]>();
  const things = store.db
    .query("SELECT id AS thing FROM snapshots UNION ALL SELECT digest FROM blobs")
    .all() as {
    thing: string;
  }[];
  for (const { thing } of things) users.set(thing, []);
  const uses = store.db.query("SELECT thing, user FROM uses").all() as { thing: string; user: string }[];
  for (const { thing, user } of uses) users.get(thing)?.push(user);
  return users;
}

/** Directories that RUN --mount=type=cache keeps, by name. */
export function cacheMounts(store: StoreFiles): string[] {
  return directoriesIn(join(store.root, "cache-mounts"));
}

/** File beside a cache mount that says what of it was exported to another machine, or came from one. */
export function exportedNote(store: StoreFiles, name: string): string {
  return join(store.root, "cache-mounts", `${name}.exported.json`);
}

/** Names of the directories in a directory that may not be there. */
function directoriesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
