/** What is in an image, layer by layer. */
import type { FileCount, ImageReport, LayerFileReport, LayerReport, Store } from "../api-types.ts";
import { layerEntries } from "../archive/layer-entries.ts";
import { type LayerFile, LayeredFiles } from "../archive/layered-files.ts";
import { encodeName } from "../base/path-bytes.ts";
import { requireInstance } from "../image/list-instance.ts";
import type { ImageConfig } from "../oci/types.ts";
import { imageRemoved, readConfig, requireImage } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { namesOf } from "../store/image-records.ts";
import { layerSize } from "../store/layer-records.ts";
import { holdImage, snapshotPaths, type StoreFiles } from "../store/store.ts";
import { filesOf } from "./store.ts";

/** An image of the store, by name, id or prefix; of a list, the one for this host. Throws `not-found`. */
export async function exploreImage(
  store: Store,
  image: string,
  options: { signal?: AbortSignal } = {},
): Promise<ImageReport> {
  const files = filesOf(store);
  const isList = findIndexByText(files, image) !== undefined;
  const { id } = isList ? await requireInstance(files, image) : requireImage(files, image);
  return reportImage(files, id, options.signal);
}

/** The report about an image of that id. */
export function reportImage(files: StoreFiles, id: string, signal?: AbortSignal): ImageReport {
  const held = holdImage(files, id);
  if (held === undefined) throw imageRemoved(id);
  const { image, layers: stored } = held;
  const config = readConfig(files, image);
  const steps = stepsOfLayers(config);
  const seen = new LayeredFiles();
  const layers = stored.map((layer, position): LayerReport => {
    signal?.throwIfAborted();
    const below = snapshotPaths(files, stored.slice(0, position));
    const found = seen.add(layerEntries(snapshotPaths(files, [layer]), below));
    const bytes = found.reduce((sum, { kind, size }) => sum + (kind === "removed" ? 0 : size), 0);
    return {
      diffId: layer.diffId,
      size: layerSize(files.db, layer) ?? bytes,
      createdBy: steps[position] ?? [],
      wastedBytes: 0,
      added: count(found, "added"),
      changed: count(found, "changed"),
      removed: count(found, "removed"),
      files: found.sort((a, b) => b.size - a.size).map(shownFile),
    };
  });
  for (const [position, bytes] of seen.hiddenBytes.entries()) layers[position]!.wastedBytes = bytes;
  return {
    kind: "image",
    version: 1,
    id: image.id,
    digest: image.manifest,
    names: namesOf(files.db, image.id),
    created: image.created,
    platform: [config.os, config.architecture, config.variant].filter((part) => part !== undefined).join("/"),
    author: config.author ?? "",
    size: layers.reduce((sum, { size }) => sum + size, 0),
    config: config.config ?? {},
    layers,
    wastedBytes: layers.reduce((sum, layer) => sum + layer.wastedBytes, 0),
    wastedFiles: seen.wasted().map((file) => ({ ...file, path: shown(file.path) })),
  };
}

const shown = (path: string) => encodeName(path).toString("utf8");

function shownFile({ kind, path, size }: LayerFile): LayerFileReport {
  return { kind, path: shown(path), size };
}

function count(files: LayerFile[], kind: LayerFile["kind"]): FileCount {
  const those = files.filter((file) => file.kind === kind);
  return { files: those.length, bytes: those.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * Lines of the history for each layer: the one that says it made the layer, and those before it that may have changed files
 * too, where one layer holds many steps.
 */
function stepsOfLayers({ history = [] }: ImageConfig): string[][] {
  const layers: string[][] = [];
  let steps: string[] = [];
  for (const { created_by: line = "", empty_layer: isEmpty } of history) {
    if (isEmpty !== true) {
      layers.push(line === "" ? steps : [...steps, line]);
      steps = [];
    } else if (/^(?:RUN|COPY|ADD|WORKDIR)\b/.test(line)) steps.push(line);
  }
  return layers;
}
