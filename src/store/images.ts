/** Images of the store: written whole or not at all, found by name, id, or prefix of an id. */
import { type Digest, digestHex, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { layerMediaType, MEDIA } from "../oci/media-types.ts";
import { normaliseName } from "../oci/reference.ts";
import { parseImageConfig, parseManifest } from "../oci/schema.ts";
import type { Descriptor, ImageConfig, ImageFormat, Manifest } from "../oci/types.ts";
import { readBlob } from "./blobs.ts";
import { containersOf } from "./container-records.ts";
import {
  deleteImage,
  deleteName,
  findImage,
  findImagesByPrefix,
  findName,
  type ImageRecord,
  namesOf,
  putImage,
  setName,
} from "./image-records.ts";
import type { StoredLayer } from "./layer-records.ts";
import { addUses, dropUses, hasBlobRecord } from "./snapshot-records.ts";
import { deleteUnused, type StoreFiles, storeBytes } from "./store.ts";

/** A layer on its way into an image: its snapshots, and the descriptor that the manifest gets. */
export interface ImageLayer extends StoredLayer {
  descriptor: Descriptor;
  /** Bytes uncompressed. */
  size: number;
}

/** Descriptor of a layer that exists as snapshots only; its blob is made when somebody wants it. */
export function plainLayer(
  format: ImageFormat,
  stack: string[],
  measured: { diffId: Digest; size: number },
): ImageLayer {
  const descriptor = {
    mediaType: layerMediaType(format, "none"),
    digest: measured.diffId,
    size: measured.size,
  };
  return { stack, diffId: measured.diffId, size: measured.size, descriptor };
}

/** Writes the config and manifest of an image made here, and names it. */
export function addImage(
  store: StoreFiles,
  image: {
    config: ImageConfig;
    layers: ImageLayer[];
    annotations: Record<string, string>;
    format: ImageFormat;
  },
  names: string[],
): ImageRecord {
  const { config, layers, annotations, format } = image;
  const configBytes = Buffer.from(JSON.stringify(config));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: format === "docker" ? MEDIA.dockerManifest : MEDIA.ociManifest,
    config: {
      mediaType: format === "docker" ? MEDIA.dockerConfig : MEDIA.ociConfig,
      digest: digestOf(configBytes),
      size: configBytes.length,
    },
    layers: layers.map((layer) => layer.descriptor),
    ...(Object.keys(annotations).length > 0 && format === "oci" ? { annotations } : {}),
  };
  return recordImage(
    store,
    { config, configBytes, manifest, manifestBytes: Buffer.from(JSON.stringify(manifest)), layers },
    names,
  );
}

/** Documents of an image as they are to be kept, and the layers behind them. */
export interface ImageDocuments {
  config: ImageConfig;
  configBytes: Uint8Array;
  manifest: Manifest;
  manifestBytes: Uint8Array;
  layers: (StoredLayer & { size: number })[];
}

/** Stores an image's documents and, in one transaction, makes it known under its names. */
export function recordImage(store: StoreFiles, image: ImageDocuments, names: string[]): ImageRecord {
  const config = storeBytes(store, image.configBytes);
  const manifest = storeBytes(store, image.manifestBytes);
  const record: ImageRecord = {
    id: digestHex(config.digest),
    manifest: manifest.digest,
    created: image.config.created ?? "",
    size: image.layers.reduce((sum, layer) => sum + layer.size, 0),
    labels: JSON.stringify(image.config.config?.Labels ?? {}),
  };
  const blobs = image.manifest.layers.map((layer) => layer.digest);
  const before = store.db
    .transaction(() => {
      const replaced = dropUses(store.db, `image:${record.id}`);
      putImage(store.db, record, image.layers);
      const present = blobs.filter((digest) => hasBlobRecord(store.db, digest));
      const snapshots = image.layers.flatMap((layer) => layer.stack);
      addUses(store.db, `image:${record.id}`, [config.digest, manifest.digest, ...present, ...snapshots]);
      for (const name of names) setName(store.db, name, record.id);
      return replaced;
    })
    .immediate();
  deleteUnused(store, before);
  return record;
}

