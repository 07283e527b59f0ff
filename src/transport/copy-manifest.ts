/** Copies one image: its layers, its config, its manifest. */
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { compressionOf, type LayerCompression, MEDIA } from "../oci/media-types.ts";
import { formatPlatform, matchesPlatform } from "../oci/platform.ts";
import { parseImageConfig, parseManifestOrIndex, type Root } from "../oci/schema.ts";
import type { Descriptor, ImageConfig, ImageFormat, Manifest, Platform } from "../oci/types.ts";
import { type CopySettings, copyLayer } from "./copy-blob.ts";
import { mapConcurrent } from "./map-concurrent.ts";
import { formatOf, isContainerImage, type LayerPlan, type LayerWish, planLayers } from "./plan-layers.ts";
import type { BlobRole } from "./types.ts";
import { fetchDocument } from "./verified-stream.ts";

/** What all the manifests of one copy share. */
export interface CopyJob extends CopySettings {
  wish: LayerWish;
  concurrency: number;
  wantedPlatform: Platform | undefined;
  /** Of an index, the images for these platforms alone. */
  onlyPlatforms: Platform[] | undefined;
  /** Attestations of an index are copied with it. */
  attestations: boolean;
  preserveDigests: boolean;
  /** Each platform of an index gets an image in each of these compressions. */
  variants: readonly LayerCompression[];
  /** Manifests and indexes that were copied, by their digests at the source. */
  copied: Map<Digest, Descriptor>;
  /** How the layers of an image are compressed, by the digest of its manifest as written; zstd where one of them is. */
  compressions: Map<Digest, LayerCompression>;
}

/** Nested indexes beyond this depth are an attack. */
const MAX_DEPTH = 4;

/** Throws `invalid` in an index that is in too many others. */
export function requireShallow({ source }: CopyJob, depth: number): void {
  if (depth <= MAX_DEPTH) return;
  throw new CooperError("invalid", `${source.name} has indexes within indexes, more than ${MAX_DEPTH} deep`);
}

export interface FoundRoot {
  descriptor: Descriptor;
  bytes: Uint8Array;
  root: Root;
}

/** Fetches and checks a manifest or index. */
export async function readRoot(job: CopyJob, descriptor: Descriptor): Promise<FoundRoot> {
  const { source, signal } = job;
  const bytes = await fetchDocument(source, descriptor, signal);
  const root = parseManifestOrIndex(bytes, `${descriptor.digest} in ${source.name}`, descriptor.mediaType);
  return { descriptor: { ...descriptor, mediaType: root.mediaType }, bytes, root };
}

/** Copies one image. `checkPlatform` warns when it is not for the wanted platform. Gives its descriptor in the target. */
export async function copyManifest(
  job: CopyJob,
  found: FoundRoot,
  checkPlatform: boolean,
): Promise<Descriptor> {
  if (found.root.kind !== "manifest") throw new CooperError("internal", "An index was copied as a manifest");
  const { manifest, mediaType } = found.root;
  const from = formatOf(mediaType);
  const isImage = isContainerImage(manifest);
  const wish = isImage ? job.wish : artifactWish(job.wish);
  const to = wish.format === "keep" ? from : wish.format;
  const configBytes = await fetchDocument(job.source, manifest.config, job.signal);
  const image = isImage
    ? parseImageConfig(configBytes, `Config ${manifest.config.digest} of ${job.source.name}`)
    : undefined;
  if (image !== undefined && checkPlatform) warnOfPlatform(job, image);
  const plans = planLayers(manifest, from, image?.rootfs.diff_ids, wish, job.source.name);
  const layers = await copyLayers(job, plans, from !== to && to === "docker");
  const config = await copyConfig(job, manifest.config, configBytes, from === to ? undefined : to);
  const isSame = from === to && layers.every((layer, i) => layer.digest === manifest.layers[i]!.digest);
  const bytes = isSame ? found.bytes : encodeManifest(manifest, to, config, layers);
  const type = to === "docker" ? MEDIA.dockerManifest : MEDIA.ociManifest;
  const written = isSame
    ? found.descriptor
    : { ...found.descriptor, mediaType: type, digest: digestOf(bytes), size: bytes.length };
  const compressions = layers.map(({ mediaType }) => compressionOf(mediaType));
  const strongest = (["zstd", "gzip", "none"] as const).find((one) => compressions.includes(one));
  if (isImage && strongest !== undefined) job.compressions.set(written.digest, strongest);
  return await writeDocument(job, found, written, bytes);
}

