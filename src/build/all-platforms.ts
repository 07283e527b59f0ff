/** --all-platforms: every platform for which a build has all of its base images. */
import { CooperError, locateError } from "../base/errors.ts";
import { lookAt, lookAtRoot } from "../image/look-at.ts";
import { openFirst, openReference } from "../image/open-reference.ts";
import { candidatesOf } from "../image/try-candidates.ts";
import { settingsOf } from "../image/move-image.ts";
import { formatPlatform, matchesPlatform, normalisePlatform } from "../oci/platform.ts";
import { parseTransport } from "../oci/transport-reference.ts";
import type { Platform } from "../oci/types.ts";
import type { StagePlan } from "../plan/types.ts";
import { findIndexByText } from "../store/indexes.ts";
import type { StoreFiles } from "../store/store.ts";
import type { Source } from "../transport/types.ts";
import type { BuildRequest } from "./build-request.ts";
import { planRequest } from "./plan-request.ts";

/**
 * The platforms that all images have that stages of the target are FROM, in the first one's order; those count whose
 * platform is that of the build. Throws `invalid` when there is no such image, `not-found` when they have none in common.
 */
export async function allPlatforms(store: StoreFiles, request: BuildRequest): Promise<string[]> {
  const offers = new Map<string, Platform[]>();
  for (const { base, location } of openStages(request)) {
    if (base.kind !== "image" || offers.has(base.reference)) continue;
    try {
      offers.set(base.reference, await platformsOf(store, request, base.reference));
    } catch (error) {
      throw locateError(error, location);
    }
  }
  const [first, ...others] = offers.values();
  if (first === undefined) {
    throw new CooperError("invalid", "Cannot tell the platforms: no stage is FROM an image of the build's", {
      hint: "Name them: --platform linux/amd64,linux/arm64",
    });
  }
  const shared = first.filter((platform) =>
    others.every((offer) => offer.some((offered) => matchesPlatform(platform, offered))),
  );
  if (shared.length > 0) return [...new Set(shared.map(formatPlatform))];
  const told = Array.from(offers, ([name, offer]) => `${name} has ${offer.map(formatPlatform).join(", ")}`);
  throw new CooperError("not-found", `The base images have no platform in common: ${told.join("; ")}`);
}

/** Stages whose platform is that of the build: those that have another one when the build has. */
function openStages(request: BuildRequest): StagePlan[] {
  const [here, there] = ["linux/amd64", "linux/s390x"].map((platform) =>
    planRequest({ ...request, platform }),
  );
  return here!.order
    .map((index) => here!.stages[index]!)
    .filter(({ index, platform }) => platform === undefined || platform !== there!.stages[index]?.platform);
}

async function platformsOf(store: StoreFiles, request: BuildRequest, reference: string): Promise<Platform[]> {
  await using source = await openBase(store, request, reference);
  const { document, isList } = await lookAtRoot(source, request.signal);
  if (isList && "manifests" in document)
    return document.manifests.flatMap(({ platform }) =>
      // BuildKit's attestations are for a platform of that name.
      platform === undefined || platform.os === "unknown" ? [] : [normalisePlatform(platform)],
    );
  const { config } = await lookAt(source, undefined, request.signal);
  return config === undefined ? [] : [normalisePlatform(platformIn(config))];
}

const platformIn = ({ os, architecture, variant }: Platform): Platform => ({
  os,
  architecture,
  ...(variant === undefined ? {} : { variant }),
});

/** Of a name in a registry the store has the image for one platform at most, unless it has the list. */
async function openBase(store: StoreFiles, request: BuildRequest, reference: string): Promise<Source> {
  const parsed = parseTransport(reference);
  const settings = settingsOf(request);
  if (parsed.transport === "name" && request.pull !== "never" && !findIndexByText(store, reference)) {
    const candidates = await candidatesOf(reference);
    if (candidates.length > 0) return await openFirst(reference, candidates, settings);
  }
  return await openReference(store, parsed, settings);
}
