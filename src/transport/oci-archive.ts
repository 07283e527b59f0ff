/** `oci-archive:path[:name]`: an OCI image layout in a tar file. */
import { type Digest, digestHex } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { parseIndex, parseLayoutFile } from "../oci/schema.ts";
import { formatTransport, type ImageSelector } from "../oci/transport-reference.ts";
import type { Descriptor } from "../oci/types.ts";
import { type ArchiveFile, openArchiveFile } from "./archive-file.ts";
import { EMPTY_INDEX, LAYOUT_FILE, putImage, selectImage } from "./layout-index.ts";
import { requireReferences } from "./references-of.ts";
import { TarFile } from "./tar-file.ts";
import type { BlobRef, Source, Target } from "./types.ts";
import { verifyBytes } from "./verified-stream.ts";

function entryOf(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
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
  let file: TarFile | undefined;
  const open = () => {
    if (file === undefined) {
      file = new TarFile(path, name);
      // skopeo gives the directories of a layout to the archive's owner, and fails on those that have no entry.
      for (const directory of ["blobs", "blobs/sha256"]) file.addDirectory(directory);
    }
    return file;
  };
  const has = (descriptor: Descriptor) => file?.has(entryOf(descriptor.digest)) ?? false;
  return {
    name,
    demands: { sequential: true },
    async exists(descriptor) {
      return has(descriptor);
    },
    async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef) {
      return await open().addStream(content, expected, (blob) => entryOf(blob.digest));
    },
    async pushManifest(descriptor, bytes) {
      verifyBytes(bytes, descriptor, name);
      await requireReferences(descriptor, bytes, name, has);
      if (!has(descriptor)) open().addBytes(entryOf(descriptor.digest), bytes);
    },
    async tag(root) {
      if (!has(root))
        throw new CooperError("not-found", `Cannot name ${root.digest} in ${name}: it is not there`);
      open().addBytes("index.json", JSON.stringify(putImage(EMPTY_INDEX, root, selector.reference)));
      open().addBytes("oci-layout", LAYOUT_FILE);
      await open().finish();
    },
    async [Symbol.asyncDispose]() {
      file?.[Symbol.dispose]();
    },
  };
}
