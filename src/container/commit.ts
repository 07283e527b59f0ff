/** From a working container to an image: its changes become one layer, its config the image's. */
import { type Digest, digestOf } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { toOciConfig } from "../oci/config.ts";
import { MEDIA } from "../oci/media-types.ts";
import type { HistoryEntry, ImageConfig, ImageFormat } from "../oci/types.ts";
import { addImage, type ImageLayer, plainLayer } from "../store/images.ts";
import { measureLayer, type Watch } from "../store/pack.ts";
import { findCreationTime, rememberCreationTime } from "../store/cache-records.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import type { WorkingContainer } from "./working-container.ts";

/** One layer of the image to be, and the history of the steps in it. */
export interface LayerPlan {
  /** Snapshots of the layer, lowest first; empty for steps that change no file. */
  stack: string[];
  history: HistoryEntry[];
  /** A layer ends here even where steps share one. */
  checkpoint: boolean;
}

/** Times of a reproducible image. */
export interface ImageTime {
  /** Since 1970: for `created` and history. */
  seconds: number;
  /** What becomes of the times of files: all set to it, later ones set to it, or none. */
  files: "set" | "clamp" | "keep";
}

export interface CommitRequest extends Watch {
  format: ImageFormat;
  /** Names that the image gets. */
  names: string[];
  /** Everything, base included, in one layer. */
  squash: boolean;
  omitHistory: boolean;
  /** Whether the manifest tells the time as well. */
  createdAnnotation: boolean;
  timestamp: ImageTime | undefined;
  /** Whether an image that was made before, but for its time, is made again as it was. */
  keepTime: boolean;
}

/** annotations.md */
const CREATED = "org.opencontainers.image.created";

const DOCKER_TYPES: Record<string, string> = {
  [MEDIA.ociLayer]: MEDIA.dockerLayer,
  [MEDIA.ociLayerGzip]: MEDIA.dockerLayerGzip,
};
const OCI_TYPES: Record<string, string> = {
  [MEDIA.dockerLayer]: MEDIA.ociLayer,
  [MEDIA.dockerLayerGzip]: MEDIA.ociLayerGzip,
};

/** The same blob under the media type of the other family. */
function inFormat(layer: ImageLayer, format: ImageFormat): ImageLayer {
  const types = format === "docker" ? DOCKER_TYPES : OCI_TYPES;
  const mediaType = types[layer.descriptor.mediaType] ?? layer.descriptor.mediaType;
  return { ...layer, descriptor: { ...layer.descriptor, mediaType } };
}

/**
 * Writes the image that `container.base` plus the planned layers make. Layers that change nothing are left out; their
 * steps stay in the history. Nothing is named before everything is stored. Throws `cancelled`.
 */
export async function commitImage(
  store: StoreFiles,
  container: WorkingContainer,
  plan: LayerPlan[],
  request: CommitRequest,
): Promise<ImageRecord> {
  const parts = await (request.squash ? squashed : stacked)(store, container, plan, request);
  const { annotations } = container;
  const { format } = request;
  const configAt = (created: string) => assembleConfig(container.image, parts, request, created);
  const timeless = digestOf(JSON.stringify([configAt(""), annotations, format]));
  const created = creationTime(store, timeless, request);
  return addImage(
    store,
    {
      config: configAt(created),
      layers: parts.layers,
      annotations: request.createdAnnotation ? { ...annotations, [CREATED]: created } : annotations,
      format,
    },
    request.names,
  );
}

/** An image that differs from an earlier one by its time alone is that image: rebuilds keep their id. */
function creationTime(store: StoreFiles, timeless: Digest, request: CommitRequest): string {
  if (request.timestamp !== undefined) return new Date(request.timestamp.seconds * 1000).toISOString();
  const known = request.keepTime ? findCreationTime(store.db, timeless) : undefined;
  const created = known ?? new Date().toISOString();
  if (known === undefined) rememberCreationTime(store.db, timeless, created);
  return created;
}

