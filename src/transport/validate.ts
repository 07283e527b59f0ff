/**
 * Checks an image in every respect that can be checked without running it: the oracle of all tests that make one.
 * What it demands: OCI image spec v1.1 (manifest.md, image-index.md, config.md, layer.md).
 */
import { decompress, detectCompression } from "../archive/compression.ts";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { compressionOf } from "../oci/media-types.ts";
import { formatPlatform, normalisePlatform } from "../oci/platform.ts";
import { parseImageConfig, parseManifestOrIndex } from "../oci/schema.ts";
import type { Descriptor, ImageConfig, Manifest } from "../oci/types.ts";
import { formatOf, isContainerImage } from "./plan-layers.ts";
import type { Source } from "./types.ts";
import { checkLayerTar } from "./validate-layer.ts";
import { fetchDocument, verifiedStream } from "./verified-stream.ts";

export interface ValidatedImage {
  descriptor: Descriptor;
  manifest: Manifest;
  image: ImageConfig;
  /** Names of the entries of each layer, in order. */
  layers: string[][];
}

/**
 * Reads all that an image (or index) consists of. Returns its images; throws `integrity` for content that is not what
 * it is said to be, `invalid` for all else that is wrong.
 */
export async function validateImage(source: Source, root?: Descriptor): Promise<ValidatedImage[]> {
  const descriptor = root ?? (await source.resolve());
  const bytes = await fetchDocument(source, descriptor);
  const found = parseManifestOrIndex(bytes, `${descriptor.digest} in ${source.name}`, descriptor.mediaType);
  if (found.kind === "manifest") {
    if (!isContainerImage(found.manifest)) return await validateArtifact(source, found.manifest);
    return [await validateOne(source, descriptor, found.mediaType, found.manifest)];
  }
  const images: ValidatedImage[] = [];
  for (const entry of found.index.manifests) images.push(...(await validateImage(source, entry)));
  return images;
}

async function validateArtifact(source: Source, manifest: Manifest): Promise<ValidatedImage[]> {
  for (const blob of [manifest.config, ...manifest.layers]) await drain(await verified(source, blob));
  return [];
}

async function validateOne(
  source: Source,
  descriptor: Descriptor,
  mediaType: string,
  manifest: Manifest,
): Promise<ValidatedImage> {
  const where = `${descriptor.digest} in ${source.name}`;
  const image = parseImageConfig(await fetchDocument(source, manifest.config), `Config of ${where}`);
  checkTypes(manifest, mediaType, where);
  checkCounts(manifest, image, where);
  checkPlatform(descriptor, image, where);
  const layers: string[][] = [];
  for (const [i, layer] of manifest.layers.entries()) {
    layers.push(await checkLayer(source, layer, image.rootfs.diff_ids[i]!));
  }
  return { descriptor, manifest, image, layers };
}

function fail(message: string): CooperError {
  return new CooperError("invalid", message);
}

function checkTypes(manifest: Manifest, mediaType: string, where: string): void {
  const isDocker = formatOf(mediaType) === "docker";
  for (const { mediaType: type } of [manifest.config, ...manifest.layers]) {
    const isDockers = type.startsWith("application/vnd.docker.");
    // Docker's format has no type of its own for zstd.
    if (isDockers !== isDocker && compressionOf(type) !== "zstd")
      throw fail(`${where} mixes formats: ${mediaType} with ${type}`);
  }
}

function checkCounts(manifest: Manifest, image: ImageConfig, where: string): void {
  const layers = manifest.layers.length;
  const diffIds = image.rootfs.diff_ids.length;
  if (layers !== diffIds) throw fail(`${where} has ${layers} layers and ${diffIds} diff_ids`);
  if (image.history === undefined || image.history.length === 0) return;
  const filled = image.history.filter((entry) => entry.empty_layer !== true).length;
  if (filled !== layers) throw fail(`${where} has ${layers} layers, but its history tells of ${filled}`);
}

function checkPlatform(descriptor: Descriptor, image: ImageConfig, where: string): void {
  if (image.os === "" || image.architecture === "") throw fail(`Config of ${where} has no platform`);
  if (descriptor.platform === undefined) return;
  const stated = formatPlatform(normalisePlatform(descriptor.platform));
  const actual = formatPlatform(normalisePlatform(image));
  if (stated !== actual) throw fail(`${where} is announced for ${stated}, but its config says ${actual}`);
}

async function verified(source: Source, descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>> {
  return verifiedStream(await source.fetch(descriptor), descriptor, source.name);
}

async function drain(content: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of content);
}

async function checkLayer(source: Source, layer: Descriptor, diffId: Digest): Promise<string[]> {
  const what = `Layer ${layer.digest} of ${source.name}`;
  // A pass of its own: a decompressor may stop before the last byte.
  await drain(await verified(source, layer));
  const content = await verified(source, layer);
  const head = await firstBytes(await source.fetch(layer));
  const actual = detectCompression(head);
  if (compressionOf(layer.mediaType) !== actual)
    throw fail(`${what} is ${layer.mediaType}, but its compression is ${actual}`);
  const digester = new Digester();
  const names = await checkLayerTar(hashing(decompress(content, what), digester), what);
  const found = digester.digest();
  if (found !== diffId)
    throw new CooperError("integrity", `${what} has the diff_id ${found}, its config says ${diffId}`);
  return names;
}

async function firstBytes(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  for await (const chunk of content) return chunk;
  return new Uint8Array();
}

async function* hashing(
  content: AsyncIterable<Uint8Array>,
  digester: Digester,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of content) {
    digester.update(chunk);
    yield chunk;
  }
}