/** An image by full or short name, id, or unique prefix of an id. */
export function findImageByText(store: StoreFiles, text: string): ImageRecord | undefined {
  const bare = text.replace(/^sha256:/, "");
  const named = findNamed(store, text);
  if (named !== undefined) return named;
  if (!/^[0-9a-f]{3,64}$/.test(bare)) return undefined;
  const matches = findImagesByPrefix(store.db, bare);
  if (matches.length > 1)
    throw new CooperError("usage", `Image id ${bare} is ambiguous`, { hint: "give more of its digits" });
  return matches[0];
}

/** Names that a short name may stand for, in the order in which they are tried. */
export function candidateNames(text: string): string[] {
  const full = normaliseName(text);
  const short =
    !full.startsWith("localhost/") || text.startsWith("localhost/") ? [] : [full.replace(/^localhost\//, "")];
  const hub = short.map((name) => (name.includes("/") ? `docker.io/${name}` : `docker.io/library/${name}`));
  return [full, ...hub];
}

function findNamed(store: StoreFiles, text: string): ImageRecord | undefined {
  for (const name of candidateNamesOrNone(text)) {
    const id = findName(store.db, name);
    if (id !== undefined) return findImage(store.db, id);
  }
  return undefined;
}

/** Like findImageByText(), but throws `not-found`. */
export function requireImage(store: StoreFiles, text: string): ImageRecord {
  const image = findImageByText(store, text);
  if (image !== undefined) return image;
  throw new CooperError("not-found", `${text}: no such image in the store`, {
    hint: "cooper images lists what is there",
  });
}

/** For an image that was found, and is gone now. */
export function imageRemoved(id: string): CooperError {
  return new CooperError("not-found", `Image ${id.slice(0, 12)} was removed by another process`);
}

export function readConfig(store: StoreFiles, image: ImageRecord): ImageConfig {
  return parseImageConfig(
    readBlob(store.root, `sha256:${image.id}`),
    `The config of image ${image.id.slice(0, 12)}`,
  );
}

/** Labels of an image, without reading its config where that can be had. */
export function labelsOf(store: StoreFiles, image: ImageRecord): Record<string, string> {
  if (image.labels !== null) return JSON.parse(image.labels) as Record<string, string>;
  return readConfig(store, image).config?.Labels ?? {};
}

export function readManifest(store: StoreFiles, image: ImageRecord): Manifest {
  return parseManifest(
    readBlob(store.root, image.manifest),
    `The manifest of image ${image.id.slice(0, 12)}`,
  );
}

export interface Removal {
  untagged: string[];
  deleted: string[];
}

/**
 * Removes a name, or the image itself when it was given by id or loses its last name. Throws `in-use` when working
 * containers come from it or it has several names, unless forced; containers keep their files either way.
 */
export function removeImageByText(store: StoreFiles, text: string, force: boolean): Removal {
  // Opened first: a process that dies with a session has somebody who cleans up after it.
  void store.session;
  let unused: string[] = [];
  // Looked up and removed in one transaction: a name or container that another process gives it meanwhile is not overlooked.
  const remove = store.db.transaction((): Removal => {
    const image = requireImage(store, text);
    const names = namesOf(store.db, image.id);
    const byName = nameAmong(names, text);
    if (byName !== undefined && names.length > 1) {
      deleteName(store.db, byName);
      return { untagged: [byName], deleted: [] };
    }
    if (!force) requireUnused(store, text, image.id, byName === undefined ? names : []);
    deleteImage(store.db, image.id);
    unused = dropUses(store.db, `image:${image.id}`);
    return { untagged: names, deleted: [image.id] };
  });
  const removal = remove.immediate();
  deleteUnused(store, unused);
  return removal;
}

/** The name of an image that a text stands for; undefined where that is an id. */
export function nameAmong(names: string[], text: string): string | undefined {
  return candidateNamesOrNone(text).find((name) => names.includes(name));
}

function requireUnused(store: StoreFiles, text: string, id: string, names: string[]): void {
  if (names.length > 1) {
    throw new CooperError("in-use", `Image ${id.slice(0, 12)} has several names: ${names.join(", ")}`, {
      hint: "remove the names one by one, or use --force",
    });
  }
  const users = containersOf(store.db, id);
  if (users.length > 0) {
    throw new CooperError("in-use", `Image ${text} is used by ${users.map((user) => user.name).join(", ")}`, {
      hint: "remove these containers first (cooper rm), or use --force",
    });
  }
}

/** The same, empty for what is no well-formed name (it may still be an id). */
export function candidateNamesOrNone(text: string): string[] {
  try {
    return candidateNames(text);
  } catch {
    return [];
  }
}
