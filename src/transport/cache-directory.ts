/**
 * A build cache in a directory, which may be shared by machines: `entries/TAG` are manifests, `blobs/sha256/HEX` what
 * they name. Every file appears whole under its name, by a rename, so that writers and readers need no lock.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { digestHex } from "../base/digest.ts";
import { CooperError, errnoOf } from "../base/errors.ts";
import type { Descriptor } from "../oci/types.ts";
import {
  fileError,
  openBlobFile,
  removeStaleFiles,
  replaceFile,
  sizeOf,
  syncDirectory,
  writeBlobFile,
} from "./blob-file.ts";
import type { CachePlace } from "./cache-place.ts";
import { readSmallFile } from "./oci-layout.ts";

const MARKER = "cooper-cache";
const VERSION = '{"version":1}\n';

/** Opens a directory, which is made by the first write. Writing throws `exists` when it holds other things. */
export function openCacheDirectory(directory: string): CachePlace {
  const entry = (tag: string) => join(directory, "entries", tag);
  const blobs = join(directory, "blobs/sha256");
  let isPrepared = false;
  const prepare = () => {
    if (!isPrepared) prepareDirectory(directory);
    isPrepared = true;
  };
  return {
    name: directory,
    async read(tag) {
      if (sizeOf(join(directory, MARKER)) === undefined) requireDirectory(directory);
      return sizeOf(entry(tag)) === undefined
        ? undefined
        : readSmallFile(entry(tag), `the cache ${directory}`);
    },
    async fetch({ digest }: Descriptor) {
      return openBlobFile(join(blobs, digestHex(digest)), `${digest} of the cache ${directory}`);
    },
    exists: async ({ digest, size }) => sizeOf(join(blobs, digestHex(digest))) === size,
    async push(content, expected) {
      prepare();
      return await writeBlobFile(directory, content, expected, ({ digest }) =>
        join(blobs, digestHex(digest)),
      );
    },
    async write(tag, manifest) {
      prepare();
      syncDirectory(blobs);
      replaceFile(entry(tag), manifest);
    },
  };
}

/** Throws `not-found`, or `invalid` for a directory of something else. */
function requireDirectory(directory: string): void {
  const names = namesIn(directory);
  if (names === undefined)
    throw new CooperError("not-found", `Cannot read the cache ${directory}: it does not exist`);
  if (names.length > 0)
    throw new CooperError("invalid", `Cannot read the cache ${directory}: it holds something else`);
}

function prepareDirectory(directory: string): void {
  const doing = `Cannot write the cache ${directory}`;
  try {
    const names = namesIn(directory) ?? [];
    const isCache = names.includes(MARKER);
    // Another writer may be making it.
    if (
      !isCache &&
      names.some((name) => name !== "blobs" && name !== "entries" && !name.startsWith(".cooper-"))
    )
      throw new CooperError("exists", `${doing}: it is not empty and no cache`);
    mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
    mkdirSync(join(directory, "entries"), { recursive: true });
    if (!isCache) replaceFile(join(directory, MARKER), VERSION);
    removeStaleFiles(directory);
    removeStaleFiles(join(directory, "entries"));
  } catch (error) {
    if (error instanceof CooperError) throw error;
    throw fileError(doing, directory, error);
  }
}

function namesIn(directory: string): string[] | undefined {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw fileError("Cannot open a cache", directory, error);
  }
}
