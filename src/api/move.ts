/** Images between the store and other places. */
import type {
  ImageCopyOptions,
  ImageInfo,
  LoadOptions,
  PullOptions,
  PushOptions,
  PushResult,
  SaveOptions,
  Store,
} from "../api-types.ts";
import { loadArchive, saveArchive } from "../image/archives.ts";
import { type CopyRequest, copyAny } from "../image/copy-any.ts";
import { pullImage, pushImage, type SendRequest } from "../image/move-image.ts";
import { obtainImage } from "../image/obtain-image.ts";
import { pullAllTags } from "../image/pull-all-tags.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { keepsPlainLayers, parseTransport } from "../oci/transport-reference.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import { registrySettings } from "./registry-options.ts";
import { imageInfo } from "./images.ts";
import { filesOf } from "./store.ts";

/**
 * Brings an image into the store: a name in a registry, unless the policy (default `missing`) is content with the image that
 * the store has under that name; or of any other transport, always.
 */
export async function pull(store: Store, source: string, options: PullOptions = {}): Promise<ImageInfo> {
  const files = filesOf(store);
  const { policy = "missing", name, platform, onEvent, signal } = options;
  const request = { name, platform, onEvent, signal, registry: registrySettings(options) };
  const image =
    policy === "always"
      ? await pullImage(files, source, request)
      : await obtainImage(files, source, policy, request);
  return imageInfo(files, image);
}

/**
 * Brings the images of all tags of a repository into the store, under their names.
 * Throws `usage` when the name has a tag.
 */
export async function pullAll(
  store: Store,
  repository: string,
  options: Omit<PullOptions, "name"> = {},
): Promise<ImageInfo[]> {
  const files = filesOf(store);
  const { policy = "missing", platform, onEvent, signal } = options;
  const request = { platform, onEvent, signal, registry: registrySettings(options) };
  return (await pullAllTags(files, repository, policy, request)).map((image) => imageInfo(files, image));
}

/** Sends an image of the store to a destination. */
export async function push(
  store: Store,
  image: string,
  destination: string,
  options: PushOptions = {},
): Promise<PushResult> {
  const { root } = await pushImage(
    filesOf(store),
    image,
    destination,
    sendRequest(options, keepsPlainLayers(parseTransport(destination)) ? "keep" : "gzip"),
  );
  return { digest: root.digest };
}

/**
 * Copies an image or a list between any two places. With `store`, a name without a transport is one of the store (or, if
 * the store does not have it, the source is in a registry); without, it is one in a registry.
 */
export async function copy(
  source: string,
  destination: string,
  options: ImageCopyOptions = {},
): Promise<PushResult> {
  const { root } = await copyAny(source, destination, copyRequest(options));
  return { digest: root.digest };
}

/** The options of a copy as it takes them. */
export function copyRequest(options: ImageCopyOptions): CopyRequest {
  return {
    ...sendRequest(options, "keep"),
    store: options.store === undefined ? undefined : filesOf(options.store),
    platforms: options.platforms,
    referrers: options.referrers,
    preserveDigests: options.preserveDigests,
    source: given(registrySettings(options.source ?? {})),
    target: given(registrySettings(options.destination ?? {})),
  };
}

/** What is set, so that it can be laid over settings for both sides. */
function given(settings: RegistrySettings): RegistrySettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** Writes images of the store to one archive (`-`: the standard output), each under the name by which it is given. */
export async function saveImages(
  store: Store,
  images: string[],
  file: string,
  options: SaveOptions = {},
): Promise<void> {
  const { format = "docker-archive", all, onEvent, signal } = options;
  const path = file === "-" ? "/dev/stdout" : file;
  await saveArchive(filesOf(store), images, path, { format, all, onEvent, signal });
}

/** Brings all images of an archive (`-`: of the standard input) into the store, with their names. */
export async function loadImages(
  store: Store,
  file: string,
  options: LoadOptions = {},
): Promise<(ImageInfo & { loadedNames: string[] })[]> {
  const files = filesOf(store);
  const loaded = await loadArchive(files, file, options);
  return loaded.map(({ image, names }) => ({ ...imageInfo(files, image), loadedNames: names }));
}

function sendRequest(options: PushOptions, usual: LayerCompression | "keep"): SendRequest {
  return {
    compression: options.compression ?? usual,
    compressionLevel: options.compressionLevel,
    format: options.format ?? "keep",
    platform: options.platform,
    all: options.all,
    forceCompression: options.forceCompression,
    attestations: options.attestations,
    variants: options.addCompression,
    foreignLayers: options.foreignLayers,
    registry: registrySettings(options),
    onEvent: options.onEvent,
    signal: options.signal,
  };
}
