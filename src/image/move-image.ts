/** Bringing images into the store, and sending them out: one copy between a source and a target. */
import type { EventSink } from "../base/events.ts";
import { CooperError } from "../base/errors.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { parseTransport, type TransportReference } from "../oci/transport-reference.ts";
import type { Descriptor, ImageFormat } from "../oci/types.ts";
import { findImageByText } from "../store/images.ts";
import type { ImageRecord } from "../store/records.ts";
import type { StoreFiles } from "../store/store.ts";
import { type CopyResult, copyImage } from "../transport/copy-image.ts";
import { openSource, openTarget } from "../transport/open-transport.ts";
import type { Source, Target } from "../transport/types.ts";
import { StoreTarget, storeSource } from "./store-transport.ts";

export type PullPolicy = "always" | "missing" | "never" | "newer";

export interface PullRequest {
  /** Name in the store; the source's own when absent. */
  name?: string | undefined;
  platform?: string | undefined;
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
  await using source = await openSource(reference);
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

/** Where an image reference may come from, and whether the store has it already. */
export async function obtainImage(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest = {},
): Promise<ImageRecord> {
  const reference = parseTransport(text);
  if (reference.transport !== "name") return pullImage(store, text, request);
  const there = findImageByText(store, text);
  if (there !== undefined && policy !== "always") return there;
  if (policy === "never")
    throw new CooperError("not-found", `${text}: no such image in the store, and pulling is off`);
  throw new CooperError("not-found", `${text}: no such image in the store`, {
    hint: "This version pulls from oci:, oci-archive:, docker-archive: and dir: only, not from registries",
  });
}

export interface SendRequest {
  compression: LayerCompression | "keep";
  compressionLevel?: number | undefined;
  format: ImageFormat | "keep";
  platform?: string | undefined;
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
  await using target = await openTarget(requireDestination(destination));
  return send(source, target, request);
}

/** Copies an image between two places without a store. */
export async function copyBetween(from: string, to: string, request: SendRequest): Promise<CopyResult> {
  await using source = await openSource(parseTransport(from));
  await using target = await openTarget(requireDestination(to));
  return send(source, target, request);
}

function requireDestination(text: string): TransportReference {
  const reference = parseTransport(text);
  if (reference.transport !== "name") return reference;
  throw new CooperError("unsupported", `Cannot push to "${text}": this version does not push to registries`, {
    hint: "Name a transport: oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or dir:DIR",
  });
}

function send(source: Source, target: Target, request: SendRequest): Promise<CopyResult> {
  return copyImage(source, target, {
    compression: request.compression,
    format: request.format,
    ...(request.compressionLevel === undefined ? {} : { compressionLevel: request.compressionLevel }),
    ...(request.platform === undefined ? {} : { platform: parsePlatform(request.platform) }),
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}
