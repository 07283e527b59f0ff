/** How an image came to be. */
import type { HistoryItem, Store } from "../api-types.ts";
import { requireInstance } from "../image/list-instance.ts";
import { readConfig, requireImage } from "../store/images.ts";
import { findIndexByText } from "../store/indexes.ts";
import { imageLayers, namesOf } from "../store/image-records.ts";
import { layerSize } from "../store/layer-records.ts";
import { filesOf } from "./store.ts";

/** The steps of an image, the latest first; layers without a step of their own come last. Throws `not-found`. */
export async function imageHistory(store: Store, image: string): Promise<HistoryItem[]> {
  const files = filesOf(store);
  const record =
    findIndexByText(files, image) === undefined
      ? requireImage(files, image)
      : await requireInstance(files, image);
  const { history = [], rootfs } = readConfig(files, record);
  const sizes = imageLayers(files.db, record.id).map((layer) => layerSize(files.db, layer) ?? 0);
  let layer = 0;
  const steps = history.map((entry): HistoryItem => {
    const isEmpty = entry.empty_layer === true || layer >= rootfs.diff_ids.length;
    const at = isEmpty ? undefined : layer++;
    return {
      created: entry.created,
      createdBy: entry.created_by ?? "",
      author: entry.author ?? "",
      comment: entry.comment ?? "",
      size: at === undefined ? 0 : (sizes[at] ?? 0),
      diffId: at === undefined ? undefined : rootfs.diff_ids[at],
    };
  });
  const rest = rootfs.diff_ids.slice(layer).map(
    (diffId, i): HistoryItem => ({
      created: undefined,
      createdBy: "",
      author: "",
      comment: "",
      size: sizes[layer + i] ?? 0,
      diffId,
    }),
  );
  const items = [...rest, ...steps].reverse();
  const [top] = items;
  if (top !== undefined) items[0] = { ...top, imageId: record.id, names: namesOf(files.db, record.id) };
  return items;
}
