/**
 * Mount points that a root file system lacks. A runtime would make them itself and leave them behind as empty files in
 * the layer; we make them before the command runs and remove afterwards exactly what we made, as if it had never been.
 * Only /proc, /sys and /dev stay, since programs in the image may want to find them and BuildKit's images have them.
 * All of it through pinned directories: somebody may have a process in a root that is mounted (archive/pinned-root.ts).
 */
import { chmodSync, closeSync, mkdirSync, openSync, rmdirSync, unlinkSync } from "node:fs";
import { type Pins, pinRoot } from "../archive/pinned-root.ts";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { statPinned } from "../archive/source-view.ts";
import { CooperError, errnoOf, messageOf } from "../base/errors.ts";
import { setTimes } from "../base/file-calls.ts";
import { fsPath } from "../base/path-bytes.ts";

/** A mount's target in the container and what it needs there. */
export interface MountPoint {
  target: string;
  kind: "directory" | "file";
  /** What lies below is not the root file system's any more: targets there need nothing from us. */
  covers: boolean;
  /** Stays when it had to be made, as an empty directory of the layer: what runtimes leave, and so BuildKit. */
  stays?: boolean;
  /** Permissions of a directory that has to be made; runc gives them to what it mounts there. */
  mode?: number;
}

interface Made {
  path: string;
  kind: "directory" | "file";
  /** Undefined when it is not known whether it was made. */
  inode: bigint | undefined;
}

/** Who is told of each mount point: before it is made, after it, and of the directory around it. */
export interface MountPointObserver {
  making(path: string, kind: "directory" | "file"): void;
  made(path: string, inode: bigint): void;
  parent(path: string, times: { before: bigint; after: bigint }): void;
}

/** What prepareMountPoints() made. */
export interface MadeMountPoints {
  /** Host path of the root that they are in. */
  root: string;
  /** In the order of their making, parents first. */
  made: Made[];
  /** Modification times of the directories around them: before we began, and after we had made all. */
  parents: Map<string, { before: bigint; after: bigint }>;
}

/** Makes the mount points that are missing in a root. Error: `invalid` when a target cannot be one. */
export function prepareMountPoints(
  root: string,
  points: readonly MountPoint[],
  observer?: MountPointObserver,
): MadeMountPoints {
  const result: MadeMountPoints = { root, made: [], parents: new Map() };
  using pins = pinRoot(root);
  const covered: string[] = [];
  try {
    for (const point of points) {
      const { target, covers } = point;
      if (!covered.some((directory) => target.startsWith(`${directory}/`)))
        makePoint(pins, point, result, observer);
      if (covers) covered.push(target.replace(/\/+$/, ""));
    }
  } catch (error) {
    removeMountPoints(result);
    throw error;
  }
  for (const [path, times] of result.parents) times.after = mtimeOf(pins, path);
  return result;
}

function makePoint(
  pins: Pins,
  point: MountPoint,
  result: MadeMountPoints,
  observer: MountPointObserver | undefined,
): void {
  const { target, kind, mode = 0o755 } = point;
  const { root } = result;
  const path = resolveInRoot(root, target);
  const stat = statPinned(pins, path);
  if (stat !== undefined) {
    if (stat.isDirectory() === (kind === "directory")) return;
    throw new CooperError(
      "invalid",
      `Cannot mount at ${target}: it is ${kind === "file" ? "a directory" : "not a directory"} in the container`,
    );
  }
  const top = resolveInRoot(root, "/");
  const missing = [path];
  for (
    let parent = parentOf(path);
    parent.length > top.length && statPinned(pins, parent) === undefined;
    parent = parentOf(parent)
  ) {
    missing.push(parent);
  }
  // What stays changes its parent's time for good.
  const stays = point.stays === true;
  const record = stays ? { root, made: [], parents: new Map() } : result;
  for (const each of missing.reverse())
    make(pins, each, each === path ? kind : "directory", record, stays ? undefined : observer);
  if (kind === "directory") chmodSync(fsPath(pins.directory(path)), mode);
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const mtimeOf = (pins: Pins, path: string): bigint => statPinned(pins, path)?.mtimeNs ?? 0n;

function make(
  pins: Pins,
  path: string,
  kind: Made["kind"],
  { made, parents }: MadeMountPoints,
  observer: MountPointObserver | undefined,
): void {
  const parent = parentOf(path);
  try {
    const before = mtimeOf(pins, parent);
    observer?.making(path, kind);
    if (kind === "directory") mkdirSync(fsPath(pins.entry(path)), { mode: 0o755 });
    else closeSync(openSync(fsPath(pins.entry(path)), "wx", 0o644));
    const inode = statPinned(pins, path)?.ino ?? 0n;
    made.push({ path, kind, inode });
    const times = { before: parents.get(parent)?.before ?? before, after: mtimeOf(pins, parent) };
    parents.set(parent, times);
    observer?.made(path, inode);
    observer?.parent(parent, times);
  } catch (error) {
    throw new CooperError("system", `Cannot make the mount point ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Removes what prepareMountPoints() made and the command left as it was: the same file, still empty. Directories around
 * it in which nothing else changed get their times back; returns these, as far as they were there before.
 */
export function removeMountPoints({ root, made, parents }: MadeMountPoints): string[] {
  if (made.length === 0) return [];
  using pins = pinRoot(root);
  const untouched = [...parents].filter(([path, { after }]) => statPinned(pins, path)?.mtimeNs === after);
  for (const point of [...made].reverse()) remove(pins, point);
  pins.forget();
  const restored = untouched.filter(([path]) => statPinned(pins, path)?.isDirectory());
  for (const [path, { before }] of restored) setTimes(pins.directory(path), before);
  return restored.map(([path]) => path);
}

function remove(pins: Pins, { path, kind, inode }: Made): void {
  try {
    const stat = statPinned(pins, path);
    if (stat === undefined || (inode !== undefined && stat.ino !== inode)) return;
    if (kind === "directory") rmdirSync(fsPath(pins.entry(path)));
    else if (stat.isFile() && stat.size === 0n) unlinkSync(fsPath(pins.entry(path)));
  } catch (error) {
    // The command removed it, replaced it, or put something into it.
    if (["ENOENT", "ENOTDIR", "ENOTEMPTY", "EEXIST"].includes(errnoOf(error) ?? "")) return;
    throw new CooperError("system", `Cannot remove the mount point ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
