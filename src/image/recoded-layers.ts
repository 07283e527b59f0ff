/** What the store remembers of layers that were compressed on their way out. */
import { addRecoded, findRecoded } from "../store/recoded-layers.ts";
import type { StoreFiles } from "../store/store.ts";
import type { RecodedLayers } from "../transport/types.ts";

/** The memory of a source that is the store. */
export function recodedLayers({ db }: StoreFiles): RecodedLayers {
  return {
    find: (diffId, compression, level = 0) => findRecoded(db, { diffId, compression, level }),
    add: (diffId, compression, level, blob) =>
      addRecoded(db, { diffId, compression, level: level ?? 0 }, blob),
  };
}
