/**
 * An entry of a remote build cache: what a step (or a cache mount) held, under the key that every machine computes alike.
 * It is written as an ordinary image, which every registry keeps and every tool can look at; what a look-up needs is in
 * the manifest alone.
 */
import { type Digest, digestOf, isDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { compressionOf, MEDIA } from "./media-types.ts";
import { hostPlatform } from "./platform.ts";
import { parseManifest } from "./schema.ts";
import type { Descriptor, Manifest } from "./types.ts";

export interface CacheLayer {
  /** The compressed blob. */
  blob: Descriptor;
  /** Digest and bytes of the tar. */
  diffId: Digest;
  size: number;
}

export interface CacheEntry {
  key: Digest;
  /** When the step was run: milliseconds since 1970. */
  created: number;
  /** Lowest first; a step has one, or none when it changed no file. */
  layers: CacheLayer[];
}

const KEY = "io.cooper.cache.key";
const CREATED = "org.opencontainers.image.created";
const DIFF_ID = "io.cooper.cache.diff-id";
const SIZE = "io.cooper.cache.size";

/** The manifest of an entry and the config that it names, as they are to be stored. */
export function writeCacheEntry(entry: CacheEntry): { manifest: Uint8Array; config: Uint8Array } {
  const { os, architecture } = hostPlatform();
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os,
      rootfs: { type: "layers", diff_ids: entry.layers.map(({ diffId }) => diffId) },
    }),
  );
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { mediaType: MEDIA.ociConfig, digest: digestOf(config), size: config.length },
    layers: entry.layers.map(({ blob, diffId, size }) => ({
      mediaType: blob.mediaType,
      digest: blob.digest,
      size: blob.size,
      annotations: { [DIFF_ID]: diffId, [SIZE]: String(size) },
    })),
    annotations: { [KEY]: entry.key, [CREATED]: new Date(entry.created).toISOString() },
  };
  return { manifest: Buffer.from(JSON.stringify(manifest)), config };
}

/** Reads an entry that was found under a key. `what` names it in errors. Throws `invalid` when it is another's, or none. */
export function parseCacheEntry(bytes: Uint8Array, key: Digest, what: string): CacheEntry {
  const { layers, annotations = {} } = parseManifest(bytes, what);
  const bad = (why: string) => new CooperError("invalid", `${what} is no entry of a build cache: ${why}`);
  if (annotations[KEY] !== key) throw bad("it is not that of its key");
  const created = Date.parse(annotations[CREATED] ?? "");
  if (Number.isNaN(created)) throw bad("it has no time");
  return {
    key,
    // A clock that is ahead would keep an entry young.
    created: Math.min(created, Date.now()),
    layers: layers.map((blob) => {
      const diffId = blob.annotations?.[DIFF_ID] ?? "";
      const size = blob.annotations?.[SIZE] ?? "";
      if (compressionOf(blob.mediaType) === undefined) throw bad(`a layer is of type ${blob.mediaType}`);
      if (!isDigest(diffId)) throw bad("a layer has no diff_id");
      if (!/^\d{1,15}$/.test(size)) throw bad("a layer has no size");
      return { blob, diffId, size: Number(size) };
    }),
  };
}
