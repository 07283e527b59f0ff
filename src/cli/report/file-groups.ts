/** Files that are too many to be shown one by one, by the directories that they are in. */
import type { LayerFileReport } from "../../index.ts";

/** The files below a directory that no other group has. */
export interface FileGroup {
  /** `/` or `/usr/lib/`. */
  directory: string;
  files: LayerFileReport[];
  size: number;
}

/** At most `most` groups, the largest first: of all directories within a group the largest becomes one of its own. */
export function groupFiles(files: LayerFileReport[], most: number): FileGroup[] {
  let groups = files.length === 0 ? [] : [groupOf("/", files)];
  for (;;) {
    const largest = groups
      .map((group) => ({ group, inner: largestWithin(group) }))
      .reduce((best, one) => ((one.inner?.size ?? 0) > (best.inner?.size ?? 0) ? one : best), NONE);
    if (largest.inner === undefined) break;
    const { group, inner } = largest;
    const rest = group.files.filter(({ path }) => !path.startsWith(inner.directory));
    if (rest.length > 0 && groups.length >= most) break;
    groups = groups.filter((one) => one !== group).concat(inner);
    if (rest.length > 0) groups.push(groupOf(group.directory, rest));
  }
  return groups.sort((a, b) => b.size - a.size);
}

const NONE: { group: FileGroup; inner?: FileGroup | undefined } = { group: groupOf("/", []) };

function groupOf(directory: string, files: LayerFileReport[]): FileGroup {
  return { directory, files, size: files.reduce((sum, { size }) => sum + size, 0) };
}

/** The largest directory directly in the group's own, undefined where there are only files. */
function largestWithin({ directory, files }: FileGroup): FileGroup | undefined {
  const inner = Map.groupBy(files, ({ path }) => path.slice(0, path.indexOf("/", directory.length) + 1));
  inner.delete("");
  return [...inner]
    .map(([name, those]) => groupOf(name, those))
    .reduce<FileGroup | undefined>((best, one) => (best && best.size >= one.size ? best : one), undefined);
}
