/** What a stage stands on: nothing, an image, or another stage. */
import { containerBase, scratchBase } from "../container/container-base.ts";
import { obtainImage } from "../image/obtain-image.ts";
import { envMap, newImageConfig } from "../oci/config.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
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
    frozen: [],
    plan: [],
    image,
    annotations: {},
    planned,
    key,
    container: undefined,
  };
}

/** A stage FROM an image, pulled if the policy says so. */
export async function imageStage(
  store: StoreFiles,
  request: BuildRequest,
  reference: string,
  platform: string | undefined,
): Promise<StageState> {
  const image = await obtainImage(store, reference, request.pull, {
    platform: platform ?? request.platform,
    registry: request.registry,
    onEvent: request.onEvent,
    signal: request.signal,
  });
  const config = readConfig(store, image);
  const base = containerBase(store, image);
  const key = imageKey(config);
  const planned = withEnv(imageState(config.config, config.author), request.env);
  return { base, frozen: [], plan: [], image: config, annotations: {}, planned, key, container: undefined };
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
