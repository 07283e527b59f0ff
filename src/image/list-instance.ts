/** The image of a list in the store that suits a platform. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { choosePlatform, formatPlatform, hostPlatform } from "../oci/platform.ts";
import { parseImageConfig, parseManifest } from "../oci/schema.ts";
import type { Platform } from "../oci/types.ts";
import { readBlob } from "../store/blobs.ts";
import { recordImage } from "../store/images.ts";
import { findIndexByText, holdIndex, instanceLayers, isNested, readIndex } from "../store/indexes.ts";
import { findImageByManifest, type ImageRecord } from "../store/image-records.ts";
import { layerSize, type StoredLayer } from "../store/layer-records.ts";
import type { StoreFiles } from "../store/store.ts";

/**
 * The image for a platform (default: this host's) of the index that a text names, as an image of the store: it is made
 * one, without a name, if it is not. Undefined when the text names no index, or the index has no such image.
 */
export async function findInstance(
  store: StoreFiles,
  text: string,
  platform: Platform = hostPlatform(),
): Promise<ImageRecord | undefined> {
  const record = findIndexByText(store, text);
  if (record === undefined) return undefined;
  const entry = choosePlatform(readIndex(store, record).manifests, platform);
  if (entry === undefined) return undefined;
  if (!holdIndex(store, record.id)) return undefined;
  const known = findImageByManifest(store.db, entry.digest);
  if (known !== undefined) return known;
  const layers = isNested(entry) ? [] : instanceLayers(store.db, record.id, entry.digest);
  if (layers.length > 0) return recordInstance(store, entry.digest, layers);
  // Nothing is copied unless a layer must be unpacked.
  const { copyImage } = await import("../transport/copy-image.ts");
  const { indexSource } = await import("./index-source.ts");
  const { StoreTarget } = await import("./store-transport.ts");
  await using source = indexSource(store, record, text);
  await using target = new StoreTarget(store, []);
  await copyImage(source, target, { compression: "keep", format: "keep", action: "pull", platform });
  return target.image;
}

/** Like findInstance(), but says what the index has when it is not there. */
export async function requireInstance(
  store: StoreFiles,
  text: string,
  platform: Platform = hostPlatform(),
): Promise<ImageRecord> {
  const found = await findInstance(store, text, platform);
  if (found !== undefined) return found;
  const record = findIndexByText(store, text);
  const there = record === undefined ? [] : readIndex(store, record).manifests;
  const offered = there.flatMap((entry) =>
    entry.platform === undefined ? [] : [formatPlatform(entry.platform)],
  );
  throw new CooperError(
    "not-found",
    `The list ${text} has no image for ${formatPlatform(platform)}, it has: ${offered.join(", ") || "none"}`,
  );
}

function recordInstance(store: StoreFiles, digest: Digest, layers: StoredLayer[]): ImageRecord {
  const manifestBytes = readBlob(store.root, digest);
  const manifest = parseManifest(manifestBytes, `The manifest ${digest}`);
  const configBytes = readBlob(store.root, manifest.config.digest);
  const config = parseImageConfig(configBytes, `The config ${manifest.config.digest}`);
  const sized = layers.map((layer, i) => ({
    ...layer,
    size: layerSize(store.db, layer) ?? manifest.layers[i]?.size ?? 0,
  }));
  return recordImage(store, { config, configBytes, manifest, manifestBytes, layers: sized }, []);
}
