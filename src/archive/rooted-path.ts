/** Paths inside a container's root, resolved as a process whose root it is would see them (path_resolution(7)). */
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { fsPath, readLink, statusOf } from "../base/path-bytes.ts";
import { giving } from "../base/process-ids.ts";
import { type Pins, pinRoot } from "./pinned-root.ts";

export interface ResolveOptions {
  /** Whether a symbolic link at the very end is followed; true when absent. */
  followLast?: boolean;
}

export interface DirectoryAttributes {
  uid: number;
  gid: number;
  /** Permission bits, among them setuid, setgid and sticky. */
  mode: number;
}

// Sum over one look-up. The kernel allows 40; Go's securejoin, which other builders use, 255.
const MOST_LINKS = 255;
// Of readlink(2): nothing is there, or no link.
const GONE = new Set(["ENOENT", "ENOTDIR", "EINVAL"]);

/**
 * Host path of `path`, absolute or relative to `root`, with every symbolic link followed inside `root` only: an absolute
 * target starts again at the root and `..` never leaves it. Components that do not exist are kept as they are written
 * (a `..` behind them takes them away again). Both paths and the result are names as in base/path-bytes.ts.
 * Throws `invalid` after more than 255 links.
 */
export function resolveInRoot(root: string, path: string, options: ResolveOptions = {}): string {
  const base = root === "/" ? "" : root.replace(/\/+$/, "");
  const { followLast = true } = options;
  const todo = components(path).reverse();
  const done: string[] = [];
  // How many of `done` are known to exist; behind the first missing one there is nothing to look up.
  let missingFrom: number | undefined;
  let links = 0;
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (next === "..") {
      done.pop();
      if (missingFrom !== undefined && done.length <= missingFrom) missingFrom = undefined;
      continue;
    }
    done.push(next);
    if (missingFrom !== undefined) continue;
    const host = `${base}/${done.join("/")}`;
    const stat = statusOf(host);
    if (stat === undefined) {
      missingFrom = done.length - 1;
      continue;
    }
    if (!stat.isSymbolicLink() || (todo.length === 0 && !followLast)) continue;
    if (++links > MOST_LINKS)
      throw new CooperError("invalid", `Cannot resolve ${path}: too many symbolic links`);
    const target = readLinkOrNothing(host);
    if (target === undefined) {
      todo.push(next); // Somebody replaced it since: look again.
      done.pop();
      continue;
    }
    done.length = target.startsWith("/") ? 0 : done.length - 1;
    for (const component of components(target).reverse()) todo.push(component);
  }
  return done.length === 0 ? base || "/" : `${base}/${done.join("/")}`;
}

/**
 * Makes the directory `path` inside `root`, and those of its parents that are missing, with these attributes; what
 * exists stays as it is. Returns the host paths of the directories made, outermost first. Throws `invalid` where
 * something else than a directory is in the way. `pins` are those of the root; nothing outside of it is ever changed.
 */
export function makeDirectories(
  root: string,
  path: string,
  attributes: DirectoryAttributes,
  pins?: Pins,
): string[] {
  const missing = missingDirectories(root, path);
  if (missing.length === 0) return missing;
  using own = pins === undefined ? pinRoot(root) : undefined;
  for (const directory of missing) makeDirectory(directory, attributes, pins ?? own!);
  return missing;
}

function missingDirectories(root: string, path: string): string[] {
  const missing: string[] = [];
  const top = resolveInRoot(root, "/");
  let at = resolveInRoot(root, path);
  for (let stat = statusOf(at); stat === undefined || !stat.isDirectory(); stat = statusOf(at)) {
    if (stat !== undefined)
      throw new CooperError(
        "invalid",
        `Cannot make directory ${path}: ${at.slice(top.length)} is not a directory`,
      );
    if (at === top)
      throw new CooperError("not-found", `Cannot make directory ${path}: the root ${root} does not exist`);
    missing.push(at);
    at = at.slice(0, at.lastIndexOf("/")) || "/";
  }
  return missing.reverse();
}

function makeDirectory(directory: string, { uid, gid, mode }: DirectoryAttributes, pins: Pins): void {
  try {
    mkdirSync(fsPath(pins.entry(directory)), 0o700);
    giving({ uid, gid }, () => chownSync(fsPath(pins.directory(directory)), uid, gid));
    chmodSync(fsPath(pins.directory(directory)), mode & 0o7777); // after chown(2), which takes setuid and setgid away
  } catch (error) {
    throw wrapError(`Cannot make directory ${directory}`, error);
  }
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** Target of a symbolic link, or undefined when there is no link any more. */
export function readLinkOrNothing(path: string): string | undefined {
  try {
    return readLink(path);
  } catch (error) {
    if (GONE.has(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}
