/** Moves one blob, with progress. */
import type { Digest } from "../base/digest.ts";
import { CooperError } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import type { Descriptor } from "../oci/types.ts";
import { decodeLayer } from "./decode-layer.ts";
import { isElsewhere } from "./foreign-layers.ts";
import { untilKept } from "./lost-upload.ts";
import type { LayerPlan } from "./plan-layers.ts";
import type { BlobRole, Source, Target } from "./types.ts";
import { checkDigest, sizedStream, throwIfAborted, verifiedStream } from "./verified-stream.ts";

/** Bytes between two progress events of one blob. */
const PROGRESS_BYTES = 1 << 20;

export interface CopySettings {
  source: Source;
  target: Target;
  action: "pull" | "push";
  level: number | undefined;
  onEvent: EventSink;
  signal: AbortSignal | undefined;
}

/** Copies a layer as planned; gives its descriptor in the target. Annotations stay unless `bare`. */
export async function copyLayer(settings: CopySettings, plan: LayerPlan, bare: boolean): Promise<Descriptor> {
  const { mediaType, source } = plan;
  const role: BlobRole = {
    kind: "layer",
    mediaType,
    ...(plan.diffId === undefined ? {} : { diffId: plan.diffId }),
  };
  if (plan.kind === "foreign") {
    const message = `Layer ${source.digest} of ${settings.source.name} is not copied: its publisher keeps it at ${source.urls![0]}`;
    settings.onEvent({ type: "warning", message });
    return { ...source, mediaType };
  }
  const blob =
    plan.kind === "keep" ? await keepBlob(settings, source, role) : await recodeLayer(settings, plan, role);
  const { annotations, ...rest } = source;
  const kept = bare || annotations === undefined ? {} : { annotations };
  return { ...rest, ...kept, mediaType, digest: blob.digest, size: blob.size };
}

/** Copies a blob byte by byte, unless the target has it. */
export async function keepBlob(
  settings: CopySettings,
  blob: Descriptor,
  role: BlobRole,
): Promise<Descriptor> {
  const { source, target, onEvent, action, signal } = settings;
  throwIfAborted(signal, source.name);
  if (await target.exists(blob, role)) {
    onEvent({ type: "blob", action, digest: blob.digest, done: blob.size, total: blob.size, skipped: true });
    return blob;
  }
  await untilKept(async () => {
    const content = withProgress(settings, blob, await fetchBlob(source, blob, signal));
    await target.push(verifiedStream(content, blob, source.name, signal), blob, role);
  });
  return blob;
}

/** A foreign layer that the source does not hold comes from where its descriptor says. */
async function fetchBlob(
  source: Source,
  blob: Descriptor,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  try {
    return await source.fetch(blob, signal);
  } catch (error) {
    if (!isElsewhere(blob) || !(error instanceof CooperError) || error.code !== "not-found") throw error;
    const { fetchForeign } = await import("./registry/fetch-foreign.ts");
    return await fetchForeign(blob, source.name, signal);
  }
}

async function recodeLayer(
  settings: CopySettings,
  plan: LayerPlan & { kind: "encode" },
  role: BlobRole,
): Promise<{ digest: Descriptor["digest"]; size: number }> {
  const { source, target, signal, level, onEvent, action } = settings;
  const { source: layer, diffId, compression } = plan;
  throwIfAborted(signal, source.name);
  const known = source.recoded?.find(diffId, compression, level);
  if (known !== undefined && (await target.exists({ ...known, mediaType: plan.mediaType }, role))) {
    const { digest, size } = layer;
    onEvent({ type: "blob", action, digest, done: size, total: size, skipped: true });
    return known;
  }
  // Loaded when there is something to compress: zlib would take a millisecond of every command's start.
  const { compress } = await import("../archive/compress.ts");
  const blob = await untilKept(async () => {
    const content = withProgress(settings, layer, await fetchBlob(source, layer, signal));
    if (layer.digest === diffId) {
      // A layer that is not compressed is the tar itself: what verifies the one verifies the other.
      const tar = sizedStream(content, layer, source.name, signal);
      const check = (digest: Digest) => checkDigest(digest, layer, source.name);
      return await target.push(compress(tar, compression, level, check), undefined, role);
    }
    const verified = verifiedStream(content, layer, source.name, signal);
    const tar = decodeLayer(verified, diffId, `Layer ${layer.digest} of ${source.name}`);
    return await target.push(compress(tar, compression, level), undefined, role);
  });
  source.recoded?.add(diffId, compression, level, blob);
  return blob;
}

/** Passes content on and tells how much of the blob has come. */
export async function* withProgress(
  settings: Pick<CopySettings, "onEvent" | "action">,
  blob: Descriptor,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { onEvent, action } = settings;
  const { digest, size: total } = blob;
  let done = 0;
  let told = 0;
  onEvent({ type: "blob", action, digest, done, total });
  for await (const chunk of content) {
    yield chunk;
    done += chunk.length;
    if (done - told < PROGRESS_BYTES && done < total) continue;
    told = done;
    onEvent({ type: "blob", action, digest, done, total });
  }
}
