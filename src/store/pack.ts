/** Snapshots as layer tars: what a commit hashes and a push sends, byte for byte the same each time. */
import { releaseChunk } from "../archive/chunk-buffer.ts";
import { packLayer } from "../archive/pack-layer.ts";
import { type Digest, Digester } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import { fileIds } from "../base/process-ids.ts";
import { addLayer, findLayer, findVariant } from "./layer-records.ts";
import { type StoreFiles, snapshotPath } from "./store.ts";

/** A layer to pack: its snapshots, those of everything below (both lowest first), and what changes the bytes. */
export interface LayerToPack {
  stack: string[];
  below: string[];
  /** Seconds since 1970 that no file is newer than, or, with the mode "set", that all have. */
  timestamp?: number | undefined;
  timestampMode?: "clamp" | "set" | undefined;
}

/** `t` for clamped times, `s` for times that were set. */
function variantOf({ timestamp, timestampMode }: LayerToPack): string {
  if (timestamp === undefined) return "";
  return `${timestampMode === "set" ? "s" : "t"}${timestamp}`;
}

function timesOf(variant: string): Pick<LayerToPack, "timestamp" | "timestampMode"> {
  if (variant === "") return {};
  return { timestamp: Number(variant.slice(1)), timestampMode: variant.startsWith("s") ? "set" : "clamp" };
}

/** The tar of a layer, uncompressed. */
export function layerTar(store: StoreFiles, layer: LayerToPack): Generator<Uint8Array, void> {
  return packLayer({
    diffs: layer.stack.map((id) => snapshotPath(store, id)),
    below: layer.below.map((id) => snapshotPath(store, id)),
    ids: fileIds(),
    ...(layer.timestamp === undefined ? {} : { timestamp: layer.timestamp }),
    ...(layer.timestampMode === undefined ? {} : { timestampMode: layer.timestampMode }),
  });
}

/** Bytes between two reports of progress: some hundredths of a second. */
const PROGRESS_BYTES = 8 << 20;

export interface Watch {
  /** Learns now and then how many bytes were hashed. */
  onBytes?: (hashed: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * The diff_id and size of a layer: remembered, or found by packing it into the hash (no tar is written). Others have their turn
 * meanwhile, so that a signal is heard. Throws `cancelled`.
 */
export async function measureLayer(
  store: StoreFiles,
  layer: LayerToPack,
  { onBytes = () => {}, signal }: Watch = {},
): Promise<{ diffId: Digest; size: number }> {
  const known = findLayer(store.db, layer.stack, variantOf(layer));
  if (known !== undefined) return known;
  const digester = new Digester();
  let told = 0;
  for (const chunk of layerTar(store, layer)) {
    digester.update(chunk);
    releaseChunk(chunk);
    if (digester.size - told < PROGRESS_BYTES) continue;
    told = digester.size;
    onBytes(told);
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted)
      throw new CooperError("cancelled", "Packing a layer was cancelled", { cause: signal.reason });
  }
  const measured = { diffId: digester.digest(), size: digester.size };
  addLayer(store.db, layer.stack, measured, variantOf(layer));
  return measured;
}

/** The tar of a committed layer again, for sending, packed as it was then; whoever reads it verifies it. */
export function committedLayerTar(
  store: StoreFiles,
  stack: string[],
  below: string[],
  diffId: Digest,
): Generator<Uint8Array, void> {
  const variant = findVariant(store.db, stack, diffId) ?? "";
  return layerTar(store, { stack, below, ...timesOf(variant) });
}
