/** Bringing images into the store, and sending them out: one copy between a source and a target. */
import type { Digest } from "../base/digest.ts";
import type { EventSink } from "../base/events.ts";
import { CooperError } from "../base/errors.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { parseTransport, type TransportReference } from "../oci/transport-reference.ts";
import type { ImageFormat } from "../oci/types.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { type CopyResult, copyImage } from "../transport/copy-image.ts";
import { openSource, openTarget } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source, Target } from "../transport/types.ts";
import { fetchDocument } from "../transport/verified-stream.ts";
import { defaultName } from "./default-name.ts";
import type { PullRequest } from "./obtain-image.ts";
import { relatedRepositories } from "./related-images.ts";
import { StoreTarget, storeSource } from "./store-transport.ts";
import { requireCandidates, tryCandidates } from "./try-candidates.ts";

/** Copies an image into the store and names it. */
export async function pullImage(
  store: StoreFiles,
  text: string,
  request: PullRequest = {},
): Promise<ImageRecord> {
  const reference = parseTransport(text);
  if (reference.transport === "name") return await pullName(store, text, request);
  await using source = await openSource(reference, settingsOf(request));
  const root = await source.resolve();
  const name = request.name ?? defaultName(reference, root);
  await using target = new StoreTarget(store, name === undefined ? [] : [normaliseName(name)]);
  await copyImage(source, target, {
    compression: "keep",
    format: "keep",
    action: "pull",
    ...(request.platform === undefined ? {} : { platform: parsePlatform(request.platform) }),
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  if (target.image === undefined)
    throw new CooperError("internal", `Copying ${text} into the store named no image`);
  return target.image;
}

async function pullName(store: StoreFiles, text: string, request: PullRequest): Promise<ImageRecord> {
  return await pullFirst(store, text, await requireCandidates(text), request);
}

const pulling = new WeakMap<StoreFiles, Map<string, Promise<ImageRecord>>>();

/** Pulls the first of several full names that can be had. Whoever asks for the same at the same time gets the same pull. */
export function pullFirst(
  store: StoreFiles,
  text: string,
  candidates: string[],
  request: PullRequest,
): Promise<ImageRecord> {
  const key = JSON.stringify([candidates, request.name, request.platform]);
  const running = pulling.get(store) ?? new Map<string, Promise<ImageRecord>>();
  pulling.set(store, running);
  const known = running.get(key);
  if (known !== undefined) return known;
  const started = tryCandidates(`Cannot pull ${text}`, candidates, (name) =>
    pullImage(store, `docker://${name}`, request),
  ).finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

/** Settings for one piece of work: its warnings, its cancellation. */
export function settingsOf({ registry, onEvent, signal }: PullRequest | SendRequest): RegistrySettings {
  return {
    ...registry,
    signal,
    onWarning: (message) => onEvent?.({ type: "warning", message }),
  };
}

export interface SendRequest {
  compression: LayerCompression | "keep";
  compressionLevel?: number | undefined;
  format: ImageFormat | "keep";
  platform?: string | undefined;
  /** Of a list: all of its images and itself. */
  all?: boolean | undefined;
  /** Compress layers anew that are compressed otherwise. */
  forceCompression?: boolean | undefined;
  /** Of a list: false leaves attestations out. */
  attestations?: boolean | undefined;
  /** Of a list: compressions in which each platform has an image. */
  variants?: LayerCompression[] | undefined;
  /** Also send layers that their publisher keeps elsewhere. */
  foreignLayers?: boolean | undefined;
  registry?: RegistrySettings | undefined;
  onEvent?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

/** Sends an image of the store to a destination. */
export async function pushImage(
  store: StoreFiles,
  text: string,
  destination: string,
  request: SendRequest,
): Promise<CopyResult> {
  await using source = storeSource(store, text);
  await using target = await openTarget(destinationOf(destination), {
    ...settingsOf(request),
    ...relatedRepositories(store, text, request),
  });
  return await send(source, target, request);
}

/** Sends the document of a list of the store alone; throws `not-found` when its images are not there. */
export async function pushIndexAlone(
  store: StoreFiles,
  text: string,
  destination: string,
  request: SendRequest,
): Promise<{ digest: Digest }> {
  await using source = storeSource(store, text);
  await using target = await openTarget(destinationOf(destination), settingsOf(request));
  const root = await source.resolve();
  await target.pushManifest(root, await fetchDocument(source, root, request.signal));
  await target.tag(root);
  return { digest: root.digest };
}

/** A plain name is one in a registry, as Buildah has it. */
function destinationOf(text: string): TransportReference {
  const reference = parseTransport(text);
  return reference.transport === "name" ? parseTransport(`docker://${text}`) : reference;
}

function send(source: Source, target: Target, request: SendRequest): Promise<CopyResult> {
  return copyImage(source, target, {
    compression: request.compression,
    format: request.format,
    all: request.all ?? false,
    forceCompression: request.forceCompression ?? false,
    foreignLayers: request.foreignLayers ?? false,
    attestations: request.attestations ?? true,
    variants: request.variants ?? [],
    ...(request.compressionLevel === undefined ? {} : { compressionLevel: request.compressionLevel }),
    ...(request.platform === undefined ? {} : { platform: parsePlatform(request.platform) }),
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}
