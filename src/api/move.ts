/** Images between the store and other places. */
import type { ImageInfo, PullOptions, PushOptions, PushResult, Store } from "../api-types.ts";
import { copyBetween, obtainImage, pullImage, pushImage, type SendRequest } from "../image/move-image.ts";
import type { LayerCompression } from "../oci/media-types.ts";
import { registrySettings } from "./registry-options.ts";
import { imageInfo } from "./images.ts";
import { filesOf } from "./store.ts";

/** Brings an image into the store: a name in a registry, or `docker://`, `oci:`, `oci-archive:`, `docker-archive:`, `dir:`. */
export async function pull(store: Store, source: string, options: PullOptions = {}): Promise<ImageInfo> {
  const files = filesOf(store);
  const { policy = "always", name, platform, onEvent, signal } = options;
  const request = { name, platform, onEvent, signal, registry: registrySettings(options) };
  const image =
    policy === "always"
      ? await pullImage(files, source, request)
      : await obtainImage(files, source, policy, request);
  return imageInfo(files, image);
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
    sendRequest(destination, options, "gzip"),
  );
  return { digest: root.digest };
}

/** Copies an image between two transports without a store. */
export async function copy(
  source: string,
  destination: string,
  options: PushOptions = {},
): Promise<PushResult> {
  const { root } = await copyBetween(source, destination, sendRequest(destination, options, "keep"));
  return { digest: root.digest };
}

/** Transports that hold plain directories or Docker's archives keep layers uncompressed unless asked, as Buildah does. */
function sendRequest(
  destination: string,
  options: PushOptions,
  usual: LayerCompression | "keep",
): SendRequest {
  const plain = /^(?:dir|docker-archive):/.test(destination);
  return {
    compression: options.compression ?? (plain ? "keep" : usual),
    compressionLevel: options.compressionLevel,
    format: options.format ?? "keep",
    platform: options.platform,
    all: options.all,
    forceCompression: options.forceCompression,
    registry: registrySettings(options),
    onEvent: options.onEvent,
    signal: options.signal,
  };
}
