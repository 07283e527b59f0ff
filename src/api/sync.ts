/** Keeping many images the same in two places. */
import type { SyncOptions } from "../api-types.ts";
import { syncImages } from "../image/sync.ts";
import { copyRequest } from "./move.ts";

/**
 * Copies all images of a repository, a directory or a list into a registry or a directory, with the names that skopeo gives
 * them. Throws the first failure, or with `keepGoing` one at the end that counts them; what was copied before stays.
 */
export async function sync(source: string, destination: string, options: SyncOptions): Promise<void> {
  const { from, to, scoped, appendSuffix, keepGoing, dryRun, onImage } = options;
  await syncImages(source, destination, {
    ...copyRequest(options),
    from,
    to,
    scoped: scoped ?? false,
    appendSuffix: appendSuffix ?? "",
    keepGoing: keepGoing ?? false,
    dryRun: dryRun ?? false,
    onImage: onImage ?? (() => {}),
  });
}
