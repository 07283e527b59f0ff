/** Unpacking an archive into a container's tree, as ADD does with local tar files. */
import { makeDirectories, resolveInRoot } from "./rooted-path.ts";
import { CooperError } from "../base/errors.ts";
import { cancelledOr } from "./apply-layer.ts";
import { pinRoot } from "./pinned-root.ts";
import { readTar } from "./tar-reader.ts";
import { TreeWriter } from "./tree-writer.ts";
import { statusOf } from "../base/path-bytes.ts";

export interface ExtractOptions {
  signal?: AbortSignal;
  /** Owner of everything, instead of the archive's. */
  owner?: { uid: number; gid: number };
  /** Permission bits of everything but symbolic links, instead of the archive's. */
  mode?: number;
  /** Time of everything in nanoseconds since 1970, instead of the archive's. */
  mtimeNs?: bigint;
  /** As for `applyLayer`. */
  ids?: "keep" | "own";
}

/**
 * Unpacks an uncompressed archive into the directory `destination` (made when missing) of the tree at `root`, among what
 * is there: directories merge, everything else is replaced, a directory replaces a symbolic link. Names that begin with
 * `.wh.` are ordinary names. Symbolic links, those of the archive included, are followed inside `root` only, and names
 * may not lead out of `destination`. Returns the sum of the files' sizes and what could not be kept, for warnings.
 */
export async function extractArchive(
  tar: AsyncIterable<Uint8Array>,
  root: string,
  destination: string,
  options: ExtractOptions = {},
): Promise<{ size: number; notes: string[] }> {
  const { signal, owner, mode, mtimeNs, ids = "keep" } = options;
  prepareDestination(root, destination, ids === "own" ? undefined : (owner ?? { uid: 0, gid: 0 }));
  using pins = pinRoot(root);
  const writer = new TreeWriter({
    root,
    pins,
    destination,
    ids,
    isLayer: false,
    ...(owner && { owner }),
    ...(mode !== undefined && { mode }),
    ...(signal && { signal }),
  });
  let size = 0;
  try {
    for await (const member of readTar(tar)) {
      signal?.throwIfAborted();
      await writer.place(mtimeNs === undefined ? member : { ...member, mtime: mtimeNs });
      size += member.size;
    }
    writer.finish();
  } catch (error) {
    throw cancelledOr(error, signal);
  }
  return { size, notes: writer.notes };
}

function prepareDestination(
  root: string,
  destination: string,
  owner: { uid: number; gid: number } | undefined,
): void {
  const { uid, gid } = owner ?? { uid: process.geteuid!(), gid: process.getegid!() };
  const made = makeDirectories(root, destination, { uid, gid, mode: 0o755 });
  if (made.length === 0 && !statusOf(resolveInRoot(root, destination))?.isDirectory()) {
    throw new CooperError("invalid", `Cannot unpack into ${destination}: it is not a directory`);
  }
}
