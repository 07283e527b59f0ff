/** --output: the result somewhere else than in the store. */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { copyFiles } from "../archive/copy-tree.ts";
import { packLayer } from "../archive/pack-layer.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { inTurns } from "../base/turns.ts";
import { fileIds } from "../base/process-ids.ts";
import { containerBase } from "../container/container-base.ts";
import { createBuildContainer, snapshotter, treeOf } from "../container/working-container.ts";
import { pushImage } from "../image/move-image.ts";
import { readConfig } from "../store/images.ts";
import { findImage } from "../store/image-records.ts";
import { type StoreFiles, snapshotPath } from "../store/store.ts";
import type { BuildRequest } from "./build-request.ts";

export interface BuildOutput {
  /** `local`: a directory of files; `tar`: the same as an archive; `oci`, `docker`: the image. */
  type: "local" | "tar" | "oci" | "docker";
  /** Path, or `-` for standard output. */
  destination: string;
  /** An image as a directory (`tar=false`) rather than an archive. */
  directory: boolean;
  /** Name of the image within; the build's first when absent. */
  name: string | undefined;
}

/**
 * Writes an image of the store to where an output says; with `oci` it may be a list, which goes with all of its images.
 * Throws `exists` for a directory that cannot be one.
 */
export async function exportImage(
  store: StoreFiles,
  request: BuildRequest,
  imageId: string,
  output: BuildOutput,
): Promise<void> {
  const shown = output.destination === "-" ? "standard output" : output.destination;
  try {
    if (output.type === "local") await exportFiles(store, request, imageId, output.destination);
    else if (output.type === "tar") exportTar(store, request, imageId, output.destination);
    else await exportArchive(store, request, imageId, output);
  } catch (error) {
    throw wrapError(`Cannot write the build's output to ${shown}`, error);
  }
}

function exportArchive(
  store: StoreFiles,
  request: BuildRequest,
  imageId: string,
  { type, destination, directory, name = request.names[0] }: BuildOutput,
): Promise<unknown> {
  const transport = directory ? "oci" : type === "oci" ? "oci-archive" : "docker-archive";
  const path = destination === "-" ? "/dev/stdout" : resolve(destination);
  return pushImage(store, imageId, `${transport}:${path}${name === undefined ? "" : `:${name}`}`, {
    compression: type === "oci" ? "gzip" : "keep",
    format: type === "docker" ? "docker" : "oci",
    all: type === "oci",
    onEvent: request.onEvent,
    signal: request.signal,
  });
}

/** As BuildKit's local exporter: everything belongs to who asked for it. */
async function exportFiles(
  store: StoreFiles,
  request: BuildRequest,
  imageId: string,
  destination: string,
): Promise<void> {
  const directory = resolve(destination);
  mkdirSync(directory, { recursive: true });
  if (!statSync(directory).isDirectory()) throw new CooperError("exists", "it is no directory");
  const root = mountImage(store, request, imageId);
  const work = copyFiles(
    {
      sourceRoot: root,
      sources: readdirSync(root).length === 0 ? [] : ["."],
      wildcards: false,
      parents: false,
      destinationRoot: directory,
      destination: "/",
    },
    {
      owner: { uid: process.geteuid!(), gid: process.getegid!() },
      capabilities: false,
      ...exactTime(request),
    },
  );
  await inTurns(work, request.signal);
}

function exactTime({ timestamp }: BuildRequest): { timestamp?: bigint } {
  return timestamp?.files === "set" ? { timestamp: BigInt(timestamp.seconds) * 1_000_000_000n } : {};
}

function mountImage(store: StoreFiles, request: BuildRequest, imageId: string): string {
  const image = findImage(store.db, imageId);
  if (image === undefined) throw new CooperError("internal", `The image ${imageId} is gone`);
  const container = createBuildContainer(store, {
    driver: request.driver,
    base: containerBase(store, image),
    frozen: [],
    image: readConfig(store, image),
    annotations: {},
    run: {},
  });
  return snapshotter(container).mount(treeOf(store, container));
}

function exportTar(store: StoreFiles, request: BuildRequest, imageId: string, destination: string): void {
  const image = findImage(store.db, imageId);
  if (image === undefined) throw new CooperError("internal", `The image ${imageId} is gone`);
  const stack = containerBase(store, image).layers.flatMap((layer) => layer.stack);
  const { timestamp } = request;
  const path = resolve(destination);
  if (destination !== "-" && !existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
  const fd = destination === "-" ? 1 : openSync(path, "w", 0o644);
  try {
    const tar = packLayer({
      diffs: stack.map((id) => snapshotPath(store, id)),
      below: [],
      ids: fileIds(),
      ...(timestamp === undefined || timestamp.files === "keep"
        ? {}
        : { timestamp: timestamp.seconds, timestampMode: timestamp.files }),
    });
    for (const chunk of tar) writeFully(fd, chunk);
  } finally {
    if (fd !== 1) closeSync(fd);
  }
}

function writeFully(fd: number, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length; ) {
    try {
      at += writeSync(fd, chunk, at);
    } catch (error) {
      // A pipe of a reader that is slower than we are.
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}
