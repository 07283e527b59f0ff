/** A build for several platforms: one build for each, side by side, with what is the same for all done once. */
import { CooperError, wrapError } from "../base/errors.ts";
import type { BuildEvent, EventSink } from "../base/events.ts";
import type { Warning } from "../dockerfile/instruction.ts";
import { formatPlatform, matchesPlatform, parsePlatform } from "../oci/platform.ts";
import type { Sandbox } from "../sandbox/types.ts";
import type { StoreFiles } from "../store/store.ts";
import { type BuiltImage, checkImage, type FinishedBuild, runBuild } from "./build-image.ts";
import type { BuildRequest } from "./build-request.ts";
import { openSharedWork } from "./shared-work.ts";

export interface PlatformImage extends BuiltImage {
  /** `os/architecture[/variant]` */
  platform: string;
}

/**
 * Builds for each platform; the images get no names. Nothing is committed before all of them have run: the first that
 * fails ends the others, and its error is thrown with its platform.
 */
export async function buildPlatforms(
  store: StoreFiles,
  request: BuildRequest,
  platforms: string[],
  sandbox: () => Sandbox,
): Promise<PlatformImage[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  const common = { ...request, names: [], signal, onEvent: warningsOnce(request.onEvent) };
  const endOthers = () => failed.abort(new CooperError("cancelled", "the one for another platform failed"));
  await using shared = await openSharedWork({ ...common, signal: request.signal }, sandbox, endOthers);
  const failures: CooperError[] = [];
  const run = async (platform: string): Promise<FinishedBuild | undefined> => {
    try {
      const finished = await runBuild(store, requestFor(common, platform), shared);
      requirePlatform(finished, platform);
      return finished;
    } catch (error) {
      failures.push(wrapError(`Cannot build for ${platform}`, error));
      endOthers();
      return undefined;
    }
  };
  const builds = await Promise.all(platforms.map(run));
  const failure = failures.find(({ code }) => code !== "cancelled") ?? failures[0];
  if (failure !== undefined) throw failure;
  const images: PlatformImage[] = [];
  for (const [index, build] of builds.entries())
    images.push({ platform: platforms[index]!, ...(await build!.commit()) });
  return images;
}

/**
 * Everything that is said of the Dockerfile without running it, for any of the platforms. Throws what building for one of them
 * would throw before its first step.
 */
export async function checkPlatforms(
  store: StoreFiles,
  request: BuildRequest,
  platforms: string[],
): Promise<Warning[]> {
  const all = new Map<string, Warning>();
  for (const platform of platforms) {
    try {
      for (const warning of await checkImage(store, { ...request, platform }))
        all.set(JSON.stringify(warning), warning);
    } catch (error) {
      throw wrapError(`Cannot build for ${platform}`, error);
    }
  }
  return [...all.values()];
}

/** An image for another platform than the one asked for would make a list that lies. Throws `invalid`. */
function requirePlatform({ image }: FinishedBuild, platform: string): void {
  if (matchesPlatform(parsePlatform(platform), image)) return;
  throw new CooperError("invalid", `the image would be one for ${formatPlatform(image)}`, {
    hint: "The last stage must be FROM an image that exists for the platform, or from scratch",
  });
}

/** What is said of the Dockerfile is the same for each platform. */
function warningsOnce(onEvent: EventSink): EventSink {
  const seen = new Set<string>();
  return (event) => {
    if (event.type === "warning") {
      const text = JSON.stringify(event);
      if (seen.has(text)) return;
      seen.add(text);
    }
    onEvent(event);
  };
}

/** All that the build for a platform tells says so. */
function requestFor(common: BuildRequest, platform: string): BuildRequest {
  const { onEvent, onMiss } = common;
  return {
    ...common,
    platform,
    onEvent: (event) => onEvent(labelled(event, platform)),
    onMiss: onMiss && ((step, miss) => onMiss({ ...step, platform }, miss)),
  };
}

function labelled(event: BuildEvent, platform: string): BuildEvent {
  switch (event.type) {
    case "step-start":
    case "step-done":
    case "step-failed":
    case "debug-shell":
      return { ...event, step: { ...event.step, platform } };
    case "output":
      return event.step === undefined ? event : { ...event, step: { ...event.step, platform } };
    case "commit-start":
    case "commit-progress":
    case "commit-done":
      return { ...event, platform };
    default:
      return event;
  }
}
