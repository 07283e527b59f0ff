/** `dir:path`: the flat directory of containers/image: manifest.json, blobs named by their hexadecimal digests. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Digest, digestHex, digestOf } from "../base/digest.ts";
import { CooperError, errnoOf } from "../base/errors.ts";
import { parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor } from "../oci/types.ts";
import { fileError, openBlobFile, replaceFile, sizeOf, writeBlobFile } from "./blob-file.ts";
import { readSmallFile } from "./oci-layout.ts";
import { referencesOf, requireReferences } from "./references-of.ts";
import type { BlobRef, Source, Target } from "./types.ts";
import { verifyBytes } from "./verified-stream.ts";

const VERSION = "Directory Transport Version: 1.1\n";

/** Manifests below an index have names of their own. */
function manifestFile(digest: Digest): string {
  return `${digestHex(digest)}.manifest.json`;
}

/** Reads the image of a directory. */
export function openDirSource(path: string): Source {
  const name = `dir:${path}`;
  const directory = resolve(path);
  let root: Descriptor | undefined;
  return {
    name,
    async resolve() {
      const bytes = readSmallFile(join(directory, "manifest.json"), name);
      const { mediaType } = parseManifestOrIndex(bytes, `manifest.json of ${name}`);
      root = { mediaType, digest: digestOf(bytes), size: bytes.length };
      return root;
    },
    async fetch(descriptor) {
      const hex = digestHex(descriptor.digest);
      const names = [hex, manifestFile(descriptor.digest)];
      if (descriptor.digest === root?.digest) names.unshift("manifest.json");
      const file = names.find((candidate) => sizeOf(join(directory, candidate)) !== undefined) ?? hex;
      return openBlobFile(join(directory, file), `${descriptor.digest} of ${name}`);
    },
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * Writes an image into a directory, which is made if need be. One that holds an image gets the new one instead of it;
 * one that holds other things is refused.
 */
export function openDirTarget(path: string): Target {
  return new DirTarget(path);
}

class DirTarget implements Target {
  readonly name: string;
  readonly demands = { allLayers: true };
  readonly #directory: string;
  readonly #manifests = new Map<Digest, { descriptor: Descriptor; bytes: Uint8Array }>();
  readonly #written: string[] = [];
  #prepared = false;
  /** Nothing was there before. */
  #isNew = false;
  #madeDirectory = false;

  constructor(path: string) {
    this.name = `dir:${path}`;
    this.#directory = resolve(path);
  }

  #prepare(): void {
    if (this.#prepared) return;
    try {
      const there = listing(this.#directory);
      if (there.length > 0 && !isImageDirectory(this.#directory)) {
        throw new CooperError(
          "exists",
          `Cannot write to ${this.name}: ${this.#directory} is not empty and holds no image`,
        );
      }
      this.#isNew = there.length === 0;
      this.#madeDirectory = mkdirSync(this.#directory, { recursive: true }) !== undefined;
      replaceFile(join(this.#directory, "version"), VERSION);
    } catch (error) {
      if (error instanceof CooperError) throw error;
      throw fileError(`Cannot write to ${this.name}`, this.#directory, error);
    }
    this.#prepared = true;
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    return sizeOf(join(this.#directory, digestHex(descriptor.digest))) === descriptor.size;
  }

  async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef): Promise<BlobRef> {
    this.#prepare();
    return await writeBlobFile(this.#directory, content, expected, (blob) => {
      const path = join(this.#directory, digestHex(blob.digest));
      if (sizeOf(path) === undefined) this.#written.push(path);
      return path;
    });
  }

  async pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    verifyBytes(bytes, descriptor, this.name);
    await requireReferences(
      descriptor,
      bytes,
      this.name,
      async (reference) => this.#manifests.has(reference.digest) || (await this.exists(reference)),
    );
    this.#manifests.set(descriptor.digest, { descriptor, bytes });
  }

  async tag(root: Descriptor): Promise<void> {
    this.#prepare();
    const manifest = this.#manifests.get(root.digest);
    if (manifest === undefined)
      throw new CooperError("not-found", `Cannot name ${root.digest} in ${this.name}: it is not there`);
    const kept = new Set(["version", "manifest.json"]);
    for (const { descriptor, bytes } of this.#manifests.values()) {
      if (descriptor.digest !== root.digest) {
        replaceFile(join(this.#directory, manifestFile(descriptor.digest)), bytes);
        kept.add(manifestFile(descriptor.digest));
      }
      for (const reference of referencesOf(descriptor, bytes, this.name))
        kept.add(digestHex(reference.digest));
    }
    replaceFile(join(this.#directory, "manifest.json"), manifest.bytes);
    this.#written.length = 0;
    this.#isNew = false;
    // What is left of an image that was here before.
    for (const entry of listing(this.#directory)) {
      if (!kept.has(entry) && /^([0-9a-f]{64}(\.manifest\.json)?|signature-\d+)$/.test(entry)) {
        rmSync(join(this.#directory, entry), { force: true });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#written) rmSync(path, { force: true });
    if (!this.#isNew) return;
    rmSync(join(this.#directory, "version"), { force: true });
    if (this.#madeDirectory && listing(this.#directory).length === 0) rmdirSync(this.#directory);
  }
}

function isImageDirectory(directory: string): boolean {
  const path = join(directory, "version");
  const size = sizeOf(path);
  return (
    size !== undefined &&
    size < 1000 &&
    readFileSync(path, "utf8").startsWith("Directory Transport Version: 1.")
  );
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
