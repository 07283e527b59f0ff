/**
 * `docker-archive:path[:name]`: the format of docker-save(1): manifest.json names a config and its layers, as files of
 * the tar, for each image (Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format").
 */
import * as v from "valibot";
import { detectCompression } from "../archive/compression.ts";
import { type Digest, Digester, digestHex, digestOf, isDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { layerMediaType, MEDIA } from "../oci/media-types.ts";
import { normaliseDockerName } from "../oci/reference.ts";
import { parseImageConfig, parseManifest, readJson } from "../oci/schema.ts";
import { formatTransport, type ImageSelector } from "../oci/transport-reference.ts";
import type { Descriptor, Manifest } from "../oci/types.ts";
import { type ArchiveFile, openArchiveFile } from "./archive-file.ts";
import { REF_NAME } from "./layout-index.ts";
import { TarFile, type TarPlace } from "./tar-file.ts";
import type { BlobRef, BlobRole, Source, Target } from "./types.ts";
import { verifyBytes } from "./verified-stream.ts";

const text = v.string();
const listSchema = v.array(
  v.looseObject({
    Config: text,
    RepoTags: v.exactOptional(v.array(text), []),
    Layers: v.exactOptional(v.array(text), []),
  }),
);
type Listed = v.InferOutput<typeof listSchema>[number];

/** Names and contents that one image of an archive has as blobs. */
interface ArchivedImage {
  descriptor: Descriptor;
  documents: Map<Digest, Uint8Array>;
  /** File in the archive of each layer. */
  layers: Map<Digest, string>;
}

/**
 * Reads an image of an archive. There is no manifest in it, so one is made, in Docker's format, of the layers as they
 * are stored: uncompressed ones have their diff_id as digest, compressed ones are hashed first.
 */
export async function openDockerArchiveSource(path: string, selector: ImageSelector = {}): Promise<Source> {
  const name = formatTransport({ transport: "docker-archive", path, ...selector });
  return dockerArchiveSource(await openArchiveFile(path, name), selector, name);
}

/** The same for an archive that is open already, which is closed with the source. */
export function dockerArchiveSource(archive: ArchiveFile, selector: ImageSelector, name: string): Source {
  let image: Promise<ArchivedImage> | undefined;
  const load = () => {
    image ??= loadImage(archive, selector, name);
    return image;
  };
  return {
    name,
    async resolve() {
      return (await load()).descriptor;
    },
    async fetch(descriptor) {
      const { documents, layers } = await load();
      const document = documents.get(descriptor.digest);
      if (document !== undefined) return oneChunk(document);
      const entry = layers.get(descriptor.digest);
      if (entry === undefined)
        throw new CooperError("not-found", `${name} has no content ${descriptor.digest}`);
      return archive.read(entry);
    },
    async [Symbol.asyncDispose]() {
      archive[Symbol.dispose]();
    },
  };
}

/** Images that an archive lists: their names, in the archive's order. */
export async function listDockerArchive(path: string): Promise<string[][]> {
  const name = `docker-archive:${path}`;
  using archive = await openArchiveFile(path, name);
  return (await readList(archive, name)).map((listed) => listed.RepoTags);
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

async function readList(archive: ArchiveFile, name: string): Promise<Listed[]> {
  if (archive.sizeOf("manifest.json") === undefined) {
    const hint =
      archive.sizeOf("oci-layout") !== undefined
        ? "it looks like an OCI archive: write oci-archive: instead"
        : undefined;
    throw new CooperError(
      "invalid",
      `${name} is not an archive of docker save: it has no manifest.json`,
      hint === undefined ? {} : { hint },
    );
  }
  const result = v.safeParse(
    listSchema,
    readJson(await archive.readDocument("manifest.json"), `manifest.json of ${name}`),
  );
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new CooperError(
    "invalid",
    `manifest.json of ${name} is malformed, field "${v.getDotPath(issue) ?? ""}": ${issue.message}`,
  );
}

function select(images: Listed[], selector: ImageSelector, name: string): Listed {
  const names = images.map((image, i) => image.RepoTags[0] ?? `@${i}`);
  const listing = names.slice(0, 10).join(", ") || "none";
  if (selector.index !== undefined) {
    const chosen = images[selector.index];
    if (chosen === undefined)
      throw new CooperError(
        "not-found",
        `${name} has no image @${selector.index}: it holds ${images.length}`,
      );
    return chosen;
  }
  if (selector.reference !== undefined) {
    const wanted = selector.reference;
    const chosen = images.find((image) => image.RepoTags.some((tag) => isName(tag, wanted)));
    if (chosen === undefined)
      throw new CooperError("not-found", `${name} has no such image: it holds ${listing}`);
    return chosen;
  }
  if (images.length === 1) return images[0]!;
  if (images.length === 0) throw new CooperError("not-found", `${name} holds no image`);
  throw new CooperError("usage", `${name} holds ${images.length} images and it was not said which is meant`, {
    hint: `append one of ${names
      .slice(0, 10)
      .map((n) => `:${n}`)
      .join(", ")}`,
  });
}

function isName(tag: string, wanted: string): boolean {
  try {
    return normaliseDockerName(tag) === wanted;
  } catch {
    return false;
  }
}

async function loadImage(
  archive: ArchiveFile,
  selector: ImageSelector,
  name: string,
): Promise<ArchivedImage> {
  const listed = select(await readList(archive, name), selector, name);
  const configBytes = await archive.readDocument(listed.Config);
  const config = parseImageConfig(configBytes, `${listed.Config} of ${name}`);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== listed.Layers.length) {
    throw new CooperError(
      "invalid",
      `${name} lists ${listed.Layers.length} layers, but the image's config has ${diffIds.length}`,
    );
  }
  const layers = new Map<Digest, string>();
  const descriptors: Descriptor[] = [];
  for (const [i, entry] of listed.Layers.entries()) {
    const descriptor = await describeLayer(archive, entry, diffIds[i]!);
    layers.set(descriptor.digest, entry);
    descriptors.push(descriptor);
  }
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.dockerManifest,
    config: { mediaType: MEDIA.dockerConfig, digest: digestOf(configBytes), size: configBytes.length },
    layers: descriptors,
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const descriptor: Descriptor = {
    mediaType: MEDIA.dockerManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    ...(listed.RepoTags[0] === undefined ? {} : { annotations: { [REF_NAME]: listed.RepoTags[0] } }),
  };
  return {
    descriptor,
    documents: new Map([
      [descriptor.digest, bytes],
      [manifest.config.digest, configBytes],
    ]),
    layers,
  };
}

async function describeLayer(archive: ArchiveFile, entry: string, diffId: Digest): Promise<Descriptor> {
  const compression = detectCompression(archive.peek(entry, 16));
  const size = archive.sizeOf(entry)!;
  if (compression === "none") return { mediaType: layerMediaType("docker", "none"), digest: diffId, size };
  if (compression !== "gzip" && compression !== "zstd") {
    throw new CooperError("unsupported", `Layer ${entry} of the archive is compressed with ${compression}`);
  }
  // Recent docker save names files by their digests; copying verifies that.
  const named = `sha256:${/^blobs\/sha256\/([0-9a-f]{64})$/.exec(entry)?.[1] ?? ""}`;
  const digest = isDigest(named) ? named : await hash(archive.read(entry));
  return { mediaType: layerMediaType("docker", compression), digest, size };
}

async function hash(content: AsyncIterable<Uint8Array>): Promise<Digest> {
  const digester = new Digester();
  for await (const chunk of content) digester.update(chunk);
  return digester.digest();
}

// ---- writing ----

/**
 * Writes one image to a new archive, which takes the place of a file with that name at tag(). Layers are uncompressed
 * and named by their digests, as skopeo does; Docker, Podman and skopeo read it. Further names may be given.
 */
export function openDockerArchiveTarget(
  path: string,
  selector: ImageSelector = {},
  moreNames: string[] = [],
): Target {
  const name = formatTransport({ transport: "docker-archive", path, ...selector });
  if (selector.index !== undefined) {
    throw new CooperError(
      "usage",
      `Cannot write to ${name}: @${selector.index} chooses among images that are there`,
    );
  }
  const archive = new DockerArchiveSet(path, name);
  const names = [...(selector.reference === undefined ? [] : [selector.reference]), ...moreNames];
  return archive.target(names, true);
}

/** An archive of several images that share their layers; it appears under its name with finish(). */
export class DockerArchiveSet implements AsyncDisposable {
  readonly name: string;
  readonly #place: TarPlace;
  readonly #listed: { Config: string; RepoTags: string[] | null; Layers: string[] }[] = [];
  #file: TarFile | undefined;

  constructor(place: TarPlace, name = `docker-archive:${place}`) {
    this.#place = place;
    this.name = name;
  }

  /** Where the next image goes, with its names; one after the other. */
  target(repoTags: string[], isLast = false): Target {
    return new DockerArchiveTarget(this, repoTags, isLast);
  }

  has(entry: string): boolean {
    return this.#file?.has(entry) ?? false;
  }

  open(): TarFile {
    this.#file ??= new TarFile(this.#place, this.name);
    return this.#file;
  }

  list(image: { Config: string; RepoTags: string[] | null; Layers: string[] }): void {
    const same = this.#listed.find(({ Config }) => Config === image.Config);
    if (same === undefined) this.#listed.push(image);
    else same.RepoTags = [...new Set([...(same.RepoTags ?? []), ...(image.RepoTags ?? [])])];
  }

  async finish(): Promise<void> {
    this.open().addBytes("manifest.json", JSON.stringify(this.#listed));
    await this.open().finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file?.[Symbol.dispose]();
  }
}

class DockerArchiveTarget implements Target {
  readonly name: string;
  readonly demands = {
    format: "docker",
    compression: "none",
    single: true,
    sequential: true,
    allLayers: true,
  } as const;
  readonly #archive: DockerArchiveSet;
  readonly #repoTags: string[];
  /** The archive is complete with this image, and goes with this target when it is not. */
  readonly #isLast: boolean;
  readonly #manifests = new Map<Digest, Manifest>();

  constructor(archive: DockerArchiveSet, repoTags: string[], isLast: boolean) {
    this.name = archive.name;
    this.#archive = archive;
    this.#repoTags = repoTags;
    this.#isLast = isLast;
  }

  async exists(descriptor: Descriptor, role?: BlobRole): Promise<boolean> {
    const nameOf = role?.kind === "config" ? configEntry : layerEntry;
    return this.#archive.has(nameOf(descriptor.digest));
  }

  async push(content: AsyncIterable<Uint8Array>, expected?: BlobRef, role?: BlobRole): Promise<BlobRef> {
    const nameOf = role?.kind === "config" ? configEntry : layerEntry;
    return await this.#archive.open().addStream(content, expected, (blob) => nameOf(blob.digest));
  }

  async pushManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    verifyBytes(bytes, descriptor, this.name);
    const manifest = parseManifest(bytes, `Manifest ${descriptor.digest}`);
    for (const entry of [
      configEntry(manifest.config.digest),
      ...manifest.layers.map((layer) => layerEntry(layer.digest)),
    ]) {
      if (this.#archive.has(entry)) continue;
      throw new CooperError(
        "not-found",
        `Cannot write manifest ${descriptor.digest} to ${this.name}: ${entry}, which it needs, is not there`,
      );
    }
    this.#manifests.set(descriptor.digest, manifest);
  }

  async tag(root: Descriptor): Promise<void> {
    const manifest = this.#manifests.get(root.digest);
    if (manifest === undefined)
      throw new CooperError("not-found", `Cannot name ${root.digest} in ${this.name}: it is not there`);
    this.#archive.list({
      Config: configEntry(manifest.config.digest),
      RepoTags: this.#repoTags.length === 0 ? null : this.#repoTags,
      Layers: manifest.layers.map((layer) => layerEntry(layer.digest)),
    });
    if (this.#isLast) await this.#archive.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isLast) await this.#archive[Symbol.asyncDispose]();
  }
}

function layerEntry(digest: Digest): string {
  return `${digestHex(digest)}.tar`;
}

function configEntry(digest: Digest): string {
  return `${digestHex(digest)}.json`;
}
