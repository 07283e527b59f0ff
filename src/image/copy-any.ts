/** Copies between any two places, the store among them. */
import { CooperError } from "../base/errors.ts";
import { isIndexType } from "../oci/media-types.ts";
import { parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { keepsPlainLayers, parseTransport, type TransportReference } from "../oci/transport-reference.ts";
import { createIndex } from "../store/indexes.ts";
import type { StoreFiles } from "../store/store.ts";
import { type CopyImageOptions, type CopyResult, copyImage } from "../transport/copy-image.ts";
import { openTarget } from "../transport/open-transport.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import type { Source } from "../transport/types.ts";
import { BlobTarget } from "./index-source.ts";
import type { SendRequest } from "./move-image.ts";
import { isStored, openReference } from "./open-reference.ts";
import { StoreTarget } from "./store-transport.ts";

export interface CopyRequest extends SendRequest {
  /** Where names without a transport are looked for first, and kept. */
  store?: StoreFiles | undefined;
  /** Of a list: an index of the images for these alone. */
  platforms?: string[] | undefined;
  /** What speaks of the image travels along. */
  referrers?: boolean | undefined;
  /** Fail where a digest would change. */
  preserveDigests?: boolean | undefined;
  source?: RegistrySettings | undefined;
  target?: RegistrySettings | undefined;
}

/** Copies an image or a list. With a store, a destination without a transport is a name in it. */
export async function copyAny(from: string, to: string, request: CopyRequest): Promise<CopyResult> {
  const { store } = request;
  const origin = parseTransport(from);
  const common: RegistrySettings = {
    ...request.registry,
    signal: request.signal,
    onWarning: (message) => request.onEvent?.({ type: "warning", message }),
  };
  await using source = await openReference(store, origin, { ...common, ...request.source });
  const reference = parseTransport(to);
  const options = optionsOf(request);
  if (store !== undefined && reference.transport === "name") {
    const name = normaliseName(reference.name);
    return options.all === true
      ? await copyList(store, source, from, name, options)
      : await copyOne(store, source, name, options);
  }
  const destination = reference.transport === "name" ? parseTransport(`docker://${to}`) : reference;
  const settings = { ...common, ...request.target, mountFrom: repositoriesOf(origin) };
  await using target = await openTarget(destination, settings);
  // Layers that were committed here were never compressed: to other places they go as a push sends them.
  const isPush =
    store !== undefined &&
    origin.transport === "name" &&
    isStored(store, origin.name) &&
    !keepsPlainLayers(destination);
  const compression = options.compression === "keep" && isPush ? "gzip" : options.compression;
  return await copyImage(source, target, {
    ...options,
    ...(compression === undefined ? {} : { compression }),
  });
}

function repositoriesOf(origin: TransportReference): string[] {
  return origin.transport === "docker" ? [origin.name] : [];
}

function optionsOf(request: CopyRequest): CopyImageOptions {
  const { platforms = [], platform, all } = request;
  const wanted = platforms.length === 0 && platform !== undefined ? [platform] : platforms;
  const several = wanted.length > 1 || (all === true && wanted.length > 0);
  return {
    compression: request.compression,
    format: request.format,
    all: all === true || several,
    forceCompression: request.forceCompression ?? false,
    foreignLayers: request.foreignLayers ?? false,
    attestations: request.attestations ?? true,
    referrers: request.referrers ?? false,
    preserveDigests: request.preserveDigests ?? false,
    ...(several ? { platforms: wanted.map((one) => parsePlatform(one)) } : {}),
    ...(!several && wanted[0] !== undefined ? { platform: parsePlatform(wanted[0]) } : {}),
    ...(request.compressionLevel === undefined ? {} : { compressionLevel: request.compressionLevel }),
    ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  };
}

async function copyOne(
  store: StoreFiles,
  source: Source,
  name: string,
  options: CopyImageOptions,
): Promise<CopyResult> {
  await using target = new StoreTarget(store, [name]);
  return await copyImage(source, target, { ...options, action: "pull" });
}

/** A list becomes a list of the store; what turns out to be one image becomes an image. */
async function copyList(
  store: StoreFiles,
  source: Source,
  from: string,
  name: string,
  options: CopyImageOptions,
): Promise<CopyResult> {
  if (!isIndexType((await source.resolve()).mediaType)) return await copyOne(store, source, name, options);
  await using target = new BlobTarget(store);
  const result = await copyImage(source, target, { ...options, action: "pull" });
  if (target.root === undefined) throw new CooperError("internal", `${from} was copied and has no root`);
  createIndex(store, target.root.digest, [], [name], true);
  return result;
}
