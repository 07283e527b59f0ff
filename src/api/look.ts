/** Looking at images wherever they are. */
import type { ImageReferenceDetails, ReferenceOptions, Store } from "../api-types.ts";
import type { Digest } from "../base/digest.ts";
import { type Seen, lookAt, lookAtRoot } from "../image/look-at.ts";
import { openReference } from "../image/open-reference.ts";
import { parsePlatform } from "../oci/platform.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import { settingsOf } from "./registry-options.ts";
import { filesOf } from "./store.ts";

/**
 * What an image or list is, read without its layers, from any transport. A plain name is one of `store` if that has it,
 * else one in a registry.
 */
export async function inspectReference(
  reference: string,
  options: ReferenceOptions & { store?: Store } = {},
): Promise<ImageReferenceDetails> {
  await using source = await opened(reference, options);
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform);
  if (options.rootOnly) return rootOf(source.name, await lookAtRoot(source, options.signal));
  const seen = await lookAt(source, platform, options.signal);
  return { ...rootOf(source.name, seen), ...imageOf(seen) };
}

function rootOf(
  name: string,
  { root, raw, document, isList }: Pick<Seen, "root" | "raw" | "document" | "isList">,
): ImageReferenceDetails {
  return { name, digest: root.digest, mediaType: root.mediaType, manifest: document, raw, isList };
}

function imageOf({ image, manifest, rawConfig, config }: Seen): Partial<ImageReferenceDetails> {
  return {
    imageDigest: image.digest,
    imageManifest: manifest,
    rawConfig,
    ...(config === undefined ? {} : { config }),
  };
}

/** Digest of the manifest or list that a reference stands for; with a platform, of that one of the list. */
export async function digestOfReference(
  reference: string,
  options: ReferenceOptions & { store?: Store } = {},
): Promise<Digest> {
  const details = await inspectReference(reference, {
    ...options,
    rootOnly: options.platform === undefined,
  });
  return details.imageDigest ?? details.digest;
}

function opened(reference: string, options: ReferenceOptions & { store?: Store }) {
  const { store } = options;
  const files = store === undefined ? undefined : filesOf(store);
  return openReference(files, parseTransport(reference), settingsOf(options));
}
