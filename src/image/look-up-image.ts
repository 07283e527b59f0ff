/** What an image is, before any of its layers is brought here. */
import { digestHex } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { parsePlatform } from "../oci/platform.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { Descriptor, ImageConfig } from "../oci/types.ts";
import { readConfig, readManifest } from "../store/images.ts";
import type { ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { copyImage } from "../transport/copy-image.ts";
import { openSource } from "../transport/open-transport.ts";
import type { Source } from "../transport/types.ts";
import { lookAt } from "./look-at.ts";
import { settingsOf } from "./move-image.ts";
import { obtainImage, obtainName, type PullPolicy, type PullRequest } from "./obtain-image.ts";
import { StoreTarget } from "./store-transport.ts";
import { tryCandidates } from "./try-candidates.ts";

export interface FoundImage {
  config: ImageConfig;
  /** Of its manifest. */
  annotations: Record<string, string>;
  /** Brings it into the store, unless it is there; that very image, whatever its name means by then. */
  obtain(): Promise<ImageRecord>;
}

/** Like obtainImage(), but of an image in a registry only manifest and config are read. */
export async function lookUpImage(
  store: StoreFiles,
  text: string,
  policy: PullPolicy,
  request: PullRequest,
): Promise<FoundImage> {
  const here = (image: ImageRecord): FoundImage => ({
    config: readConfig(store, image),
    annotations: readManifest(store, image).annotations ?? {},
    obtain: async () => image,
  });
  const reference = parseTransport(text);
  if (reference.transport !== "docker" && reference.transport !== "name")
    return here(await obtainImage(store, text, policy, request));
  const name = reference.transport === "docker" ? reference.name : text;
  return await obtainName(store, name, policy, request, {
    here,
    pull: (candidates) =>
      tryCandidates(`Cannot pull ${text}`, candidates, (candidate) => lookUpName(store, candidate, request)),
  });
}

async function lookUpName(store: StoreFiles, name: string, request: PullRequest): Promise<FoundImage> {
  // It stays open for obtain(): a source of a registry holds nothing that would have to be closed.
  const source = await openSource(parseTransport(`docker://${name}`), settingsOf(request));
  const platform = request.platform === undefined ? undefined : parsePlatform(request.platform);
  const { config, manifest, rawConfig } = await lookAt(source, platform, request.signal);
  if (config === undefined) throw new CooperError("unsupported", `${source.name} is no container image`);
  const pull = async () => {
    await using target = new StoreTarget(store, [name]);
    await copyImage(withDocument(source, manifest.config, rawConfig), target, {
      compression: "keep",
      format: "keep",
      action: "pull",
      ...(platform === undefined ? {} : { platform }),
      ...(request.onEvent === undefined ? {} : { onEvent: request.onEvent }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
    if (target.image?.id !== digestHex(manifest.config.digest))
      throw new CooperError("integrity", `${source.name} became another image while it was pulled`);
    return target.image;
  };
  let pulled: Promise<ImageRecord> | undefined;
  return {
    config,
    annotations: manifest.annotations ?? {},
    obtain: () => {
      pulled ??= pull();
      return pulled;
    },
  };
}

/** A source of which one document is here already. */
function withDocument(source: Source, document: Descriptor, bytes: Uint8Array): Source {
  return {
    name: source.name,
    resolve: () => source.resolve(),
    fetch: async (descriptor) =>
      descriptor.digest === document.digest ? oneChunk(bytes) : await source.fetch(descriptor),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
