/** The cap on a store: what nothing needs goes until the store fits. */
import type { Store } from "../api-types.ts";
import { messageOf } from "../base/errors.ts";
import type { EventSink } from "../base/events.ts";
import { pruneStore } from "../store/prune.ts";
import { namelessBefore } from "../store/image-records.ts";
import { shrinkCache } from "../store/shrink-cache.ts";
import { touchSteps } from "../store/step-cache.ts";
import { collectGarbage } from "../store/store.ts";
import { diskBytes } from "../store/usage.ts";
import { diskUsage } from "./disk.ts";
import { filesOf } from "./store.ts";

/** A script may still be about to use an image that it knows by its id alone: milliseconds. */
const GRACE = 3_600_000;

const MIB = 2 ** 20;

/**
 * Has a store that takes more than its limit give up images and lists that have had no name for an hour (but those in
 * `spared`, by id), and then of the build cache what was used longest ago. What has a name or is in use stays; when the
 * limit cannot be kept so, a warning says it. Nothing here fails the work that is done.
 */
export function keepWithinLimit(
  store: Store,
  limit: number,
  { spared = [], onEvent }: { spared?: readonly string[]; onEvent: EventSink },
): void {
  const warn = (message: string) => onEvent({ type: "warning", message });
  try {
    const excess = excessOver(store, limit, spared);
    if (excess <= 0) return;
    const size = (bytes: number) => `${Math.ceil(bytes / MIB)} MiB`;
    warn(
      `The store takes ${size(limit + excess)}, more than its limit of ${size(limit)}: what is left has a name or is in use (cooper du --verbose)`,
    );
  } catch (error) {
    warn(`Cannot keep the store within its limit: ${messageOf(error)}`);
  }
}

/** Makes room; returns the bytes that the store still takes beyond the limit. */
function excessOver(store: Store, limit: number, spared: readonly string[]): number {
  const files = filesOf(store);
  touchSteps(files);
  // What this process has not finished goes when it ends.
  const excess = () => diskUsage(store).totalBytes - diskBytes(files.session.directory) - limit;
  if (excess() <= 0) return 0;
  const { images, lists } = namelessBefore(files.db, Date.now() - GRACE);
  const isFree = (id: string) => !spared.includes(id);
  pruneStore(files, {
    images: images.filter(isFree),
    lists: lists.filter(isFree),
    named: false,
    cacheBefore: undefined,
  });
  const left = excess();
  if (left <= 0) return 0;
  const { bytes } = shrinkCache(files, { free: left }, Number.MAX_SAFE_INTEGER, 1);
  collectGarbage(files);
  return left - bytes;
}
