/** How much of the disk things of the store take: allocated bytes, as du(1) counts them. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { errnoOf } from "../base/errors.ts";
import { fsPath, readNames } from "../base/path-bytes.ts";
import { blobPath } from "./blobs.ts";
import type { StoreFiles } from "./store.ts";

const BLOCK = 512;

/** Bytes below a path, itself included; 0 when it is not there. Files with several names below it count once. */
export function diskBytes(path: string): number {
  const seen = new Set<string>();
  let total = 0;
  const visit = (current: string) => {
    const stat = quietStat(current);
    if (stat === undefined) return;
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const inode = `${stat.dev}:${stat.ino}`;
      if (seen.has(inode)) return;
      seen.add(inode);
    }
    total += Number(stat.blocks) * BLOCK;
    // A file system that is mounted here is not the store's.
    if (stat.isDirectory() && stat.dev === device)
      for (const name of namesIn(current)) visit(`${current}/${name}`);
  };
  const device = quietStat(path)?.dev;
  visit(path);
  return total;
}

function quietStat(path: string) {
  try {
    return lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Names in a directory that others may be deleting; a mount point of mode 000 shows none. */
function namesIn(directory: string): string[] {
  try {
    return readNames(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "EACCES") return [];
    throw error;
  }
}

/** Bytes of a snapshot (by id) or a blob (by digest). */
export function thingBytes(store: StoreFiles, thing: string): number {
  return diskBytes(
    thing.startsWith("sha256:") ? blobPath(store.root, thing as Digest) : join(store.root, "layers", thing),
  );
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