function assembleConfig(
  image: ImageConfig,
  parts: Parts,
  request: CommitRequest,
  created: string,
): ImageConfig {
  const added = parts.added.map((entry) => ({ created, ...entry }));
  return orderedConfig({
    ...(request.format === "oci" ? toOciConfig(image) : image),
    created,
    rootfs: { type: "layers", diff_ids: parts.layers.map((layer) => layer.diffId) },
    history: request.omitHistory ? [] : [...parts.inherited, ...added],
  });
}

interface Parts {
  layers: ImageLayer[];
  /** History of the base, as it is. */
  inherited: HistoryEntry[];
  /** History of this commit, without times. */
  added: HistoryEntry[];
}

async function stacked(
  store: StoreFiles,
  container: WorkingContainer,
  plan: LayerPlan[],
  request: CommitRequest,
): Promise<Parts> {
  const layers = container.base.layers.map((layer) => inFormat(layer, request.format));
  const added: HistoryEntry[] = [];
  const below = layers.flatMap((layer) => layer.stack);
  for (const { stack, history } of plan) {
    const layer = await packed(store, stack, below, request);
    below.push(...stack);
    if (layer !== undefined) layers.push(layer);
    added.push(...entryPerLayer(history, layer !== undefined));
  }
  return { layers, inherited: container.image.history ?? [], added };
}

async function squashed(
  store: StoreFiles,
  container: WorkingContainer,
  plan: LayerPlan[],
  request: CommitRequest,
): Promise<Parts> {
  const base = container.base.layers.flatMap((layer) => layer.stack);
  const stack = [...base, ...plan.flatMap((layer) => layer.stack)];
  const layer = await packed(store, stack, [], request);
  const last = plan.at(-1)?.history.at(-1);
  const entry = {
    created_by: last?.created_by ?? "squash",
    ...(layer === undefined ? { empty_layer: true } : {}),
  };
  return { layers: layer === undefined ? [] : [layer], inherited: [], added: [entry] };
}

/** Bytes of a tar that holds no entry: two blocks of zeros, or nothing at all. */
const EMPTY_TAR = 1024;

async function packed(
  store: StoreFiles,
  stack: string[],
  below: string[],
  request: CommitRequest,
): Promise<ImageLayer | undefined> {
  if (stack.length === 0) return undefined;
  const { timestamp } = request;
  const times =
    timestamp === undefined || timestamp.files === "keep"
      ? {}
      : { timestamp: timestamp.seconds, timestampMode: timestamp.files };
  const measured = await measureLayer(store, { stack, below, ...times }, request);
  if (measured.size <= EMPTY_TAR) return undefined;
  return plainLayer(request.format, stack, measured);
}

/** In a layer of several steps the last step that changed files stands for the layer; the others have none. */
function entryPerLayer(entries: HistoryEntry[], hasLayer: boolean): HistoryEntry[] {
  const owner = hasLayer ? ownerOf(entries) : -1;
  return entries.map((entry, index) => {
    const { empty_layer: _, ...rest } = entry;
    return { ...rest, ...(index === owner ? {} : { empty_layer: true }) };
  });
}

function ownerOf(entries: HistoryEntry[]): number {
  const last = entries.findLastIndex((entry) => entry.empty_layer !== true);
  return last === -1 ? entries.length - 1 : last;
}

/** Fields in the order of the spec's example, so that equal configs have equal bytes. */
function orderedConfig(config: ImageConfig): ImageConfig {
  const { created, author, architecture, os, variant, config: inner, rootfs, history, ...rest } = config;
  if (architecture === undefined || os === undefined)
    throw new CooperError("internal", "An image needs a platform");
  return {
    ...(created === undefined ? {} : { created }),
    ...(author === undefined || author === "" ? {} : { author }),
    architecture,
    os,
    ...(variant === undefined || variant === "" ? {} : { variant }),
    ...rest,
    ...(inner === undefined ? {} : { config: inner }),
    rootfs,
    ...(history === undefined || history.length === 0 ? {} : { history }),
  };
}
