/** `oci:path[:name]`: a directory in the OCI image layout (image-layout.md). */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Digest, digestHex } from "../base/digest.ts";
import { CooperError, errnoOf } from "../base/errors.ts";
import { flock, LOCK } from "../base/file-calls.ts";
import { MAX_DOCUMENT_BYTES, parseIndex, parseLayoutFile } from "../oci/schema.ts";
import { formatTransport, type ImageSelector } from "../oci/transport-reference.ts";
import type { Descriptor, ImageIndex } from "../oci/types.ts";
import {
  fileError,
  openBlobFile,
  removeStaleFiles,
  replaceFile,
  sizeOf,
  syncDirectory,
  writeBlobFile,
} from "./blob-file.ts";
import { EMPTY_INDEX, LAYOUT_FILE, putImage, selectImage } from "./layout-index.ts";
import { putReferrers, referrersIn } from "./layout-referrers.ts";
import { requireReferences } from "./references-of.ts";
import type { BlobRef, Source, Target } from "./types.ts";
import { verifyBytes } from "./verified-stream.ts";

function blobPath(directory: string, digest: Digest): string {
  return join(directory, "blobs/sha256", digestHex(digest));
}

/** A small file of a layout, not larger than a document may be. Throws `not-found`, `invalid`. */
export function readSmallFile(path: string, what: string): Uint8Array {
  const size = sizeOf(path);
  if (size === undefined) throw new CooperError("not-found", `Cannot open ${what}: ${path} is not a file`);
  if (size > MAX_DOCUMENT_BYTES) {
    throw new CooperError(
      "invalid",
      `${path} has ${size} bytes, more than the ${MAX_DOCUMENT_BYTES} allowed for a document`,
    );
  }
  try {
    return readFileSync(path);
  } catch (error) {
    throw fileError(`Cannot open ${what}`, path, error);
  }
}

function readIndex(directory: string, what: string): ImageIndex {
  return parseIndex(readSmallFile(join(directory, "index.json"), what), `index.json of ${what}`);
}

function requireLayout(directory: string, what: string): void {
  if (sizeOf(join(directory, "oci-layout")) === undefined) {
    const stat = statSync(directory, { throwIfNoEntry: false });
    if (stat === undefined)
      throw new CooperError("not-found", `Cannot open ${what}: ${directory} does not exist`);
    throw new CooperError(
      "invalid",
      `Cannot open ${what}: ${directory} is not an OCI layout, it has no file oci-layout`,
    );
  }
  parseLayoutFile(readSmallFile(join(directory, "oci-layout"), what), `oci-layout of ${what}`);
}

