/** What a stage stands on: nothing, an image, or another stage. */
import { annotatedBase, scratchBase } from "../container/container-base.ts";
import { obtainImage } from "../image/obtain-image.ts";
import { envMap, newImageConfig } from "../oci/config.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { ImageConfig } from "../oci/types.ts";
import { imageKey, scratchKey } from "../plan/cache-key.ts";
import { imageState, scratchState } from "../plan/resolve.ts";
import type { StageState as PlannedState } from "../plan/types.ts";
import { readConfig } from "../store/images.ts";
import type { StoreFiles } from "../store/store.ts";
import type { BuildRequest } from "./build-request.ts";
import type { StageState } from "./stage-state.ts";

/** A stage FROM scratch. */
export function scratchStage(request: BuildRequest, platform: string | undefined): StageState {
  const wanted = platform ?? request.platform;
  const image = newImageConfig(wanted === undefined ? hostPlatform() : parsePlatform(wanted));
  const key = scratchKey(image);
  const planned = withEnv(scratchState(), request.env);
  return {
    base: scratchBase,
    obtainBase: undefined,
    frozen: [],
    plan: [],
    image,
    annotations: {},
    planned,
    key,
    portable: async () => key,
    container: undefined,
  };
}

/**
 * A stage FROM an image, pulled if the policy says so. Where a remote cache may know all that is built on it, its layers
 * wait until something needs them.
 */
export async function imageStage(
  store: StoreFiles,
  request: BuildRequest,
  reference: string,
  platform: string | undefined,
): Promise<StageState> {
  const wanted = {
    platform: platform ?? request.platform,
    registry: request.registry,
    onEvent: request.onEvent,
    signal: request.signal,
  };
  const { config, annotations, ...files } =
    request.cacheFrom.length > 0 && !request.noCache
      ? await foundImage(store, reference, request.pull, wanted)
      : await pulledImage(store, reference, request.pull, wanted);
  const key = imageKey(config);
  const planned = withEnv(imageState(config.config, config.author), request.env);
  return {
    ...files,
    frozen: [],
    plan: [],
    image: config,
    annotations: request.inheritAnnotations ? annotations : {},
    planned,
    key,
    portable: async () => key,
    container: undefined,
  };
}

type BaseFiles = Pick<StageState, "base" | "obtainBase" | "annotations"> & { config: ImageConfig };

async function pulledImage(...wanted: Parameters<typeof obtainImage>): Promise<BaseFiles> {
  const image = await obtainImage(...wanted);
  const [store] = wanted;
  return { config: readConfig(store, image), ...annotatedBase(store, image), obtainBase: undefined };
}

async function foundImage(...wanted: Parameters<typeof obtainImage>): Promise<BaseFiles> {
  const { lookUpImage } = await import("../image/look-up-image.ts");
  const [store, text, policy, request = {}] = wanted;
  const { config, annotations, obtain } = await lookUpImage(store, text, policy, request);
  return { config, annotations, base: scratchBase, obtainBase: obtain };
}

function withEnv(state: PlannedState, env: string[]): PlannedState {
  if (env.length === 0) return state;
  const merged = new Map(envMap([...(state.config.Env ?? []), ...env]));
  return {
    ...state,
    config: { ...state.config, Env: Array.from(merged, ([key, value]) => `${key}=${value}`) },
  };
}

/** A stage FROM another one: it goes on where that one ended. */
export function continuedStage(other: StageState): StageState {
  return {
    ...other,
    frozen: [...other.frozen],
    plan: other.plan.map((layer) => ({ ...layer })),
    container: undefined,
  };
}
