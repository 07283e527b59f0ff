/** Many images from registries into a registry or directories, and back (skopeo-sync(1)). */
import { basename, join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { type CopyRequest, copyAny } from "./copy-any.ts";
import { findSyncImages, type SyncFrom, type SyncImage } from "./sync-sources.ts";

/** What became of one image. */
export interface SyncedImage {
  source: string;
  /** Absent where the source's tags could not be listed. */
  destination?: string;
  /** As it was written; absent with `dryRun` and where it failed. */
  digest?: Digest;
  error?: CooperError;
}

export interface SyncRequest extends CopyRequest {
  from: SyncFrom;
  to: "docker" | "dir";
  /** Names at the destination have the whole name of the source, not only its last part. */
  scoped: boolean;
  appendSuffix: string;
  /** Failures are kept for the end. */
  keepGoing: boolean;
  /** Nothing is copied. */
  dryRun: boolean;
  onImage(image: SyncedImage): void | Promise<void>;
}

/**
 * Copies all images of `source` below `destination`, and tells of each. Throws the first failure; with `keepGoing` one that
 * counts them, at the end.
 */
export async function syncImages(source: string, destination: string, request: SyncRequest): Promise<void> {
  if (request.from === "dir" && request.to === "dir")
    throw new CooperError("usage", "Images are not synced from directories to directories", {
      hint: "cp -a copies them as well",
    });
  const settings = { ...request.registry, ...request.source, signal: request.signal };
  const { images, failures } = await findSyncImages(request.from, source, {
    settings,
    keepGoing: request.keepGoing,
  });
  requireDistinct(images, destination, request);
  for (const failure of failures) await request.onImage(failure);
  let failed = failures.length;
  for (const image of images) {
    const target = destinationOf(image, destination, request);
    try {
      const copied = request.dryRun ? {} : { digest: await copyOne(image, target, request) };
      await request.onImage({ source: image.source, destination: target, ...copied });
    } catch (error) {
      const failure = error instanceof CooperError ? error : wrapError(`Cannot sync ${image.source}`, error);
      if (!request.keepGoing || failure.code === "cancelled") throw failure;
      await request.onImage({ source: image.source, destination: target, error: failure });
      failed++;
    }
  }
  if (failed > 0)
    throw new CooperError("system", `${failed} of ${images.length + failures.length} could not be synced`);
}

/** Names of several images that are one at the destination would leave the last one there. */
function requireDistinct(images: SyncImage[], destination: string, request: SyncRequest): void {
  const seen = new Map<string, string>();
  for (const image of images) {
    const target = destinationOf(image, destination, request);
    const other = seen.get(target);
    if (other !== undefined && other !== image.source) {
      throw new CooperError("usage", `${other} and ${image.source} would both become ${target}`, {
        hint: "--scoped keeps their whole names",
      });
    }
    seen.set(target, image.source);
  }
}

function destinationOf({ name }: SyncImage, destination: string, request: SyncRequest): string {
  const path = `${join(destination, request.scoped ? name : basename(name))}${request.appendSuffix}`;
  return request.to === "dir" ? `dir:${path}` : `docker://${path}`;
}

async function copyOne(image: SyncImage, target: string, request: SyncRequest): Promise<Digest> {
  const source = { ...request.source, ...image.settings };
  return (await copyAny(image.source, target, { ...request, source })).root.digest;
}
