/** Writes OCI image layouts with plain code, so that tests have images without a builder. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Header, pack } from "tar-stream";
import { type Digest, digestHex, digestOf } from "../../src/base/digest.ts";
import { type LayerCompression, layerMediaType, MEDIA } from "../../src/oci/media-types.ts";
import type {
  ContainerConfig,
  Descriptor,
  HistoryEntry,
  ImageConfig,
  ImageFormat,
  ImageIndex,
  Manifest,
  Platform,
} from "../../src/oci/types.ts";

/** One entry of a layer. Whiteouts are written as files with their names (`dir/.wh.gone`, `dir/.wh..wh..opq`). */
export interface LayerEntry {
  /** Relative, without a leading slash. */
  path: string;
  /** Default: `directory` when the path ends in a slash, `symlink` with a target, else `file`. */
  type?: "file" | "directory" | "symlink" | "link" | "fifo" | "character-device" | "block-device";
  content?: string | Uint8Array;
  /** Default 0644, 0755 for directories. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** Of a symlink or (hard) link. */
  target?: string;
  /** Seconds since 1970; default 0. */
  mtime?: number;
  major?: number;
  minor?: number;
  xattrs?: Record<string, string>;
}

export interface ImageOptions {
  /** Value of org.opencontainers.image.ref.name; default `latest`, null for none. */
  name?: string | null;
  /** Each layer as entries or as a ready tar. */
  layers: (LayerEntry[] | Uint8Array)[];
  /** The `config` object of the image config. */
  config?: ContainerConfig;
  platform?: Platform;
  format?: ImageFormat;
  /** Default gzip. */
  compression?: LayerCompression;
  annotations?: Record<string, string>;
  history?: HistoryEntry[];
  /** Default `2024-01-01T00:00:00Z`. */
  created?: string;
}

export interface MadeLayer {
  descriptor: Descriptor;
  diffId: Digest;
  /** Uncompressed. */
  tar: Uint8Array;
}

export interface MadeImage {
  /** The layout. */
  directory: string;
  /** `oci:DIRECTORY:NAME` */
  reference: string;
  /** As index.json has it, with its platform. */
  descriptor: Descriptor;
  manifest: Manifest;
  image: ImageConfig;
  /** Hexadecimal digest of the config. */
  imageId: string;
  layers: MadeLayer[];
}

export const amd64: Platform = { os: "linux", architecture: "amd64" };

/** The platform that this machine runs. */
export const hostPlatformForTests: Platform = {
  os: "linux",
  architecture: process.arch === "arm64" ? "arm64" : "amd64",
};

/** A tar with the given entries in the given order. */
export async function makeLayer(entries: LayerEntry[]): Promise<Uint8Array> {
  const writer = pack();
  for (const entry of entries) writer.entry(headerOf(entry), Buffer.from(entry.content ?? ""));
  writer.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of writer) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function headerOf(entry: LayerEntry): Partial<Header> & { name: string } {
  const type =
    entry.type ?? (entry.path.endsWith("/") ? "directory" : entry.target === undefined ? "file" : "symlink");
  return {
    name: entry.path,
    type,
    mode: entry.mode ?? (type === "directory" ? 0o755 : 0o644),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtime: new Date((entry.mtime ?? 0) * 1000),
    size: type === "file" ? Buffer.from(entry.content ?? "").length : 0,
    ...(entry.target === undefined ? {} : { linkname: entry.target }),
    ...(entry.major === undefined ? {} : { devmajor: entry.major }),
    ...(entry.minor === undefined ? {} : { devminor: entry.minor }),
    ...(entry.xattrs === undefined
      ? {}
      : { pax: Object.fromEntries(Object.entries(entry.xattrs).map(([k, v]) => [`SCHILY.xattr.${k}`, v])) }),
  };
}

function compress(bytes: Uint8Array, kind: LayerCompression): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (kind === "gzip") return Bun.gzipSync(copy);
  return kind === "zstd" ? Bun.zstdCompressSync(copy) : copy;
}

