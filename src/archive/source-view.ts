/**
 * A directory as a build sees it: without what an ignore file hides. Paths in a view are relative to its root, cleaned,
 * "" being the root; they are names as in base/path-bytes.ts.
 */
import type { BigIntStats } from "node:fs";
import { CooperError, errnoOf } from "../base/errors.ts";
import { compareNames, readNames, statusOf } from "../base/path-bytes.ts";
import { asIs, type Pins } from "./pinned-root.ts";
import { readLinkOrNothing } from "./rooted-path.ts";

/** What hides paths of a view; dockerfile/ignore.ts makes them. */
export interface PathFilter {
  /** Name of the file it was read from, for hints. */
  readonly origin: string;
  ignores(path: string): boolean;
  mayUnignoreBelow(directory: string): boolean;
}

export interface SourceView {
  /** Host path of the root. */
  root: string;
  ignore: PathFilter | undefined;
  /** How system calls reach what is below the root. */
  readonly pins: Pins;
  /** Ignored directories that were asked about: whether something below them exists nevertheless. */
  readonly reopened: Map<string, boolean>;
}

/** A path that exists in a view. */
export interface ViewEntry {
  path: string;
  stat: BigIntStats;
}

/** `root` seen through `ignore`. A view remembers answers: it lives no longer than one operation. */
export function viewOf(root: string, ignore: PathFilter | undefined, pins: Pins = asIs): SourceView {
  return { root: root.length > 1 ? root.replace(/\/+$/, "") : root, ignore, pins, reopened: new Map() };
}

/** Host path of a path in a view. */
export function hostPath(view: SourceView, path: string): string {
  if (path === "") return view.root;
  return view.root === "/" ? `/${path}` : `${view.root}/${path}`;
}

/** Path of an entry of a directory. */
export function childPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** The same for a path below a root. */
export function statPinned(pins: Pins, host: string): BigIntStats | undefined {
  try {
    return statusOf(pins.entry(host));
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Status of what is at a path of a view. */
export function statInView(view: SourceView, path: string): BigIntStats | undefined {
  return statPinned(view.pins, hostPath(view, path));
}

/** Names in a directory of a view. */
export function namesInView(view: SourceView, path: string): string[] {
  return readNames(view.pins.directory(hostPath(view, path)));
}

/** Whether an existing path is in the view. An ignored directory is when anything below it is. */
export function isVisible(view: SourceView, path: string, isDirectory: boolean): boolean {
  const { ignore } = view;
  if (ignore === undefined || path === "" || !ignore.ignores(path)) return true;
  if (!isDirectory || !ignore.mayUnignoreBelow(path)) return false;
  let open = view.reopened.get(path);
  if (open === undefined) {
    open = namesInView(view, path).some((name) => {
      const child = childPath(path, name);
      if (!ignore.ignores(child)) return true;
      const stat = statInView(view, child);
      return stat?.isDirectory() === true && isVisible(view, child, true);
    });
    view.reopened.set(path, open);
  }
  return open;
}

/** Entries of a directory of the view, in the order of their names' bytes. */
export function listView(view: SourceView, directory: string): ViewEntry[] {
  const entries: ViewEntry[] = [];
  for (const name of namesInView(view, directory).sort(compareNames)) {
    const path = childPath(directory, name);
    // Asked before lstat(2): what is ignored for good need not be readable.
    const ignored = view.ignore?.ignores(path) === true;
    if (ignored && !view.ignore!.mayUnignoreBelow(path)) continue;
    const stat = statInView(view, path);
    if (stat === undefined) continue;
    if (ignored && !isVisible(view, path, stat.isDirectory())) continue;
    entries.push({ path, stat });
  }
  return entries;
}

// As in rooted-path.ts.
const MOST_LINKS = 255;

/**
 * The entry that a path leads to with every symbolic link followed inside the view, or undefined when there is none.
 * Throws `invalid` after more than 255 links.
 */
export function resolveInView(view: SourceView, path: string): ViewEntry | undefined {
  const todo = components(path).reverse();
  let done: string[] = [];
  let stat = statInView(view, "");
  for (let links = 0, next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (next === "..") {
      done.pop();
      stat = statInView(view, done.join("/"));
      continue;
    }
    if (stat?.isDirectory() !== true) return undefined;
    done.push(next);
    const at = done.join("/");
    stat = statInView(view, at);
    if (stat === undefined) return undefined;
    if (!stat.isSymbolicLink()) continue;
    if (!isVisible(view, at, false)) return undefined;
    if (++links > MOST_LINKS)
      throw new CooperError("invalid", `Cannot resolve ${path}: too many symbolic links`);
    const target = readLinkOrNothing(view.pins.entry(hostPath(view, at)));
    if (target === undefined) {
      todo.push(next); // Somebody replaced it since: look again.
      done.pop();
      stat = statInView(view, done.join("/"));
      continue;
    }
    done = target.startsWith("/") ? [] : done.slice(0, -1);
    stat = statInView(view, done.join("/"));
    for (const component of components(target).reverse()) todo.push(component);
  }
  const at = done.join("/");
  if (stat === undefined || !isVisible(view, at, stat.isDirectory())) return undefined;
  return { path: at, stat };
}

function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