/** Writes what a manifest or index became. Throws `unsupported` for another digest where that is not wanted. */
export async function writeDocument(
  job: CopyJob,
  found: FoundRoot,
  written: Descriptor,
  bytes: Uint8Array,
): Promise<Descriptor> {
  const { digest } = found.descriptor;
  if (job.preserveDigests && written.digest !== digest) {
    throw new CooperError(
      "unsupported",
      `Cannot copy ${digest} of ${job.source.name} to ${job.target.name} with its digest: it would become ${written.digest}`,
      { hint: "ask for no other format, compression or choice of images, or leave --preserve-digests away" },
    );
  }
  await job.target.pushManifest(written, bytes);
  job.copied.set(digest, written);
  return written;
}

/** The same job for what is no container image: its bytes stay. */
export function asIs(job: CopyJob): CopyJob {
  const { allLayers } = job.wish;
  return { ...job, wish: { format: "keep", compression: "keep", force: false, allLayers } };
}

/** Layers of other artifacts are no tars that could be compressed differently. */
function artifactWish(wish: LayerWish): LayerWish {
  return { ...wish, compression: wish.compression === "none" ? "none" : "keep" };
}

function warnOfPlatform(job: CopyJob, image: ImageConfig): void {
  const { wantedPlatform, source, onEvent } = job;
  if (wantedPlatform === undefined || matchesPlatform(wantedPlatform, image)) return;
  const made = formatPlatform(image);
  onEvent({
    type: "warning",
    message: `${source.name} is an image for ${made}, not for ${formatPlatform(wantedPlatform)}`,
  });
}

/** Layers that occur more than once in an image are copied once. */
async function copyLayers(job: CopyJob, plans: LayerPlan[], bare: boolean): Promise<Descriptor[]> {
  const unique = [...new Map(plans.map((plan) => [plan.source.digest, plan])).values()];
  const abort = new AbortController();
  const signal = job.signal === undefined ? abort.signal : AbortSignal.any([job.signal, abort.signal]);
  const copied = await mapConcurrent(
    unique,
    job.concurrency,
    (plan) => copyLayer({ ...job, signal }, plan, bare),
    (error) => abort.abort(error),
  );
  const byDigest = new Map(unique.map((plan, i) => [plan.source.digest, copied[i]!]));
  return plans.map((plan) => byDigest.get(plan.source.digest)!);
}

/** The config's bytes are the same in both formats, so that the image keeps its id; only its type changes. */
async function copyConfig(
  job: CopyJob,
  config: Descriptor,
  bytes: Uint8Array,
  newFormat: ImageFormat | undefined,
): Promise<Descriptor> {
  const types = { docker: MEDIA.dockerConfig, oci: MEDIA.ociConfig };
  const written = newFormat === undefined ? config : { ...config, mediaType: types[newFormat] };
  const role: BlobRole = { kind: "config", mediaType: written.mediaType };
  if (!(await job.target.exists(written, role))) await job.target.push(oneChunk(bytes), written, role);
  return written;
}

/** Docker's format has no annotations, subject or artifact type. */
function encodeManifest(
  manifest: Manifest,
  to: ImageFormat,
  config: Descriptor,
  layers: Descriptor[],
): Uint8Array {
  const document: Manifest =
    to === "docker"
      ? { schemaVersion: 2, mediaType: MEDIA.dockerManifest, config, layers }
      : { ...manifest, schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers };
  return Buffer.from(JSON.stringify(document));
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
