/** `oci-archive:path[:name]`: an OCI image layout in a tar file. */
import { type Digest, digestHex } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { parseIndex, parseLayoutFile } from "../oci/schema.ts";
import { formatTransport, type ImageSelector } from "../oci/transport-reference.ts";
import type { Descriptor } from "../oci/types.ts";
import { type ArchiveFile, openArchiveFile } from "./archive-file.ts";
import { EMPTY_INDEX, LAYOUT_FILE, putImage, REF_NAME, selectImage } from "./layout-index.ts";
import { putReferrers, referrersIn } from "./layout-referrers.ts";
import { requireReferences } from "./references-of.ts";
import { TarFile } from "./tar-file.ts";
import type { BlobRef, Source, Target } from "./types.ts";
import { verifyBytes } from "./verified-stream.ts";

function entryOf(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

/** Names of the images in an archive, in its order; undefined where one has none. */
export async function listOciArchive(path: string): Promise<(string | undefined)[]> {
  const name = `oci-archive:${path}`;
  using archive = await openArchiveFile(path, name);
  requireLayout(archive, name);
  const index = parseIndex(await archive.readDocument("index.json"), `index.json of ${name}`);
  return index.manifests.map((descriptor) => descriptor.annotations?.[REF_NAME]);
}

/** Reads an image of an archive, without unpacking it. */
export async function openOciArchiveSource(path: string, selector: ImageSelector = {}): Promise<Source> {
  const name = formatTransport({ transport: "oci-archive", path, ...selector });
  const archive = await openArchiveFile(path, name);
  return {
    name,
    async resolve() {
      requireLayout(archive, name);
      parseLayoutFile(await archive.readDocument("oci-layout"), `oci-layout of ${name}`);
      const index = parseIndex(await archive.readDocument("index.json"), `index.json of ${name}`);
      return selectImage(index, selector, name);
    },
    async fetch(descriptor) {
      return archive.read(entryOf(descriptor.digest));
    },
    async referrers(subject) {
      const index = parseIndex(await archive.readDocument("index.json"), `index.json of ${name}`);
      const read = ({ digest }: Descriptor) => archive.readDocument(entryOf(digest));
      return await referrersIn(index, subject, read, name);
    },
    async [Symbol.asyncDispose]() {
      archive[Symbol.dispose]();
    },
  };
}

function requireLayout(archive: ArchiveFile, name: string): void {
  if (archive.sizeOf("oci-layout") !== undefined) return;
  const isDocker = archive.sizeOf("manifest.json") !== undefined;
  throw new CooperError(
    "invalid",
    `${name} is not an OCI archive: it has no file oci-layout`,
    isDocker ? { hint: "it looks like an archive of docker save: write docker-archive: instead" } : {},
  );
}

/**
 * Writes an image to a new archive, which takes the place of a file with that name at tag(). Blobs are written straight
 * into it, in the order in which they come, so that the same image gives the same bytes.
 */
export function openOciArchiveTarget(path: string, selector: ImageSelector = {}): Target {
  const name = formatTransport({ transport: "oci-archive", path, ...selector });
  if (selector.index !== undefined) {
    throw new CooperError(
      "usage",
      `Cannot write to ${name}: @${selector.index} chooses among images that are there`,
    );
  }
  return new OciArchiveSet(path, name).target(selector.reference, true);
}

/** An archive of several images that share their blobs; it appears under its name with finish(). */
export class OciArchiveSet implements AsyncDisposable {
  readonly name: string;
  readonly #path: string;
  #file: TarFile | undefined;
  #index = EMPTY_INDEX;
  readonly #referrers = new Map<Digest, Descriptor[]>();

  constructor(path: string, name = `oci-archive:${path}`) {
    this.#path = path;
    this.name = name;
  }

  #open(): TarFile {
    if (this.#file === undefined) {
      this.#file = new TarFile(this.#path, this.name);
      // skopeo gives the directories of a layout to the archive's owner, and fails on those that have no entry.
      for (const directory of ["blobs", "blobs/sha256"]) this.#file.addDirectory(directory);
    }
    return this.#file;
  }

  /** Where the next image goes, under its name; one after the other. */
  target(reference: string | undefined, isLast = false): Target {
    const has = (descriptor: Descriptor) => this.#file?.has(entryOf(descriptor.digest)) ?? false;
    return {
      name: this.name,
      demands: { usualFormat: "oci", sequential: true },
      exists: async (descriptor) => has(descriptor),
      push: async (content: AsyncIterable<Uint8Array>, expected?: BlobRef) =>
        await this.#open().addStream(content, expected, (blob) => entryOf(blob.digest)),
      pushManifest: async (descriptor, bytes) => {
        verifyBytes(bytes, descriptor, this.name);
        await requireReferences(descriptor, bytes, this.name, has);
        if (!has(descriptor)) this.#open().addBytes(entryOf(descriptor.digest), bytes);
      },
      attach: (subject, referrer) => {
        this.#referrers.set(subject, [...(this.#referrers.get(subject) ?? []), referrer]);
      },
      tag: async (root) => {
        if (!has(root))
          throw new CooperError("not-found", `Cannot name ${root.digest} in ${this.name}: it is not there`);
        this.#index = putImage(this.#index, root, reference);
        if (isLast) await this.finish();
      },
      [Symbol.asyncDispose]: async () => {
        if (isLast) await this[Symbol.asyncDispose]();
      },
    };
  }

  async finish(): Promise<void> {
    this.#index = putReferrers(this.#index, this.#referrers, {
      write: ({ digest }, bytes) => this.#open().addBytes(entryOf(digest), bytes),
    });
    this.#open().addBytes("index.json", JSON.stringify(this.#index));
    this.#open().addBytes("oci-layout", LAYOUT_FILE);
    await this.#open().finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file?.[Symbol.dispose]();
  }
}
