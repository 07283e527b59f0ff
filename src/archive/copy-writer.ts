/** Writes what walk-sources.ts finds below a target: BuildKit's rules for what replaces, merges with or refuses what. */
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { chmodItself, link, mknod, setTimes } from "../base/file-calls.ts";
import { fsPath, readLink, readNames } from "../base/path-bytes.ts";
import type { Work } from "../base/turns.ts";
import { copyContent } from "./copy-content.ts";
import { applyToFile, applyToPath, type MetadataOptions, metadataOf } from "./copy-metadata.ts";
import type { Pins } from "./pinned-root.ts";
import { statPinned } from "./source-view.ts";
import { reach, type WalkedEntry, type WalkVisitor } from "./walk-sources.ts";

export interface WriterOptions extends MetadataOptions {
  /** What block devices become: BuildKit makes character devices of them. "block" when absent. */
  blockDevices?: "block" | "character" | undefined;
  /** COPY --link: whatever is in the way goes, as under a layer of its own. */
  replace?: boolean | undefined;
}

/** What was written: files, links and special files (directories do not count), and the bytes of content. */
export interface CopyCount {
  copied: number;
  bytes: number;
}

/**
 * A visitor that copies to `target`, a host path whose parent exists and has no symbolic links left in it. An existing
 * directory at the top keeps everything but its modification time; directories below it get the metadata of theirs.
 * Hard links among the files of one walk stay hard links. `shown` makes host paths fit for error messages.
 */
export function treeWriter(
  target: string,
  options: WriterOptions,
  count: CopyCount,
  shown: (path: string) => string,
  pins: Pins,
): WalkVisitor {
  const base = target === "/" ? "" : target;
  const linked = new Map<string, string>();
  const created: boolean[] = [];
  const at = (entry: WalkedEntry) => (entry.path === "" ? target : `${base}/${entry.path}`);

  function enter(entry: WalkedEntry): undefined {
    created.push(attempt(entry, () => makeDirectory(at(entry), options, shown, pins)));
  }

  function leave(entry: WalkedEntry, wanted: boolean): undefined {
    const host = at(entry);
    const isNew = created.pop()!;
    attempt(entry, () => {
      const path = pins.directory(host);
      if (isNew || (wanted && entry.path !== "")) applyToPath(path, metadataOf(entry, options), options);
      else if (wanted) setTimes(path, options.timestamp ?? entry.stat.mtimeNs);
      else chmodItself(path, Number(entry.stat.mode) & 0o7777);
    });
  }

  function* file(entry: WalkedEntry): Work<void> {
    const { stat } = entry;
    // A socket is alive or nothing; only BuildKit's rules make something of it.
    if (stat.isSocket() && options.ownership === "verbatim") return;
    try {
      if (stat.isFile() || stat.isSocket()) yield* writeFile(entry, at(entry));
      else writeSpecial(entry, at(entry));
    } catch (error) {
      throw failure(entry, error);
    }
    count.copied++;
  }

  function writeSpecial(entry: WalkedEntry, path: string): void {
    const { stat } = entry;
    // A working tree's own links of special files; BuildKit's COPY knows those of regular files only.
    if (options.ownership === "verbatim" && stat.nlink > 1n) {
      const key = `${stat.dev}:${stat.ino}`;
      const first = linked.get(key);
      if (first !== undefined) {
        link(pins.entry(first), pins.entry(path));
        return;
      }
      linked.set(key, path);
    }
    if (stat.isSymbolicLink()) {
      const linkTarget = fsPath(readLink(reach(entry)));
      overwrite(path, () => symlinkSync(linkTarget, fsPath(pins.entry(path))));
    } else {
      const kind =
        stat.isBlockDevice() && options.blockDevices === "character" ? constants.S_IFCHR : undefined;
      const type = kind ?? Number(stat.mode) & constants.S_IFMT;
      overwrite(path, () => mknod(pins.entry(path), type | 0o600, stat.rdev));
    }
    applyToPath(pins.entry(path), metadataOf(entry, options), options);
  }

  function* writeFile(entry: WalkedEntry, path: string): Work<void> {
    const { stat } = entry;
    const key = stat.nlink > 1n ? `${stat.dev}:${stat.ino}` : undefined;
    const first = key === undefined ? undefined : linked.get(key);
    if (first !== undefined) {
      overwrite(path, () => linkSync(fsPath(pins.entry(first)), fsPath(pins.entry(path))));
      return;
    }
    if (key !== undefined) linked.set(key, path);
    const metadata = metadataOf(entry, options);
    // A socket becomes an empty file, as in BuildKit.
    const input = stat.isSocket() ? undefined : openSync(fsPath(reach(entry)), READ_FILE);
    try {
      const output = overwrite(path, () =>
        openSync(fsPath(pins.entry(path)), NEW_FILE, metadata.mode & 0o777),
      );
      try {
        if (input !== undefined) count.bytes += yield* copyContent(output, input, stat);
        applyToFile(output, pins.entry(path), metadata, options);
      } finally {
        closeSync(output);
      }
    } finally {
      if (input !== undefined) closeSync(input);
    }
  }

  function overwrite<T>(path: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    clear(path, options, shown, pins);
    return make();
  }

  function attempt<T>(entry: WalkedEntry, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw failure(entry, error);
    }
  }

  function failure(entry: WalkedEntry, error: unknown): unknown {
    const what = `Cannot copy ${entry.source} to ${shown(at(entry))}`;
    if (error instanceof CooperError) {
      // An owner that is not mapped: giving() does not know whose file it is.
      const isNameless = error.code === "unsupported" && errnoOf(error.cause) === "EINVAL";
      return isNameless ? wrapError(what, error) : error;
    }
    const code = errnoOf(error);
    return wrapError(what, error, code === "EPERM" || code === "EACCES" ? "denied" : "system");
  }

  return { enter, leave, file };
}

// What was a file when it was looked at may be a fifo or a device by now: neither may make us wait.
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Makes a directory unless there is one; true when it was made. */
function makeDirectory(
  path: string,
  options: WriterOptions,
  shown: (path: string) => string,
  pins: Pins,
): boolean {
  try {
    mkdirSync(fsPath(pins.entry(path)), 0o700);
    return true;
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  if (statPinned(pins, path)?.isDirectory() === true) return false;
  if (options.replace !== true)
    throw new CooperError("invalid", `Cannot copy a directory to ${shown(path)}: a file is there`);
  unlinkSync(fsPath(pins.entry(path)));
  mkdirSync(fsPath(pins.entry(path)), 0o700);
  return true;
}

/** Takes away what a file is to replace. */
function clear(path: string, options: WriterOptions, shown: (path: string) => string, pins: Pins): void {
  if (statPinned(pins, path)?.isDirectory() === true && options.replace !== true)
    throw new CooperError("invalid", `Cannot copy a file to ${shown(path)}: a directory is there`);
  removeTree(path, pins);
  pins.forget();
}

/** Removes a path and everything below it, following no link. */
export function removeTree(path: string, pins: Pins): void {
  if (statPinned(pins, path)?.isDirectory() !== true) {
    unlinkSync(fsPath(pins.entry(path)));
    return;
  }
  for (const name of readNames(pins.directory(path))) removeTree(`${path}/${name}`, pins);
  rmdirSync(fsPath(pins.entry(path)));
}
