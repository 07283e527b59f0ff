/** Paths in an image as instructions write them: lexical, slashes only, never leaving the root. */
import { posix } from "node:path";

/** Absolute and clean; `..` stops at the root, a slash at the end goes. */
export function absolutePath(...parts: string[]): string {
  const path = posix.join("/", ...parts);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

/** A destination below a working directory, with a slash at its end where it was written with `/` or `/.`, or is `.`. */
export function destinationPath(workingDir: string, path: string): string {
  const clean = path.startsWith("/") ? absolutePath(path) : absolutePath(workingDir, path);
  const isDirectory = path === "" || path === "." || path.endsWith("/") || path.endsWith("/.");
  return isDirectory && clean !== "/" ? `${clean}/` : clean;
}

/** A new working directory: an absolute one stays as written, nothing means the old one. */
export function nextWorkingDir(current: string, path: string): string {
  const parent = current.startsWith("/") ? current : absolutePath(current);
  if (path === "") return parent;
  return path.startsWith("/") ? path : absolutePath(parent, path);
}
