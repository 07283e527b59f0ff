/** Bringing images into the store, and sending them out: one copy between a source and a target. */
import type { Digest } from "../base/digest.ts";
import type { EventSink } from "../base/events.ts";
import { CooperError } from "../base/errors.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { formatPlatform, hostPlatform, matchesPlatform, parsePlatform } from "../oci/platform.ts";
import { isFullId, normaliseName } from "../oci/reference.ts";
import { parseTransport, type TransportReference } from "../oci/transport-reference.ts";
import type { Descriptor, ImageFormat, Platform } from "../oci/types.ts";
import { findImageByText, readConfig } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import type { ImageRecord } from "../store/records.ts";
import type { StoreFiles } from "../store/store.ts";
import { type CopyResult, copyImage } from "../transport/copy-image.ts";
import { openSource, openTarget } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source, Target } from "../transport/types.ts";
import { fetchDocument } from "../transport/verified-stream.ts";
import { findInstance, requireInstance } from "./list-instance.ts";
import { relatedRepositories } from "./related-images.ts";
import { StoreTarget, storeSource } from "./store-transport.ts";

export type PullPolicy = "always" | "missing" | "never" | "newer";

export interface PullRequest {
  /** Name in the store; the source's own when absent. */
  name?: string | undefined;
  platform?: string | undefined;
  /** How registries are talked to; `onWarning` and `signal` come from here. */
  registry?: RegistrySettings | undefined;
  onEvent?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

const REF_NAME = "org.opencontainers.image.ref.name";

/** Copies an image into the store and names it. */
export async function pullImage(
  store: StoreFiles,
  text: string,
  request: PullRequest = {},
): Promise<ImageRecord> {
  const reference = parseTransport(text);
  if (reference.transport === "name") return await pullName(store, text, request);
  await using source = await openSource(reference, registrySettings(request));
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

/** As Buildah names what it pulls: the name that an archive carries, or the path of a layout or directory. */
function defaultName(reference: TransportReference, root: Descriptor): string | undefined {
  const carried = root.annotations?.[REF_NAME];
  switch (reference.transport) {
    case "oci-archive":
    case "docker-archive":
      return carried;
    case "oci":
      return `${pathName(reference.path)}:${carried ?? reference.reference ?? "latest"}`;
    case "dir":
      return pathName(reference.path);
    case "docker":
      return reference.name;
    default:
      return undefined;
  }
}

function pathName(path: string): string {
  return `localhost/${path
    .toLowerCase()
    .replace(/^[^a-z0-9]+/, "")
    .replace(/[^a-z0-9/._-]+/g, "-")}`;
}

/**
 * The image that a reference stands for, brought into the store as the policy says. `newer` is `always`, except that
 * what is there will do when no registry can be asked. Throws `not-found`, and what pulling throws.
 */
export async function obtainImage(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest = {},
): Promise<ImageRecord> {
  const reference = parseTransport(text);
  if (reference.transport === "docker") return await obtainName(store, reference.name, policy, request);
  if (reference.transport !== "name") return await pullImage(store, text, request);
  return await obtainName(store, text, policy, request);
}

async function obtainName(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest,
): Promise<ImageRecord> {
  const there =
    findSuitable(store, [text], request.platform) ??
    (await findInstance(store, text, wantedPlatform(request)));
  if (there !== undefined && policy === "missing") return there;
  if (policy === "never") {
    const any =
      findImageByText(store, text) ?? there ?? findSuitable(store, await candidatesOf(text), undefined);
    if (any === undefined)
      throw new CooperError("not-found", `${text}: no such image in the store, and pulling is off`);
    warnOfPlatform(store, text, any, request);
    return any;
  }
  const candidates = await candidatesOf(text);
  const known = there ?? findSuitable(store, candidates, request.platform);
  if (known !== undefined && (policy === "missing" || candidates.length === 0)) return known;
  if (candidates.length === 0) return await requireHere(store, text, request);
  try {
    return await pullFirst(store, text, candidates, request);
  } catch (error) {
    if (policy !== "newer" || known === undefined || isCancelled(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    request.onEvent?.({ type: "warning", message: `${message}; the image in the store is used` });
    return known;
  }
}

/** The first of several names that the store has an image for, if that image is for the platform. */
function findSuitable(
  store: StoreFiles,
  names: string[],
  platform: string | undefined,
): ImageRecord | undefined {
  const wanted = platform === undefined ? undefined : parsePlatform(platform);
  for (const name of names) {
    const image = findImageByText(store, name);
    if (image === undefined) continue;
    if (wanted === undefined || matchesPlatform(wanted, readConfig(store, image))) return image;
  }
  return undefined;
}

/** Of an image that no registry has: whatever its platform, it is the one that is meant. */
async function requireHere(store: StoreFiles, text: string, request: PullRequest): Promise<ImageRecord> {
  if (findIndexByText(store, text) !== undefined)
    return await requireInstance(store, text, wantedPlatform(request));
  const image = findImageByText(store, text);
  if (image === undefined) {
    throw new CooperError("not-found", `${text}: no such image in the store`, {
      hint: "cooper images lists what is there",
    });
  }
  warnOfPlatform(store, text, image, request);
  return image;
}

function wantedPlatform({ platform }: PullRequest): Platform {
  return platform === undefined ? hostPlatform() : parsePlatform(platform);
}

function warnOfPlatform(store: StoreFiles, text: string, image: ImageRecord, request: PullRequest): void {
  if (request.platform === undefined) return;
  const made = readConfig(store, image);
  const wanted = parsePlatform(request.platform);
  if (matchesPlatform(wanted, made)) return;
  request.onEvent?.({
    type: "warning",
    message: `${text} is an image for ${formatPlatform(made)}, not for ${formatPlatform(wanted)}`,
  });
}

/** Full names in registries that a reference without a transport may mean. */
async function candidatesOf(text: string): Promise<string[]> {
  if (isFullId(text)) return [];
  const { registryCandidates } = await import("../transport/registry/short-names.ts");
  return registryCandidates(text);
}

async function pullName(store: StoreFiles, text: string, request: PullRequest): Promise<ImageRecord> {
  const candidates = await candidatesOf(text);
  if (candidates.length > 0) return await pullFirst(store, text, candidates, request);
  throw new CooperError(
    "not-found",
    `Cannot pull ${text}: names below localhost/ are those of the store only`,
    {
      hint: "name the registry as host:port, or say where localhost is in registries.conf",
    },
  );
}

const pulling = new WeakMap<StoreFiles, Map<string, Promise<ImageRecord>>>();

/** Pulls the first name that can be had. Whoever asks for the same at the same time gets the same pull. */
function pullFirst(
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
  const started = tryCandidates(store, text, candidates, request).finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

async function tryCandidates(
  store: StoreFiles,
  text: string,
  candidates: string[],
  request: PullRequest,
): Promise<ImageRecord> {
  const failures: CooperError[] = [];
  for (const name of candidates) {
    try {
      return await pullImage(store, `docker://${name}`, request);
    } catch (error) {
      if (candidates.length === 1 || isCancelled(error) || !(error instanceof CooperError)) throw error;
      failures.push(error);
    }
  }
  throw new CooperError(
    failures.every(({ code }) => code === "not-found") ? "not-found" : failures.at(-1)!.code,
    `Cannot pull ${text} from any registry that is searched: ${failures.map(({ message }) => message).join("; ")}`,
    { cause: failures },
  );
}

function isCancelled(error: unknown): boolean {
  return error instanceof CooperError && error.code === "cancelled";
}

function registrySettings({ registry, onEvent, signal }: PullRequest | SendRequest): RegistrySettings {
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
    ...registrySettings(request),
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
  await using target = await openTarget(destinationOf(destination), registrySettings(request));
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
    ...(request.compressionLevel === undefined ? {} : { compressionLevel: request.compressionLevel }),
    ...(request.platform === undefined ? {} : { platform: parsePlatform(request.platform) }),
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}
