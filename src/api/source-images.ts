/** Source images: directories in the OCI layout, outside of any store. */
import type { ExchangeOptions } from "../api-types.ts";
import type { Digest } from "../base/digest.ts";
import {
  addToSourceImage,
  createSourceImage,
  pullSourceImage,
  pushSourceImage,
} from "../image/source-image.ts";
import { parseMapping } from "../oci/annotations.ts";
import { settingsOf } from "./registry-options.ts";

/** Makes a source image without sources; returns the digest of its manifest. Throws `exists` where something is. */
export async function createSource(
  path: string,
  options: {
    author?: string;
    /** Whether it tells when it was made. Default true. */
    timestamp?: boolean;
  } = {},
): Promise<Digest> {
  const { author, timestamp = true } = options;
  return await createSourceImage(path, {
    ...(timestamp ? { created: new Date().toISOString() } : {}),
    ...(author === undefined ? {} : { author }),
  });
}

/** Adds a file, a directory's content or a tar archive, with annotations `key=value` of its own. */
export async function addToSource(
  path: string,
  artifact: string,
  options: { annotations?: string[] } = {},
): Promise<Digest> {
  return await addToSourceImage(path, artifact, parseMapping(options.annotations ?? [], "annotation"));
}

/** Sends a source image to a registry; returns the digest of its manifest. */
export async function pushSource(
  path: string,
  destination: string,
  options: ExchangeOptions = {},
): Promise<Digest> {
  return await pushSourceImage(path, destination, transferOf(options));
}

/** Brings a source image from a registry to a path where nothing is. Throws `invalid` for any other image. */
export async function pullSource(
  source: string,
  path: string,
  options: ExchangeOptions = {},
): Promise<Digest> {
  return await pullSourceImage(source, path, transferOf(options));
}

function transferOf(options: ExchangeOptions) {
  return { registry: settingsOf(options), onEvent: options.onEvent, signal: options.signal };
}
