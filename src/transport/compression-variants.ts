/** Images of an index once more, with their layers in another compression. */
import type { LayerCompression } from "../oci/media-types.ts";
import { normalisePlatform } from "../oci/platform.ts";
import type { Descriptor } from "../oci/types.ts";
import { type CopyJob, copyManifest, type FoundRoot } from "./copy-manifest.ts";

/** An image of an index, and what it became in the target. */
export interface CopiedEntry {
  found: FoundRoot;
  written: Descriptor;
}

/**
 * Copies images so that each platform has each of the compressions that the job asks for; what an image was compressed with at
 * the source does not count. Gives the entries that come to those that are there.
 */
export async function copyVariants(job: CopyJob, images: readonly CopiedEntry[]): Promise<Descriptor[]> {
  const there = new Map<string, Set<LayerCompression>>();
  for (const { written } of images) {
    const compression = job.compressions.get(written.digest);
    const known = there.get(platformKey(written)) ?? new Set();
    there.set(platformKey(written), compression === undefined ? known : known.add(compression));
  }
  const variants: Descriptor[] = [];
  for (const { found, written } of images) {
    const known = there.get(platformKey(written))!;
    // One without layers is the same in every compression.
    if (known.size === 0) continue;
    for (const compression of job.variants) {
      if (known.has(compression)) continue;
      known.add(compression);
      const wish = { ...job.wish, compression, force: true };
      variants.push(await copyManifest({ ...job, wish, level: undefined, copied: new Map() }, found, false));
    }
  }
  return variants;
}

/** Equal for entries of an index that are for the same platform. */
export function platformKey({ platform }: Descriptor): string {
  if (platform === undefined) return "";
  const { os, architecture, variant, "os.version": version } = normalisePlatform(platform);
  return JSON.stringify([os, architecture, variant, version, platform["os.features"]]);
}