/** Writes a blob into a layout (making it if need be) and describes it. */
export function writeBlob(directory: string, mediaType: string, bytes: Uint8Array | string): Descriptor {
  const content = Buffer.from(bytes);
  const digest = digestOf(content);
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  writeFileSync(join(directory, "blobs/sha256", digestHex(digest)), content);
  return { mediaType, digest, size: content.length };
}

/** Adds an entry to a layout's index.json, in place of one with the same name. */
export function addToIndex(directory: string, descriptor: Descriptor, name: string | null): void {
  const path = join(directory, "index.json");
  const index: ImageIndex = existsSync(path)
    ? JSON.parse(readFileSync(path, "utf8"))
    : { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [] };
  const key = "org.opencontainers.image.ref.name";
  if (name !== null) index.manifests = index.manifests.filter((m) => m.annotations?.[key] !== name);
  index.manifests.push(
    name === null ? descriptor : { ...descriptor, annotations: { ...descriptor.annotations, [key]: name } },
  );
  writeFileSync(path, JSON.stringify(index));
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

/** Writes an image into a layout (made if need be; other images in it stay). */
export async function makeImage(directory: string, options: ImageOptions): Promise<MadeImage> {
  const made = await writeImage(directory, options);
  const name = options.name === undefined ? "latest" : options.name;
  addToIndex(directory, made.descriptor, name);
  return { ...made, reference: name === null ? `oci:${directory}` : `oci:${directory}:${name}` };
}

async function writeImage(directory: string, options: ImageOptions): Promise<MadeImage> {
  const { format = "oci", compression = "gzip", platform = hostPlatformForTests } = options;
  const layers: MadeLayer[] = [];
  for (const source of options.layers) {
    const tar = source instanceof Uint8Array ? source : await makeLayer(source);
    const descriptor = writeBlob(directory, layerMediaType(format, compression), compress(tar, compression));
    layers.push({ descriptor, diffId: digestOf(tar), tar });
  }
  const created = options.created ?? "2024-01-01T00:00:00Z";
  const image: ImageConfig = {
    created,
    ...platform,
    config: options.config ?? {},
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: options.history ?? layers.map((_, i) => ({ created, created_by: `layer ${i}` })),
  };
  const config = writeBlob(
    directory,
    format === "oci" ? MEDIA.ociConfig : MEDIA.dockerConfig,
    JSON.stringify(image),
  );
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: format === "oci" ? MEDIA.ociManifest : MEDIA.dockerManifest,
    config,
    layers: layers.map((layer) => layer.descriptor),
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  };
  const written = writeBlob(directory, manifest.mediaType!, JSON.stringify(manifest));
  return {
    directory,
    reference: `oci:${directory}`,
    descriptor: { ...written, platform },
    manifest,
    image,
    imageId: digestHex(config.digest),
    layers,
  };
}

export interface MadeIndex {
  directory: string;
  reference: string;
  descriptor: Descriptor;
  index: ImageIndex;
  images: MadeImage[];
}

/** Writes one image per element and an index over them, under one name. */
export async function makeIndex(
  directory: string,
  images: (ImageOptions & { platform: Platform })[],
  options: { name?: string; format?: ImageFormat } = {},
): Promise<MadeIndex> {
  const { name = "latest", format = "oci" } = options;
  const made: MadeImage[] = [];
  for (const image of images) made.push(await writeImage(directory, { format, ...image }));
  const index: ImageIndex = {
    schemaVersion: 2,
    mediaType: format === "oci" ? MEDIA.ociIndex : MEDIA.dockerList,
    manifests: made.map((image) => image.descriptor),
  };
  const descriptor = writeBlob(directory, index.mediaType!, JSON.stringify(index));
  addToIndex(directory, descriptor, name);
  return { directory, reference: `oci:${directory}:${name}`, descriptor, index, images: made };
}
