import { listXattrs } from "../base/xattrs.ts";
import { readNames, statusOf } from "../base/path-bytes.ts";
import { isOpaque, isWhiteout } from "./whiteouts.ts";

/**
 * One directory of the merged view of several diffs: the host directories that make it up, topmost first. What is
 * under it is looked up when it is asked for and only once, since most layers delete nothing.
 */
export class MergedDirectory {
  #find: () => string[];
  #directories: string[] | undefined;

  private constructor(find: () => string[]) {
    this.#find = find;
  }

  /** The merged root of diff directories, lowest first. */
  static root(diffs: readonly string[]): MergedDirectory {
    return new MergedDirectory(() => untilOpaque(diffs.toReversed()));
  }

  /** A directory without anything in it. */
  static readonly nothing = new MergedDirectory(() => []);

  /** The directory `name` in this one; without content when there is none. */
  child(name: string): MergedDirectory {
    return new MergedDirectory(() => this.#lookUp(name).directories);
  }

  /** Whether the merged view has `name`, whatever it is. */
  has(name: string): boolean {
    return this.#lookUp(name).exists;
  }

  /** Whether the merged view of this directory has no entries. */
  isEmpty(): boolean {
    const deleted = new Set<string>();
    for (const directory of this.#list()) {
      for (const name of readNames(directory)) {
        if (deleted.has(name)) continue;
        const path = `${directory}/${name}`;
        const stat = statusOf(path);
        if (stat === undefined) continue;
        if (!isWhiteout(stat, path)) return false;
        deleted.add(name);
      }
    }
    return true;
  }

  #list(): string[] {
    this.#directories ??= this.#find();
    return this.#directories;
  }

  #lookUp(name: string): { exists: boolean; directories: string[] } {
    const directories: string[] = [];
    for (const directory of this.#list()) {
      const path = `${directory}/${name}`;
      const stat = statusOf(path);
      if (stat === undefined) continue;
      if (!stat.isDirectory())
        return { exists: directories.length > 0 || !isWhiteout(stat, path), directories };
      directories.push(path);
      if (isOpaque(path, listXattrs(path))) break;
    }
    return { exists: directories.length > 0, directories };
  }
}

/** The directories, topmost first, down to the first opaque one. */
function untilOpaque(directories: string[]): string[] {
  const last = directories.findIndex((path) => isOpaque(path, listXattrs(path)));
  return last === -1 ? directories : directories.slice(0, last + 1);
}

/**
 * The directory `name` of the stack `sources` (topmost first), of which the topmost source that has it is `sources[at]`:
 * the host directories that merge there, and whether they hide everything below the stack.
 */
export function mergeChild(
  sources: readonly string[],
  at: number,
  name: string,
  topXattrs: readonly string[],
): { directories: string[]; hidesBelow: boolean } {
  const top = `${sources[at]}/${name}`;
  const directories = [top];
  if (isOpaque(top, topXattrs)) return { directories, hidesBelow: true };
  for (let i = at + 1; i < sources.length; i++) {
    const path = `${sources[i]}/${name}`;
    const stat = statusOf(path);
    if (stat === undefined) continue;
    if (!stat.isDirectory()) return { directories, hidesBelow: true };
    directories.push(path);
    if (isOpaque(path, listXattrs(path))) return { directories, hidesBelow: true };
  }
  return { directories, hidesBelow: false };
}
