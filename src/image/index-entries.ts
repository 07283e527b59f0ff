/** Images on their way into an index of the store: from the store itself, or from anywhere. */
import { type Digest, isDigest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { choosePlatform, hostPlatform } from "../oci/platform.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../oci/schema.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import { isContainerImage } from "../transport/plan-layers.ts";
import type { Descriptor, ImageConfig, Platform } from "../oci/types.ts";
import { isIndexType } from "../oci/media-types.ts";
import { readBlob } from "../store/blobs.ts";
import { findImageByText, readConfig, readManifest } from "../store/images.ts";
import {
  findIndexByText,
  holdIndex,
  readIndex,
  type StoredInstance,
  storedInstances,
} from "../store/indexes.ts";
import { type ImageRecord, imageLayers } from "../store/image-records.ts";
import { holdImage, type StoreFiles } from "../store/store.ts";
import { copyImage } from "../transport/copy-image.ts";
import { openSource } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source } from "../transport/types.ts";
import { BlobTarget } from "./index-source.ts";
import { openFirst } from "./open-reference.ts";
import { candidatesOf } from "./try-candidates.ts";

export interface EntryRequest {
  /** Of an index, all that it lists instead of one image. */
  all?: boolean | undefined;
  /** Which image of an index; default this host's. */
  platform?: Platform | undefined;
  registry?: RegistrySettings | undefined;
  onEvent?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

/** Entries for an index, with what the store has to know of their layers. All of it is held by this session. */
export interface FoundEntries {
  entries: Descriptor[];
  instances: StoredInstance[];
}

/** What a reference stands for: an image or index of the store, or of a transport (a plain name: of a registry). */
export async function findEntries(
  store: StoreFiles,
  text: string,
  request: EntryRequest = {},
): Promise<FoundEntries> {
  const reference = parseTransport(text);
  const settings = { ...request.registry, signal: request.signal };
  if (reference.transport !== "name")
    return await copiedEntries(store, await openSource(reference, settings), request);
  const index = findIndexByText(store, text);
  if (index !== undefined) {
    if (!holdIndex(store, index.id)) throw gone(text);
    const { manifests } = readIndex(store, index);
    const entries = request.all === true ? manifests : [chosen(manifests, text, request.platform)];
    const digests = new Set<Digest>(entries.map(({ digest }) => digest));
    const instances = storedInstances(store.db, index.id).filter(({ manifest }) => digests.has(manifest));
    return { entries, instances };
  }
  const image = findImageByText(store, text);
  if (image !== undefined) return imageEntry(store, text, image);
  const candidates = await candidatesOf(text);
  if (candidates.length === 0) throw missing(text);
  return await copiedEntries(store, await openFirst(text, candidates, settings), request);
}

function missing(text: string): CooperError {
  return new CooperError("not-found", `${text}: no such image in the store`, {
    hint: "cooper images lists what is there; oci:, oci-archive:, dir: and docker:// name others",
  });
}

const gone = (text: string) => new CooperError("not-found", `${text} was removed by another process`);

/** The digest that an entry of an index is known by: given as such, or that of the image a reference stands for. */
export async function entryDigest(
  store: StoreFiles,
  text: string,
  registry: RegistrySettings = {},
): Promise<Digest> {
  if (isDigest(text)) return text;
  const reference = parseTransport(text);
  if (reference.transport === "name") {
    const image = findImageByText(store, text);
    if (image !== undefined) return image.manifest;
    const index = findIndexByText(store, text);
    if (index !== undefined) return index.manifest;
    throw missing(text);
  }
  await using source = await openSource(reference, registry);
  return (await source.resolve()).digest;
}

/** The entry for an image of the store. */
export function imageEntry(store: StoreFiles, text: string, image: ImageRecord): FoundEntries {
  if (!holdImage(store, image.id)) throw gone(text);
  const manifest = readManifest(store, image);
  const entry: Descriptor = {
    mediaType: manifest.mediaType ?? "application/vnd.oci.image.manifest.v1+json",
    digest: image.manifest,
    size: readBlob(store.root, image.manifest).length,
    platform: platformOf(readConfig(store, image)),
  };
  return {
    entries: [entry],
    instances: [{ manifest: image.manifest, layers: imageLayers(store.db, image.id) }],
  };
}

function chosen(manifests: Descriptor[], text: string, platform: Platform | undefined): Descriptor {
  const found =
    (platform === undefined ? undefined : choosePlatform(manifests, platform)) ??
    choosePlatform(manifests, hostPlatform());
  if (found !== undefined) return found;
  throw new CooperError("not-found", `${text} is a list without an image for this platform`, {
    hint: "--all adds all of its images",
  });
}

async function copiedEntries(
  store: StoreFiles,
  opened: Source,
  request: EntryRequest,
): Promise<FoundEntries> {
  await using source = opened;
  const options = {
    compression: "keep",
    format: "keep",
    action: "pull",
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  } as const;
  await using target = new BlobTarget(store);
  // One image of an index is first looked for by the platform asked for, then by this host's (as Buildah does).
  const root = await source.resolve();
  const { platform } = request;
  if (request.all === true) await copyImage(source, target, { ...options, all: true });
  else if (platform === undefined || !isIndexType(root.mediaType)) await copyImage(source, target, options);
  else
    await copyImage(source, target, { ...options, platform }).catch(() => copyImage(source, target, options));
  const copied = target.root;
  if (copied === undefined) throw new CooperError("internal", `${source.name} was copied and has no root`);
  if (request.all === true && isIndexType(copied.mediaType)) {
    const index = parseIndex(readBlob(store.root, copied.digest), `The index ${copied.digest}`);
    return { entries: index.manifests, instances: [] };
  }
  return { entries: [describe(store, copied)], instances: [] };
}

/** A manifest's entry, with the platform that its list said, or else its config. */
function describe(store: StoreFiles, { mediaType, digest, size, platform }: Descriptor): Descriptor {
  const entry = { mediaType, digest, size };
  if (platform !== undefined) return { ...entry, platform };
  const manifest = parseManifest(readBlob(store.root, digest), `The manifest ${digest}`);
  if (!isContainerImage(manifest))
    return { ...entry, artifactType: manifest.artifactType ?? manifest.config.mediaType };
  const config = parseImageConfig(readBlob(store.root, manifest.config.digest), `The config of ${digest}`);
  return { ...entry, platform: platformOf(config) };
}

function platformOf(config: ImageConfig): Platform {
  const { os, architecture, variant } = config;
  return {
    architecture,
    os,
    ...(config["os.version"] === undefined ? {} : { "os.version": config["os.version"] }),
    ...(config["os.features"] === undefined ? {} : { "os.features": config["os.features"] }),
    ...(variant === undefined || variant === "" ? {} : { variant }),
  };
}
