/** What a layer holds, without packing it: the entries that its tar has, or would have. */
import { listXattrs } from "../base/xattrs.ts";
import { listChildren } from "./diff-children.ts";
import { MergedDirectory, mergeChild } from "./diff-stack.ts";

export interface LayerEntry {
  /**
   * `directory` and `leaf` are there; `whiteout` deletes what layers below have of the name, `opaque` what they have in the
   * directory.
   */
  kind: "directory" | "leaf" | "whiteout" | "opaque";
  /** A name as in path-bytes.ts, absolute. */
  path: string;
  /** Bytes of a regular file; 0 for everything else, and for a further name of a file that has one already. */
  size: number;
}

/**
 * Entries of a layer whose diff directories are `diffs`, on top of `below` (both lowest first): a directory before its
 * content, deletions before what takes the place. Sockets are in no layer.
 */
export function* layerEntries(diffs: string[], below: string[]): Generator<LayerEntry, void> {
  yield* content("", diffs.toReversed(), MergedDirectory.root(below), new Set());
}

function* content(
  prefix: string,
  sources: string[],
  below: MergedDirectory,
  links: Set<string>,
): Generator<LayerEntry, void> {
  for (const { name, source, stat, isWhiteout } of listChildren(prefix, sources)) {
    const path = `${prefix}/${name}`;
    if (isWhiteout) {
      if (below.has(name)) yield { kind: "whiteout", path, size: 0 };
    } else if (stat.isDirectory()) {
      yield { kind: "directory", path, size: 0 };
      const xattrs = listXattrs(`${sources[source]}/${name}`);
      const { directories, hidesBelow } = mergeChild(sources, source, name, xattrs);
      const under = below.child(name);
      if (hidesBelow && !under.isEmpty()) yield { kind: "opaque", path, size: 0 };
      yield* content(path, directories, hidesBelow ? MergedDirectory.nothing : under, links);
    } else if (!stat.isSocket()) {
      const identity = `${stat.dev}:${stat.ino}`;
      const isLink = stat.nlink > 1n && links.has(identity);
      if (stat.nlink > 1n) links.add(identity);
      yield { kind: "leaf", path, size: stat.isFile() && !isLink ? Number(stat.size) : 0 };
    }
  }
}
