/**
 * Diff directories → one OCI layer (image-spec layer.md). The order is that of a walk with the names of each directory
 * sorted by their bytes, a directory before its content and its whiteouts before its other entries; nothing in the
 * output comes from the host but the files themselves, so that equal trees give equal bytes.
 */
import type { BigIntStats } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { splitDevice } from "../base/file-calls.ts";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { readLink } from "../base/path-bytes.ts";
import { ChunkBuffer } from "./chunk-buffer.ts";
import { type Child, listChildren } from "./diff-children.ts";
import { MergedDirectory, mergeChild } from "./diff-stack.ts";
import { type Owner, type OwnerNote, ownerNoteFor } from "./owner-note.ts";
import { packContent } from "./pack-file.ts";
import { NO_XATTRS, type TarEntry, type TarType } from "./tar-entry.ts";
import { END_OF_ARCHIVE, encodeHeader, encodeShortHeader, SHORT_HEADER } from "./tar-writer.ts";
import { OPAQUE_MARKER, WHITEOUT_PREFIX } from "./whiteouts.ts";
import { CAPABILITY_NOTE, CAPABILITY_XATTR, INCOMPLETE_XATTRS, isPortableXattr } from "./xattr-policy.ts";

export interface PackOptions {
  /** Overlay diff directories of the layer, lowest first; of entries with the same path the topmost counts. */
  diffs: string[];
  /** Diff directories of everything below, lowest first: a whiteout is written only for what they still show. */
  below: string[];
  /** Seconds since 1970; see `timestampMode`. Times of files are exact when absent. */
  timestamp?: number;
  /** "clamp" (the default) turns every later time into `timestamp`, "set" every time. */
  timestampMode?: "clamp" | "set";
  /**
   * "keep" (the default) writes owners as this process sees them; "own" those that `applyLayer` with the same option
   * noted beside the files, and 0:0 for the rest.
   */
  ids?: "keep" | "own";
}

/**
 * Packs a stack of overlayfs diff directories (`userxattr` flavour or root's) as one layer, an uncompressed tar in
 * chunks of at most 1 MiB, which must not be written into. One plain directory as `diffs` and nothing `below` gives a
 * whole root file system. Not written: the root directory itself, sockets, overlayfs's attributes.
 * Throws `unsupported` for what a layer cannot express, `in-use` for a file that changes while it is read.
 */
export function* packLayer(options: PackOptions): Generator<Uint8Array, void> {
  const packer = new Packer(options);
  for (const _ of packer.run()) yield* packer.out.take();
  packer.out.write(END_OF_ARCHIVE);
  packer.out.flush();
  yield* packer.out.take();
}

const TYPES = new Map<number, TarType>([
  [0o100000, "file"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o040000, "directory"],
  [0o010000, "fifo"],
]);

class Packer {
  readonly out = new ChunkBuffer();
  #options: PackOptions;
  #clock: (mtime: bigint) => bigint;
  /** First path of each file that has several names, by device and inode. */
  #links = new Map<string, string>();

  constructor(options: PackOptions) {
    this.#options = options;
    this.#clock = clockOf(options);
  }

  *run(): Generator<void, void> {
    const sources = this.#options.diffs.toReversed();
    yield* this.#content("", sources, MergedDirectory.root(this.#options.below));
  }

