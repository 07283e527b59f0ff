/**
 * What the entry of an image with zstd layers says in an index, so that who can read them prefers it to the entry with gzip
 * layers for the same platform (containers/image; there is nothing about it in the image spec).
 */
import type { LayerCompression } from "./media-types.ts";
import type { Descriptor } from "./types.ts";

const MARK = "io.github.containers.compression.zstd";

export function isMarkedZstd({ annotations }: Descriptor): boolean {
  return annotations?.[MARK] === "true";
}

/** The entry as it is right for an image of this compression. */
export function markCompression(entry: Descriptor, compression: LayerCompression): Descriptor {
  if (isMarkedZstd(entry) === (compression === "zstd")) return entry;
  const { annotations, ...rest } = entry;
  const { [MARK]: _, ...others } = annotations ?? {};
  const marked = compression === "zstd" ? { ...others, [MARK]: "true" } : others;
  return Object.keys(marked).length === 0 ? rest : { ...rest, annotations: marked };
}

/** Marked entries after all others: who does not know the mark takes the first entry for its platform. */
export function markedLast(entries: readonly Descriptor[]): Descriptor[] {
  return [...entries].sort((a, b) => Number(isMarkedZstd(a)) - Number(isMarkedZstd(b)));
}
