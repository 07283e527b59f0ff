/** Source images: the sources that an image was made of, as layers of an artifact in an OCI layout (buildah-source(1)). */
import { createReadStream, existsSync, rmSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { compress } from "../archive/compress.ts";
import { decompress, detectCompression, isTarArchive } from "../archive/compression.ts";
import { packLayer } from "../archive/pack-layer.ts";
import { NO_XATTRS, paddedSize, type TarEntry } from "../archive/tar-entry.ts";
import { END_OF_ARCHIVE, encodeHeader } from "../archive/tar-writer.ts";
import { type Digest, digestHex, digestOf } from "../base/digest.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { MEDIA } from "../oci/media-types.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { Descriptor, Manifest } from "../oci/types.ts";
import { lockFile } from "../store/locks.ts";
import { copyImage } from "../transport/copy-image.ts";
import { openOciLayoutSource, openOciLayoutTarget } from "../transport/oci-layout.ts";
import { openSource, openTarget } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source, Target } from "../transport/types.ts";
import { lookAt } from "./look-at.ts";

const CONFIG_TYPE = "application/vnd.oci.source.image.config.v1+json";

/** What a source image says of itself. */
export interface SourceConfig {
  /** RFC 3339. */
  created?: string;
  author?: string;
}

/** Makes one without sources at a path. Throws `exists` where something is. */
export async function createSourceImage(path: string, config: SourceConfig): Promise<Digest> {
  const directory = freePath(path);
  await using target = openOciLayoutTarget(directory);
  const bytes = Buffer.from(JSON.stringify(config));
  const blob = await target.push(chunks([bytes]));
  return await writeManifest(target, {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { mediaType: CONFIG_TYPE, ...blob },
    layers: [],
  });
}

/**
 * Adds a file or the content of a directory, as a compressed tar; what is one already stays as it is. Returns the digest
 * of the new manifest.
 */
export async function addToSourceImage(
  path: string,
  artifact: string,
  annotations: Record<string, string>,
): Promise<Digest> {
  const directory = resolve(path);
  await using source = openOciLayoutSource(directory);
  await requireSourceImage(source);
  await using target = openOciLayoutTarget(directory);
  const blob = await target.push(await archiveOf(artifact));
  // Several may add at once: what is added to is what is there when nobody else does.
  using _ = await lockFile(join(directory, "oci-layout"), "exclusive");
  await using current = openOciLayoutSource(directory);
  const { manifest, root } = await requireSourceImage(current);
  const layer: Descriptor = { mediaType: MEDIA.ociLayerGzip, ...blob };
  if (Object.keys(annotations).length > 0) layer.annotations = annotations;
  const digest = await writeManifest(target, { ...manifest, layers: [...manifest.layers, layer] });
  if (digest !== root.digest)
    rmSync(join(directory, "blobs/sha256", digestHex(root.digest)), { force: true });
  return digest;
}

export interface SourceTransfer {
  registry: RegistrySettings;
  onEvent: EventSink | undefined;
  signal: AbortSignal | undefined;
}

/** Sends one to a registry; returns the digest of its manifest there. */
export async function pushSourceImage(path: string, name: string, how: SourceTransfer): Promise<Digest> {
  await using source = openOciLayoutSource(resolve(path));
  await requireSourceImage(source);
  await using target = await openTarget(inRegistry(name), how.registry);
  return await transfer(source, target, "push", how);
}

/** Brings one from a registry to a path. Throws `exists` where something is, `invalid` for what is no source image. */
export async function pullSourceImage(name: string, path: string, how: SourceTransfer): Promise<Digest> {
  const directory = freePath(path);
  await using source = await openSource(inRegistry(name), how.registry);
  await requireSourceImage(source, how.signal);
  await using target = openOciLayoutTarget(directory);
  return await transfer(source, target, "pull", how);
}

async function transfer(
  source: Source,
  target: Target,
  action: "push" | "pull",
  { onEvent, signal }: SourceTransfer,
): Promise<Digest> {
  const { root } = await copyImage(source, target, {
    action,
    ...(onEvent === undefined ? {} : { onEvent }),
    ...(signal === undefined ? {} : { signal }),
  });
  return root.digest;
}

function inRegistry(name: string) {
  const reference = parseTransport(name);
  return reference.transport === "name" ? parseTransport(`docker://${name}`) : reference;
}

function freePath(path: string): string {
  const directory = resolve(path);
  if (!existsSync(directory)) return directory;
  throw new CooperError("exists", `Cannot make a source image in ${directory}: that exists already`);
}

async function requireSourceImage(source: Source, signal?: AbortSignal) {
  const seen = await lookAt(source, undefined, signal);
  if (seen.manifest.config.mediaType === CONFIG_TYPE) return seen;
  throw new CooperError("invalid", `${source.name} is no source image`, {
    hint: `its config would be of the type ${CONFIG_TYPE}`,
  });
}

async function writeManifest(target: Target, manifest: Manifest): Promise<Digest> {
  const bytes = Buffer.from(JSON.stringify(manifest));
  const root: Descriptor = { mediaType: MEDIA.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await target.pushManifest(root, bytes);
  await target.tag(root);
  return root.digest;
}

/** A gzip-compressed tar of the artifact. */
async function archiveOf(artifact: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    const stat = statSync(artifact);
    if (stat.isDirectory())
      return compress(chunks(packLayer({ diffs: [resolve(artifact)], below: [] })), "gzip");
    if (!stat.isFile()) throw new CooperError("unsupported", "it is neither a file nor a directory");
    if (!(await isTarArchive(artifact))) return compress(tarOfFile(artifact), "gzip");
    const archive = createReadStream(artifact);
    if (detectCompression(await Bun.file(artifact).slice(0, 6).bytes()) === "gzip") return archive;
    return compress(decompress(archive, artifact), "gzip");
  } catch (error) {
    throw wrapError(`Cannot add ${artifact}`, error);
  }
}

/** One file, by its own name. */
async function* tarOfFile(path: string): AsyncGenerator<Uint8Array> {
  const stat = statSync(path, { bigint: true });
  const size = Number(stat.size);
  const entry: TarEntry = {
    name: basename(path),
    type: "file",
    mode: Number(stat.mode) & 0o7777,
    uid: 0,
    gid: 0,
    size,
    mtime: stat.mtimeNs,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: NO_XATTRS,
  };
  yield encodeHeader(entry);
  let read = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    read += chunk.length;
    yield chunk;
  }
  if (read !== size) throw new CooperError("in-use", `Cannot add ${path}: it changed while it was read`);
  yield new Uint8Array(paddedSize(size) - size);
  yield END_OF_ARCHIVE;
}

async function* chunks(parts: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* parts;
}