  /** Everything in a directory: `prefix` is its path with a slash, `sources` its host directories, topmost first. */
  *#content(prefix: string, sources: string[], below: MergedDirectory): Generator<void, void> {
    const children = listChildren(prefix, sources);
    for (const { name, isWhiteout } of children) {
      if (isWhiteout && below.has(name)) this.#marker(`${prefix}${WHITEOUT_PREFIX}${name}`);
    }
    for (const child of children) {
      if (child.isWhiteout) continue;
      if (child.stat.isDirectory()) yield* this.#directory(prefix, sources, child, below);
      else yield* this.#leaf(`${prefix}${child.name}`, `${sources[child.source]}/${child.name}`, child.stat);
      if (this.out.ready) yield;
    }
  }

  *#directory(
    prefix: string,
    sources: string[],
    child: Child,
    below: MergedDirectory,
  ): Generator<void, void> {
    const { name, source, stat } = child;
    const path = `${sources[source]}/${name}`;
    const names = listXattrs(path);
    this.#header(`${prefix}${name}`, path, "directory", stat, names, "");
    const { directories, hidesBelow } = mergeChild(sources, source, name, names);
    const under = below.child(name);
    if (hidesBelow && !under.isEmpty()) this.#marker(`${prefix}${name}/${OPAQUE_MARKER}`);
    yield* this.#content(`${prefix}${name}/`, directories, hidesBelow ? MergedDirectory.nothing : under);
  }

  *#leaf(name: string, path: string, stat: BigIntStats): Generator<void, void> {
    const type = TYPES.get(Number(stat.mode) & 0o170000);
    if (type === undefined) return; // a socket: it has no meaning without the process that listens
    if (stat.nlink > 1n) {
      const identity = `${stat.dev}:${stat.ino}`;
      const first = this.#links.get(identity);
      if (first !== undefined) {
        this.#header(name, path, "link", stat, [], first);
        return;
      }
      this.#links.set(identity, name);
    }
    this.#header(name, path, type, stat, listXattrs(path), type === "symlink" ? readLink(path) : "");
    if (type !== "file" || stat.size === 0n) return;
    const size = Number(stat.size);
    yield* packContent(this.out, path, name, size, stat.blocks * 512n < stat.size);
  }

  #header(
    name: string,
    path: string,
    type: TarType,
    stat: BigIntStats,
    xattrNames: readonly string[],
    linkName: string,
  ): void {
    const isDevice = type === "char" || type === "block";
    const note = this.#options.ids === "own" ? ownerNoteFor(stat) : undefined;
    // Of a further name of a file no attributes are listed, but its owner is the file's.
    const owner = note && notedOwner(path, note, type === "link" ? [note.attribute] : xattrNames);
    const entry: TarEntry = {
      name,
      type,
      mode: Number(stat.mode) & 0o7777,
      uid: owner?.uid ?? Number(stat.uid),
      gid: owner?.gid ?? Number(stat.gid),
      size: type === "file" ? Number(stat.size) : 0,
      mtime: this.#clock(stat.mtimeNs),
      linkName,
      xattrs: xattrNames.length === 0 ? NO_XATTRS : this.#xattrs(name, path, xattrNames, note),
      ...(isDevice ? splitDevice(stat.rdev) : NO_DEVICE),
    };
    const length = encodeShortHeader(entry, this.out.room(SHORT_HEADER));
    if (length === 0) this.out.write(encodeHeader(entry));
    else this.out.filled(length);
  }

  /** `note`: the attribute that is none of the file's own. */
  #xattrs(
    name: string,
    path: string,
    names: readonly string[],
    note: OwnerNote | undefined,
  ): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    for (const key of names) {
      if (INCOMPLETE_XATTRS.includes(key)) {
        throw new CooperError(
          "unsupported",
          `Cannot archive ${name}: overlayfs keeps a part of it elsewhere (${key})`,
          {
            hint: "Mount overlays with metacopy=off and redirect_dir=off",
          },
        );
      }
      if (!isPortableXattr(key) || key === note?.attribute) continue;
      const value = getXattr(path, key);
      const isCapability = key === CAPABILITY_NOTE && note !== undefined;
      if (value !== undefined) found.set(isCapability ? CAPABILITY_XATTR : key, value);
    }
    return found;
  }

  /** An empty file whose name alone says something. */
  #marker(name: string): void {
    const mtime = this.#clock(0n);
    this.out.write(encodeHeader({ ...MARKER, name, mtime }));
  }
}

const NO_DEVICE = { major: 0, minor: 0 };

const MARKER: Omit<TarEntry, "name" | "mtime"> = {
  type: "file",
  mode: 0o600,
  uid: 0,
  gid: 0,
  size: 0,
  linkName: "",
  xattrs: NO_XATTRS,
  ...NO_DEVICE,
};

const ROOT = { uid: 0, gid: 0 };

/** Owner that `applyLayer` with `ids: "own"` noted; root where it noted none. */
function notedOwner(path: string, note: OwnerNote, xattrNames: readonly string[]): Owner {
  if (!xattrNames.includes(note.attribute)) return ROOT;
  return note.parse(getXattr(path, note.attribute)) ?? ROOT;
}

function clockOf({ timestamp, timestampMode }: PackOptions): (mtime: bigint) => bigint {
  if (timestamp === undefined) return (mtime) => mtime;
  const limit = BigInt(timestamp) * 1_000_000_000n;
  if (timestampMode === "set") return () => limit;
  return (mtime) => (mtime > limit ? limit : mtime);
}
