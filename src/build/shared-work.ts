/** What the builds of one command have in common: one build, or one for each platform. */
import pLimit, { type LimitFunction } from "p-limit";
import type { Digest } from "../base/digest.ts";
import type { Download } from "../container/download.ts";
import type { Sandbox } from "../sandbox/types.ts";
import type { BuildRequest } from "./build-request.ts";
import type { GitCheckout } from "./fetch-git.ts";
import type { OpenOrigin } from "./origins.ts";
import type { RemoteCache } from "./remote-cache.ts";
import type { StepResult } from "./step-result.ts";

/** When no step runs any more, what they left for others is given back by disposing of it. */
export interface SharedWork extends AsyncDisposable {
  /** Runs a stage when a job is free. */
  limit: LimitFunction;
  /** Results of steps, by cache key, those under way included. */
  steps: Map<Digest, Promise<StepResult>>;
  /** Contexts that are directories, by name. */
  contexts: Map<string | undefined, Promise<OpenOrigin>>;
  /** What ADD fetched already, by its source as JSON: all platforms get the same. */
  downloads: Map<string, Promise<Download>>;
  checkouts: Map<string, Promise<GitCheckout>>;
  /** Undefined without --cache-from and --cache-to. */
  remote: RemoteCache | undefined;
  /** Chosen at the first RUN that really runs. */
  sandbox(): Sandbox;
  /** Aborts when the caller does, whatever fails. */
  interrupt: AbortSignal;
  /** Ends the builds for other platforms. */
  endOthers(): void;
}

/** `request` is any of the builds', with the caller's own signal. */
export async function openSharedWork(
  request: BuildRequest,
  sandbox: () => Sandbox,
  endOthers = () => {},
): Promise<SharedWork> {
  const { cacheFrom, cacheTo, jobs } = request;
  const chosen = once(sandbox);
  return {
    limit: pLimit(Math.max(1, jobs)),
    steps: new Map(),
    contexts: new Map(),
    downloads: new Map(),
    checkouts: new Map(),
    remote: cacheFrom.length + cacheTo.length === 0 ? undefined : await openRemote(request),
    sandbox: chosen,
    interrupt: request.signal,
    endOthers,
    [Symbol.asyncDispose]: async () => await chosen.known()?.close(),
  };
}

async function openRemote(request: BuildRequest): Promise<RemoteCache> {
  const { openRemoteCache } = await import("./remote-cache.ts");
  return await openRemoteCache(request);
}

/** Called once, at the first call; `known` is what it gave, if it was called. */
function once<T>(make: () => T): { (): T; known(): T | undefined } {
  let made: { value: T } | undefined;
  const call = () => {
    made ??= { value: make() };
    return made.value;
  };
  return Object.assign(call, { known: () => made?.value });
}
