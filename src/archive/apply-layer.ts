/** One OCI layer → an overlayfs diff directory (image-spec layer.md, "Applying Changesets"). */
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { readTar } from "./tar-reader.ts";
import { nameParts, TreeWriter } from "./tree-writer.ts";
import { AUFS_PREFIX, isWhiteout, makeWhiteout, OPAQUE_MARKER, WHITEOUT_PREFIX } from "./whiteouts.ts";
import { statusOf } from "../base/path-bytes.ts";

export interface ApplyOptions {
  signal?: AbortSignal;
  /**
   * "keep" (the default) gives files the owners that the layer names. "own", for a process that has one id only, leaves
   * them to this process and notes other owners than root in an attribute, where `packLayer` with the same option finds
   * them; symbolic links and device nodes cannot hold one.
   */
  ids?: "keep" | "own";
}

export interface ApplyResult {
  /** Sum of the files' contents, in bytes. */
  size: number;
  /** What this host could not keep, for warnings: "PATH: what and why". */
  notes: string[];
}

/**
 * Unpacks an uncompressed layer into an empty directory that nobody else uses: whiteouts become character devices 0:0,
 * opaque directories get `user.overlay.opaque`, everything else is made as the layer says, with exact times.
 *
 * The stream is read to its end. As in Docker and Buildah, device nodes and attributes that this user may not make, or
 * the file system lacks, are left out (and noted); a directory without an entry of its own is root's with mode 0755 and
 * the time 0. Overlayfs's own attributes never come from a layer. A whiteout does not touch what the same layer adds.
 * Throws `invalid` for a malformed archive, names that lead out of it, hard links to what it does not hold.
 */
export async function applyLayer(
  tar: AsyncIterable<Uint8Array>,
  directory: string,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  const { signal, ids = "keep" } = options;
  const writer = new TreeWriter({
    root: directory,
    destination: "",
    ids,
    isLayer: true,
    ...(signal && { signal }),
  });
  let size = 0;
  try {
    for await (const member of readTar(tar)) {
      signal?.throwIfAborted();
      if (applyMarker(writer, member.name)) continue;
      await writer.place(member);
      size += member.size;
    }
    writer.finish();
  } catch (error) {
    throw cancelledOr(error, signal);
  }
  return { size, notes: writer.notes };
}

/** The error of unpacking, or `cancelled` when the caller wanted it to end. */
export function cancelledOr(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted) return error;
  return new CooperError("cancelled", "Unpacking was cancelled", { cause: signal.reason });
}

/** Does what a whiteout or another reserved name says; false for ordinary names. */
function applyMarker(writer: TreeWriter, name: string): boolean {
  if (!name.includes(WHITEOUT_PREFIX)) return false;
  const parts = nameParts(name);
  const first = parts.findIndex((part) => part.startsWith(WHITEOUT_PREFIX));
  if (first === -1) return false;
  const marker = parts[first]!;
  const isLast = first === parts.length - 1;
  if (marker.startsWith(AUFS_PREFIX) && !(isLast && marker === OPAQUE_MARKER)) return true;
  const target = marker.slice(WHITEOUT_PREFIX.length);
  if (!isLast || target === "" || target === "." || target === "..") {
    throw new CooperError("invalid", `Cannot unpack ${name}: it is no whiteout of a name`);
  }
  try {
    const parent = writer.parent(parts.slice(0, -1));
    if (marker === OPAQUE_MARKER) writer.hideBelow(parent);
    else whiteOut(writer, `${parent}/${target}`);
  } catch (error) {
    throw wrapError(`Cannot unpack ${name}`, error);
  }
  return true;
}

/** Hides what is below; what this layer itself has at the path stays and hides it by being there. */
function whiteOut(writer: TreeWriter, path: string): void {
  try {
    makeWhiteout(path);
  } catch (error) {
    const stat = errnoOf(error) === "EEXIST" ? statusOf(path) : undefined;
    if (stat === undefined) throw error;
    if (stat.isDirectory() && !isWhiteout(stat, path)) writer.hideBelow(path);
  }
}
