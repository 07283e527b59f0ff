/** A build for several platforms, as its callers see it: the images in a list that has the names. */
import { join } from "node:path";
import type { BuildOptions, BuildOutput, BuildResult, Store } from "../api-types.ts";
import { CooperError } from "../base/errors.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { buildPlatforms, type PlatformImage } from "../build/build-platforms.ts";
import { exportImage } from "../build/export-image.ts";
import { imageEntry } from "../image/index-entries.ts";
import type { Sandbox } from "../sandbox/types.ts";
import { requireImage } from "../store/images.ts";
import { findIndex, type IndexRecord, obtainIndex } from "../store/indexes.ts";
import type { StoreFiles } from "../store/store.ts";
import { createManifest } from "./manifests.ts";
import { filesOf } from "./store.ts";

/**
 * Builds for each platform and makes a list of the images: it gets the build's names, as with BuildKit. `manifest` names
 * one that they are added to; then that one is the result. Nothing is named when one platform fails.
 */
export async function buildList(
  store: Store,
  { outputs = [], manifest }: Pick<BuildOptions, "outputs" | "manifest">,
  request: BuildRequest,
  platforms: string[],
  sandbox: () => Sandbox,
): Promise<BuildResult> {
  for (const output of outputs) checkOutput(output);
  const files = filesOf(store);
  const images = await buildPlatforms(files, request, platforms, sandbox);
  const isListed = request.names.length > 0 || manifest === undefined || outputs.some(isLayout);
  const own = isListed ? listOf(files, images, request.names) : undefined;
  for (const output of outputs) await exportAll(files, request, images, own, output);
  const list = manifest === undefined ? own : await addTo(store, manifest, images);
  if (list === undefined) throw new CooperError("internal", "A build for several platforms made no list");
  const told = images.map(({ platform, id, digest }) => ({ platform, imageId: id, digest }));
  return { imageId: list.id, names: request.names, digest: list.manifest, images: told };
}

const isLayout = ({ type }: BuildOutput) => type === "oci";

function listOf(files: StoreFiles, images: PlatformImage[], names: string[]): IndexRecord {
  const found = images.map(({ id }) => imageEntry(files, id, requireImage(files, id)));
  const manifests = found.flatMap(({ entries }) => entries);
  const instances = found.flatMap((entry) => entry.instances);
  return obtainIndex(files, { schemaVersion: 2, manifests }, instances, names);
}

async function addTo(
  store: Store,
  manifest: string,
  images: PlatformImage[],
): Promise<IndexRecord | undefined> {
  const { id } = await createManifest(store, manifest, {
    amend: true,
    images: images.map((image) => image.id),
  });
  return findIndex(filesOf(store).db, id);
}

/** Throws `unsupported` for what holds one image only. */
function checkOutput({ type }: BuildOutput): void {
  const why = {
    docker: "Docker's archives hold no lists of images",
    tar: "its files are those of one image",
    oci: undefined,
    local: undefined,
  }[type];
  if (why === undefined) return;
  throw new CooperError(
    "unsupported",
    `A build for several platforms has no output of type ${type}: ${why}`,
    {
      hint: "use type=oci for the images, or type=local for a directory of files for each platform",
    },
  );
}

/** As BuildKit: files go into a directory for each platform, images into one layout. */
async function exportAll(
  files: StoreFiles,
  request: BuildRequest,
  images: PlatformImage[],
  list: IndexRecord | undefined,
  { type, destination, directory = false, name }: BuildOutput,
): Promise<void> {
  if (type === "oci" && list !== undefined)
    return await exportImage(files, request, list.id, { type, destination, directory, name });
  for (const { platform, id } of images) {
    const place = join(destination, platform.replaceAll("/", "_"));
    await exportImage(files, request, id, { type, destination: place, directory, name });
  }
}
