/** A root file system, as a tar or a directory, becomes an image of one layer. */
import { createReadStream, existsSync, rmSync, statSync } from "node:fs";
import { applyLayer } from "../archive/apply-layer.ts";
import { decompress } from "../archive/compression.ts";
import { copyTree } from "../archive/copy-tree.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { fileIds, fileOwnership } from "../base/process-ids.ts";
import { newImageConfig } from "../oci/config.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { ContainerConfig, ImageFormat } from "../oci/types.ts";
import { addImage, plainLayer } from "../store/images.ts";
import { measureLayer } from "../store/pack.ts";
import type { ImageRecord } from "../store/image-records.ts";
import { addLayer, UNPACKED } from "../store/layer-records.ts";
import { makeSnapshotSlowly, type StoreFiles } from "../store/store.ts";

export interface ImportRequest {
  names: string[];
  config: ContainerConfig;
  message: string | undefined;
  platform: string | undefined;
  format: ImageFormat;
  signal: AbortSignal | undefined;
}

/** Imports `source`: a directory, a tar (compressed or not), or `-` for a tar on stdin. */
export async function importRoot(
  store: StoreFiles,
  source: string,
  request: ImportRequest,
): Promise<ImageRecord> {
  if (source !== "-" && !existsSync(source))
    throw new CooperError("not-found", `Cannot import ${source}: there is no such file`);
  const snapshot = await makeSnapshotSlowly(store, (directory) =>
    fill(source, directory, request.signal).catch((error) => {
      throw wrapError(`Cannot import ${nameOf(source)}`, error);
    }),
  );
  const measured = await measureLayer(store, { stack: [snapshot], below: [] }, { signal: request.signal });
  addLayer(store.db, [snapshot], measured, UNPACKED);
  const layer = plainLayer(request.format, [snapshot], measured);
  const platform = request.platform === undefined ? hostPlatform() : parsePlatform(request.platform);
  const created = new Date().toISOString();
  const config = {
    created,
    ...newImageConfig(platform),
    config: request.config,
    rootfs: { type: "layers" as const, diff_ids: [layer.diffId] },
    history: [
      {
        created,
        created_by: `import ${source === "-" ? "from standard input" : "of a root file system"}`,
        ...(request.message === undefined ? {} : { comment: request.message }),
      },
    ],
  };
  return addImage(store, { config, layers: [layer], annotations: {}, format: request.format }, request.names);
}

const nameOf = (source: string) => (source === "-" ? "the archive" : source);

async function fill(source: string, directory: string, signal: AbortSignal | undefined): Promise<void> {
  if (source !== "-" && statSync(source).isDirectory()) {
    rmSync(directory, { recursive: true });
    copyTree(source, directory, { ownership: fileOwnership() });
    return;
  }
  const bytes: AsyncIterable<Uint8Array> =
    source === "-" ? Bun.stdin.stream() : createReadStream(source, { highWaterMark: 1 << 20 });
  await applyLayer(decompress(bytes, nameOf(source)), directory, {
    ids: fileIds(),
    ...(signal === undefined ? {} : { signal }),
  });
}
