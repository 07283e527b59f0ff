/**
 * Content digests of what a COPY, ADD or bind mount takes in, for cache keys. Covered are names, types, modes, owners (as
 * far as the copy keeps them), link targets, device numbers, extended attributes, which names are hard links of each
 * other, and contents; not covered are modification times, and of a directory whose contents are copied its own metadata,
 * which is not copied either (`itself`).
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type Digest, Digester, digestOf } from "../base/digest.ts";
import { listXattrs } from "../base/libc.ts";
import { encodeName, fsPath, readLink } from "../base/path-bytes.ts";
import { wrapError } from "../base/errors.ts";
import { PatternList } from "../dockerfile/pattern-list.ts";
import { sharedBuffer } from "./copy-content.ts";
import { type MetadataOptions, metadataOf } from "./copy-metadata.ts";
import type { SourceRequest } from "./copy-tree.ts";
import { matchSources, notFound, type SourceMatch } from "./match-sources.ts";
import { type SourceView, viewOf } from "./source-view.ts";
import { type WalkedEntry, walkSource } from "./walk-sources.ts";
import { isOpaque } from "./whiteouts.ts";

/** What identifies a file's content without reading it. */
export interface StatKey {
  device: bigint;
  inode: bigint;
  size: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

/**
 * Remembers content digests from one run to the next. Git's rule is the cache's own business: a file changed within the
 * clock's resolution of when it was read may change again without its times telling, so `put` must drop, or `get` not
 * answer, keys whose mtime or ctime is not safely before the moment of reading.
 */
export interface StatCache {
  get(key: StatKey): Digest | undefined;
  put(key: StatKey, digest: Digest): void;
  /** Runs work that asks for many files, which may then be answered together. */
  during?<T>(work: () => T): T;
}

/** The copy's options that decide what it keeps of a source. */
export type HashOptions = Pick<MetadataOptions, "owner" | "chmod" | "capabilities" | "ownership"> & {
  /** Whether it counts that a directory hides what lies below it: the files are a snapshot. */
  opaque?: boolean;
  /** Whether the directory that is a source counts too, as where it is mounted and not copied. */
  itself?: boolean;
};

/** A file whose content is part of a digest. */
export interface ContentReference {
  source: string;
  size: number;
  key: StatKey;
}

/** Digest of everything that copyFiles would copy. Throws what copyFiles throws for missing sources and bad patterns. */
export function hashSources(request: SourceRequest, options: HashOptions = {}, cache?: StatCache): Digest {
  const work = () => hashAll(request, options, cache);
  return cache?.during === undefined ? work() : cache.during(work);
}

function hashAll(request: SourceRequest, options: HashOptions, cache: StatCache | undefined): Digest {
  const view = viewOf(request.sourceRoot, request.ignore);
  const label = request.label ?? request.sourceRoot;
  const exclude = request.exclude === undefined ? undefined : new PatternList(request.exclude);
  const hash = new Digester();
  // As they come: a context may have more files than memory has room for.
  const sink: HashSink = {
    record: (fields) => hash.update(encodeName(record(fields))),
    content: (content) => hash.update(Buffer.from(`${digestContent(content, cache)}\n`)),
  };
  for (const match of matchSources(view, request.sources, { ...request, label })) {
    const wanted = hashMatch(sink, view, match, exclude, options);
    if (wanted === 0 && match.required) throw notFound(view, match.pattern, match.pattern, { label });
  }
  return hash.digest();
}

/** Takes what a digest is made of, in order; the content of a file follows its record. */
interface HashSink {
  record(fields: string[]): void;
  content(content: ContentReference): void;
}

function hashMatch(
  sink: HashSink,
  view: SourceView,
  match: SourceMatch,
  exclude: PatternList | undefined,
  options: HashOptions,
): number {
  const linked = new Map<string, string>();
  const isTree = match.stat.isDirectory();
  // A file may get its name from the source; a tree does not.
  sink.record(isTree ? ["tree"] : ["single", match.name]);
  return walkSource(
    view,
    match,
    { exclude, avoid: undefined },
    {
      enter(entry, wanted) {
        if (entry.path === "" && options.itself !== true) return;
        sink.record([wanted ? "directory" : "parent", entry.path, ...describe(entry, options)]);
      },
      leave() {},
      file(entry) {
        hashFile(sink, entry, linked, options);
      },
    },
  );
}

function hashFile(
  sink: HashSink,
  entry: WalkedEntry,
  linked: Map<string, string>,
  options: HashOptions,
): void {
  const { stat, path, source } = entry;
  const key = stat.nlink > 1n && stat.isFile() ? `${stat.dev}:${stat.ino}` : undefined;
  const first = key === undefined ? undefined : linked.get(key);
  if (first !== undefined) {
    sink.record(["link", path, first]);
    return;
  }
  const rest = describe(entry, options);
  if (stat.isSymbolicLink()) {
    sink.record(["symlink", path, readLink(source), ...rest]);
    return;
  }
  if (!stat.isFile()) {
    const kind = (Number(stat.mode) & constants.S_IFMT).toString(8);
    sink.record(["special", path, kind, String(stat.rdev), ...rest]);
    return;
  }
  if (key !== undefined) linked.set(key, path);
  sink.record(["file", path, ...rest]);
  sink.content({
    source,
    size: Number(stat.size),
    key: {
      device: stat.dev,
      inode: stat.ino,
      size: stat.size,
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
    },
  });
}

/** Fields that cannot run into each other, whatever bytes names have: each with its length. */
function record(fields: string[]): string {
  return `${fields.map((field) => `${field.length}:${field}`).join(",")}\n`;
}

function describe(entry: WalkedEntry, options: HashOptions): string[] {
  const { mode, uid, gid, xattrs } = metadataOf(entry, options);
  const fields = [(entry.stat.isSymbolicLink() ? 0 : mode).toString(8)];
  fields.push(options.owner === undefined ? `${uid}:${gid}` : "");
  if (options.opaque === true && entry.stat.isDirectory() && isOpaque(entry.source, listXattrs(entry.source)))
    fields.push("opaque");
  for (const [name, value] of xattrs.sort(([a], [b]) => (a < b ? -1 : 1)))
    fields.push(name, value.toString("hex"));
  return fields;
}

const EMPTY = digestOf("");

/** Digest of a file's content, from the cache when it knows it. Memory is bounded by one buffer. */
export function digestContent(content: ContentReference, cache?: StatCache): Digest {
  if (content.size === 0) return EMPTY;
  const known = cache?.get(content.key);
  if (known !== undefined) return known;
  const digest = digestFile(content);
  cache?.put(content.key, digest);
  return digest;
}

function digestFile({ source: path, size }: ContentReference): Digest {
  try {
    const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = sharedBuffer();
      const hash = new Digester();
      for (;;) {
        const read = readSync(fd, buffer, 0, buffer.length, null);
        hash.update(buffer.subarray(0, read));
        // A small file is read at once: less than was asked for, and all that there should be, is its end.
        if (read === 0 || (read < buffer.length && hash.size === size)) return hash.digest();
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw wrapError(`Cannot read ${path}`, error);
  }
}
