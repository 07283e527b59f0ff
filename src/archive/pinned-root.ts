/**
 * File names below a root in which somebody else may be at work: a process in a container can put a symbolic link where
 * a directory was, between our look at it and our next step. So each directory is opened once, by a look-up that the
 * kernel keeps inside the root whatever happens meanwhile (openat2(2), RESOLVE_IN_ROOT), and what is done in it is done
 * through that open directory, `/proc/self/fd/N/NAME`. Where a path leads is still found out by rooted-path.ts; that is
 * only a guess then, and a wrong one ends somewhere else inside the root.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { CooperError, errnoOf } from "../base/errors.ts";
import { O, openInDirectory } from "../base/file-calls.ts";
import { fsPath } from "../base/path-bytes.ts";

/** Turns host paths below a root into names that system calls can be given, valid until the next question. */
export interface Pins extends Disposable {
  /** For calls that do not follow a link at the end. */
  entry(host: string): string;
  /** For calls on an existing directory itself, which may follow links. */
  directory(host: string): string;
  /** Directories were removed or replaced: what is known of them is not true any more. */
  forget(): void;
}

/** Names as they are, for trees that nobody else can reach. */
export const asIs: Pins = {
  entry: (host) => host,
  directory: (host) => host,
  forget() {},
  [Symbol.dispose]() {},
};

/**
 * Pins for the directory at the host path `root`, which hold it open until they are disposed of. Without openat2 (before
 * Linux 5.6, or under an old seccomp filter) or /proc: `asIs`, which is only safe while nobody is in the root.
 */
export function pinRoot(root: string): Pins {
  const fd = tryOpenRoot(root);
  return fd === undefined ? asIs : new PinnedRoot(root, fd);
}

/** Whether this host can do it. */
export function canPinRoots(): boolean {
  const fd = tryOpenRoot("/");
  if (fd === undefined) return false;
  closeSync(fd);
  return true;
}

const DIRECTORY = O.PATH | constants.O_DIRECTORY;
const WITHOUT = new Set(["ENOSYS", "EPERM", "ENOENT", "ENOTDIR", "EACCES"]);

function tryOpenRoot(root: string): number | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(fsPath(root), DIRECTORY);
    closeSync(openInDirectory(fd, ".", DIRECTORY));
    if (lstatSync(`/proc/self/fd/${fd}/.`).ino === fstatSync(fd).ino) return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (WITHOUT.has(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
  closeSync(fd);
  return undefined;
}

/** More than a path is deep, so that one walk opens each directory once. */
const MOST_HELD = 48;

class PinnedRoot implements Pins {
  readonly #root: string;
  readonly #top: number;
  /** Open directories by host path, the one used last at the end. */
  readonly #held = new Map<string, number>();
  #latest = { host: "", name: "" };

  constructor(root: string, fd: number) {
    this.#root = root === "/" ? "" : root.replace(/\/+$/, "");
    this.#top = fd;
  }

  entry(host: string): string {
    if (host.length <= this.#root.length + 1) return this.directory(host);
    const slash = host.lastIndexOf("/");
    return `${this.#open(host.slice(0, slash))}/${host.slice(slash + 1)}`;
  }

  directory(host: string): string {
    return `${this.#open(host)}/.`;
  }

  #open(directory: string): string {
    if (this.#latest.host === directory && this.#latest.name !== "") return this.#latest.name;
    const fd = this.#find(directory);
    this.#latest = { host: directory, name: `/proc/self/fd/${fd}` };
    return this.#latest.name;
  }

  #find(directory: string): number {
    if (directory.length <= this.#root.length + 1) return this.#top;
    if (!directory.startsWith(`${this.#root}/`))
      throw new CooperError("internal", `${directory} is not below ${this.#root || "/"}`);
    const known = this.#held.get(directory);
    if (known !== undefined) this.#held.delete(directory);
    const fd = known ?? openInDirectory(this.#top, directory.slice(this.#root.length + 1), DIRECTORY);
    this.#held.set(directory, fd);
    if (this.#held.size > MOST_HELD) this.#closeOldest();
    return fd;
  }

  #closeOldest(): void {
    const [oldest] = this.#held;
    if (oldest === undefined) return;
    this.#held.delete(oldest[0]);
    closeSync(oldest[1]);
  }

  forget(): void {
    for (const fd of this.#held.values()) closeSync(fd);
    this.#held.clear();
    this.#latest = { host: "", name: "" };
  }

  [Symbol.dispose](): void {
    this.forget();
    closeSync(this.#top);
  }
}

/**
 * Opens the file `path` of a root for reading, links followed inside it. A fifo does not make it wait. Without openat2
 * the host's own look-up of `fallback` is used. Errors as of open(2).
 */
export function openFileInRoot(root: string, path: string, fallback: () => string): number {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const top = tryOpenRoot(root);
  if (top === undefined) return openSync(fsPath(fallback()), flags);
  try {
    return openInDirectory(top, path, flags);
  } finally {
    closeSync(top);
  }
}