/** Reads an image of a layout. Nothing is opened before resolve() or fetch(). */
export function openOciLayoutSource(path: string, selector: ImageSelector = {}): Source {
  const directory = resolve(path);
  const name = formatTransport({ transport: "oci", path, ...selector });
  return {
    name,
    async resolve() {
      requireLayout(directory, name);
      return selectImage(readIndex(directory, name), selector, name);
    },
    async fetch(descriptor) {
      return openBlobFile(blobPath(directory, descriptor.digest), `${descriptor.digest} of ${name}`);
    },
    async referrers(subject) {
      const index = readIndex(directory, name);
      const read = (descriptor: Descriptor) => readSmallFile(blobPath(directory, descriptor.digest), name);
      return referrersIn(index, subject, read, name);
    },
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * Writes an image into a layout, which is made if need be; other images in it stay. Several processes may write to one
 * layout: blobs appear whole, and index.json changes under a lock on the directory. When the layout is new and no
 * image gets its name, dispose removes what was written.
 */
export function openOciLayoutTarget(path: string, selector: ImageSelector = {}): Target {
  return new OciLayoutTarget(path, selector);
}

class OciLayoutTarget implements Target {
  readonly name: string;
  readonly demands = { usualFormat: "oci" } as const;
  readonly #directory: string;
  readonly #reference: string | undefined;
  /** Blobs that this target wrote, until the image has its name. */
  #written: string[] = [];
  #madeDirectory: string | undefined;
  #prepared = false;
  readonly #referrers = new Map<Digest, Descriptor[]>();

  constructor(path: string, selector: ImageSelector) {
    this.name = formatTransport({ transport: "oci", path, ...selector });
    if (selector.index !== undefined) {
      throw new CooperError(
        "usage",
        `Cannot write to ${this.name}: @${selector.index} chooses among images that are there`,
      );
    }
    this.#directory = resolve(path);
    this.#reference = selector.reference;
  }

  /** Makes the directories; refuses one that holds other things. */
  #prepare(): void {
    if (this.#prepared) return;
    try {
      // Looked at first: another writer, who makes a layout of the directory meanwhile, puts oci-layout in before the rest.
      const others = listing(this.#directory).filter(
        (name) => name !== "blobs" && !name.startsWith(".cooper-"),
      );
      if (sizeOf(join(this.#directory, "oci-layout")) !== undefined)
        requireLayout(this.#directory, this.name);
      else if (others.length > 0) {
        throw new CooperError(
          "exists",
          `Cannot write to ${this.name}: ${this.#directory} is not empty and not an OCI layout`,
        );
      }
      this.#madeDirectory = mkdirSync(this.#directory, { recursive: true });
      mkdirSync(join(this.#directory, "blobs/sha256"), { recursive: true });
    } catch (error) {
      if (error instanceof CooperError) throw error;
      throw fileError(`Cannot write to ${this.name}`, this.#directory, error);
    }
    this.#prepared = true;
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    return sizeOf(blobPath(this.#directory, descriptor.digest)) === descriptor.size;
  }

  async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef): Promise<BlobRef> {
    this.#prepare();
    return await writeBlobFile(this.#directory, content, expected, (blob) => {
      const path = blobPath(this.#directory, blob.digest);
      if (sizeOf(path) === undefined) this.#written.push(path);
      return path;
    });
  }

  async pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    verifyBytes(bytes, descriptor, this.name);
    await requireReferences(descriptor, bytes, this.name, (reference) => this.exists(reference));
    await this.push(oneChunk(bytes), descriptor);
  }

  attach(subject: Digest, referrer: Descriptor): void {
    this.#referrers.set(subject, [...(this.#referrers.get(subject) ?? []), referrer]);
  }

  async tag(root: Descriptor): Promise<void> {
    this.#prepare();
    if (!(await this.exists(root)))
      throw new CooperError("not-found", `Cannot name ${root.digest} in ${this.name}: it is not there`);
    // Nothing here waits, so that two targets of one process cannot wait for each other's lock.
    const lock = openSync(this.#directory, "r");
    try {
      flock(lock, LOCK.EXCLUSIVE);
      syncDirectory(join(this.#directory, "blobs/sha256"));
      const indexPath = join(this.#directory, "index.json");
      const index = sizeOf(indexPath) === undefined ? EMPTY_INDEX : readIndex(this.#directory, this.name);
      if (sizeOf(join(this.#directory, "oci-layout")) === undefined) {
        replaceFile(join(this.#directory, "oci-layout"), LAYOUT_FILE);
      }
      replaceFile(indexPath, JSON.stringify(this.#withReferrers(putImage(index, root, this.#reference))));
      removeStaleFiles(this.#directory);
    } finally {
      closeSync(lock);
    }
    this.#written = [];
    this.#madeDirectory = undefined;
  }

  #withReferrers(index: ImageIndex): ImageIndex {
    const path = ({ digest }: Descriptor) => blobPath(this.#directory, digest);
    return putReferrers(index, this.#referrers, {
      read: (entry) => readSmallFile(path(entry), this.name),
      write: (entry, bytes) => replaceFile(path(entry), bytes),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // In a layout that has images already, another writer may count on a blob that it saw.
    if (sizeOf(join(this.#directory, "index.json")) !== undefined) return;
    for (const path of this.#written) rmSync(path, { force: true });
    if (this.#madeDirectory !== undefined) removeEmpty(this.#directory, this.#madeDirectory);
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Removes the directories that were made, from the layout's up to the first one, as far as they are empty. */
function removeEmpty(directory: string, first: string): void {
  const made = ["blobs/sha256", "blobs", "."].map((name) => join(directory, name));
  for (let path = directory; path !== first && path.startsWith(first); ) {
    path = dirname(path);
    made.push(path);
  }
  try {
    for (const path of made) rmdirSync(path);
  } catch {
    // Somebody else put something there.
  }
}
