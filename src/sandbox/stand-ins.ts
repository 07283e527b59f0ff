/**
 * What a command finds in the root file system where nothing can be mounted over it: for the time of the run a stand-in
 * takes the place of each mount's target, and afterwards what was there is put back. The originals wait in a directory
 * beside the root, and a note tells of each, for a run that is killed. Paths are looked up by name: a run is refused while
 * anybody has a process in such a root (processes-inside.ts), and other runs of the container wait for it.
 */
import { lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { resolveInRoot } from "../archive/rooted-path.ts";
import { CooperError } from "../base/errors.ts";
import { setTimes } from "../base/file-calls.ts";
import { fsPath, statusOf } from "../base/path-bytes.ts";

/** Told of each original before it is moved. */
export interface StandInObserver {
  moving(path: string, aside: string): void;
}

interface Placed {
  path: string;
  /** Where the original waits; undefined where there was none. */
  aside: string | undefined;
  /** Takes the stand-in away; deleting it is the default. */
  takeBack: ((path: string) => void) | undefined;
}

/** When a directory was last changed. */
interface Times {
  mtimeNs: bigint;
  ctimeNs: bigint;
}

export class StandIns {
  readonly #root: string;
  readonly #aside: string;
  readonly #observer: StandInObserver | undefined;
  readonly #placed: Placed[] = [];
  /** Directories around originals: before anything was placed, and with everything in place. */
  readonly #parents = new Map<string, { before: Times; after: Times }>();

  /** `root` is a plain directory; its parent takes the originals. Error: `unsupported` for a mount. */
  constructor(root: string, observer?: StandInObserver) {
    this.#root = resolveInRoot(root, "/");
    if (lstatSync(this.#root).dev !== lstatSync(dirname(this.#root)).dev) {
      throw new CooperError(
        "unsupported",
        "Cannot run commands in a mounted container: this host refuses them mounts of their own",
        { hint: "Make the container with --storage-driver copy" },
      );
    }
    this.#aside = mkdtempSync(join(dirname(this.#root), "aside-"));
    this.#observer = observer;
  }

  /** Has `make` create something at a target, in place of what is there. `takeBack` gets it away again. */
  place(target: string, make: (path: string) => void, takeBack?: (path: string) => void): void {
    const path = resolveInRoot(this.#root, target);
    const placed: Placed = { path, aside: undefined, takeBack };
    if (statusOf(path) === undefined) {
      // Inside another stand-in, with which it goes.
      mkdirSync(fsPath(parentOf(path)), { recursive: true });
    } else {
      const parent = parentOf(path);
      const before = timesOf(parent);
      if (!this.#parents.has(parent)) this.#parents.set(parent, { before, after: before });
      placed.aside = join(this.#aside, String(this.#placed.length));
      this.#observer?.moving(path, placed.aside);
      renameSync(fsPath(path), placed.aside);
    }
    this.#placed.push(placed);
    make(path);
  }

  /** Everything is in place: what directories look like from now on is the command's doing. */
  seal(): void {
    for (const [path, times] of this.#parents) times.after = timesOf(path);
  }

  /**
   * Puts everything back. Returns the paths, relative to the root with a slash before them, that are what they were but
   * for their ctime.
   */
  restore(): string[] {
    const untouched: string[] = [];
    const parents = [...this.#parents].map(([path, { before, after }]) => {
      const now = statusOf(path) === undefined ? undefined : timesOf(path);
      const same = now !== undefined && now.mtimeNs === after.mtimeNs && now.ctimeNs === after.ctimeNs;
      return { path, same, mtimeNs: same ? before.mtimeNs : now?.mtimeNs };
    });
    for (const placed of this.#placed.reverse()) if (putBack(placed)) untouched.push(placed.path);
    for (const { path, same, mtimeNs } of parents) {
      if (mtimeNs !== undefined && statusOf(path) !== undefined) setTimes(path, mtimeNs);
      if (same) untouched.push(path);
    }
    rmSync(this.#aside, { recursive: true, force: true });
    // The root directory itself is in no layer.
    return untouched.map((path) => path.slice(this.#root.length)).filter((path) => path !== "");
  }
}

/** Whether there was an original. */
function putBack({ path, aside, takeBack }: Placed): boolean {
  if (takeBack !== undefined && statusOf(path) !== undefined) takeBack(path);
  return restoreOriginal(path, aside);
}

/** Puts what waits at `aside`, if anything, back to `path`, and deletes what is there. */
export function restoreOriginal(path: string, aside: string | undefined): boolean {
  if (aside !== undefined && statusOf(aside) === undefined) return false;
  rmSync(fsPath(path), { recursive: true, force: true });
  if (aside === undefined) return false;
  mkdirSync(fsPath(parentOf(path)), { recursive: true });
  renameSync(aside, fsPath(path));
  return true;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

function timesOf(path: string): Times {
  const { mtimeNs, ctimeNs } = lstatSync(fsPath(path), { bigint: true });
  return { mtimeNs, ctimeNs };
}
