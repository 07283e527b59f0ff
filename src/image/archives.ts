/** Several images of the store in one archive, and all images of an archive into the store. */
import { existsSync, rmSync, statSync, writeSync, openSync, closeSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { parsePlatform } from "../oci/platform.ts";
import { normaliseName } from "../oci/reference.ts";
import { candidateNamesOrNone } from "../store/images.ts";
import { findName, type ImageRecord } from "../store/image-records.ts";
import type { StoreFiles } from "../store/store.ts";
import { openArchiveFile } from "../transport/archive-file.ts";
import { type CopyImageOptions, copyImage } from "../transport/copy-image.ts";
import { DockerArchiveSet, listDockerArchive } from "../transport/docker-archive.ts";
import { isReferrersTag } from "../transport/layout-index.ts";
import { listOciArchive, OciArchiveSet } from "../transport/oci-archive.ts";
import { openSource } from "../transport/open-transport.ts";
import { StoreTarget, storeSource } from "./store-transport.ts";

export type ArchiveFormat = "docker-archive" | "oci-archive";

export interface ArchiveRequest {
  platform?: string | undefined;
  onEvent?: EventSink | undefined;
  signal?: AbortSignal | undefined;
}

function optionsOf({ platform, onEvent, signal }: ArchiveRequest): CopyImageOptions {
  return {
    compression: "keep",
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
    ...(onEvent === undefined ? {} : { onEvent }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Writes images to an archive, each under the name by which it was asked for (none when that was an id). */
export async function saveArchive(
  store: StoreFiles,
  images: string[],
  path: string,
  request: ArchiveRequest & { format: ArchiveFormat; all?: boolean | undefined },
): Promise<void> {
  await using archive =
    request.format === "docker-archive" ? new DockerArchiveSet(path) : new OciArchiveSet(path);
  for (const text of images) {
    await using source = storeSource(store, text);
    const name = nameOf(store, text);
    await using target =
      archive instanceof DockerArchiveSet
        ? archive.target(name === undefined ? [] : [name])
        : archive.target(name);
    await copyImage(source, target, { ...optionsOf(request), all: request.all ?? false });
  }
  await archive.finish();
}

function nameOf(store: StoreFiles, text: string): string | undefined {
  return candidateNamesOrNone(text).find((name) => findName(store.db, name) !== undefined);
}

/** Brings every image of an archive (`-`: of the standard input) into the store, under all of its names. */
export async function loadArchive(
  store: StoreFiles,
  path: string,
  request: ArchiveRequest = {},
): Promise<{ image: ImageRecord; names: string[] }[]> {
  if (path === "-") return await loadStandardInput(store, request);
  if (!existsSync(path)) throw new CooperError("not-found", `Cannot load ${path}: there is no such file`);
  if (statSync(path).isDirectory()) {
    throw new CooperError("usage", `Cannot load ${path}: it is a directory`, {
      hint: `use: cooper pull oci:${path} (or dir:${path})`,
    });
  }
  const format = await formatOf(path);
  const listed =
    format === "docker-archive"
      ? await listDockerArchive(path)
      : (await listOciArchive(path)).map((name) => (name === undefined ? [] : [name]));
  const loaded: { image: ImageRecord; names: string[] }[] = [];
  for (const [index, names] of listed.entries()) {
    if (names.some(isReferrersTag)) continue;
    const full = names.map(normaliseName);
    await using source = await openSource({ transport: format, path, index }, { signal: request.signal });
    await using target = new StoreTarget(store, full);
    await copyImage(source, target, { ...optionsOf(request), action: "pull" });
    if (target.image === undefined)
      throw new CooperError("internal", `Copying ${source.name} into the store named no image`);
    loaded.push({ image: target.image, names: full });
  }
  return loaded;
}

/** Recent docker save writes both formats into one archive: its own names the images. */
async function formatOf(path: string): Promise<ArchiveFormat> {
  using archive = await openArchiveFile(path, path);
  if (archive.sizeOf("manifest.json") !== undefined) return "docker-archive";
  if (archive.sizeOf("oci-layout") !== undefined) return "oci-archive";
  throw new CooperError(
    "invalid",
    `${path} is no archive of images: it has neither manifest.json nor oci-layout`,
    {
      hint: "cooper import makes an image of a root file system's tar",
    },
  );
}

async function loadStandardInput(store: StoreFiles, request: ArchiveRequest) {
  const spool = store.session.path("archive");
  const fd = openSync(spool, "wx", 0o600);
  try {
    for await (const chunk of Bun.stdin.stream())
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at, chunk.length - at);
    return await loadArchive(store, spool, request);
  } finally {
    closeSync(fd);
    rmSync(spool, { force: true });
  }
}
