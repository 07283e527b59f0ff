/** Digests of files and what belongs to them, one by one or many of a directory at a time. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type Digest, Digester, digestOf } from "../base/digest.ts";
import { wrapError } from "../base/errors.ts";
import type { Work } from "../base/turns.ts";
import { listXattrs } from "../base/xattrs.ts";
import { encodeName, fsPath, readLink } from "../base/path-bytes.ts";
import { sharedBuffer } from "./copy-content.ts";
import { type MetadataOptions, metadataOf } from "./copy-metadata.ts";
import { isSettled, type StatCache, stateOfEntries, stateOfFile } from "./stat-cache.ts";
import { reach, type WalkedEntry } from "./walk-sources.ts";
import { isOpaque } from "./whiteouts.ts";

/** The copy's options that decide what it keeps of a source. */
export type HashOptions = Pick<MetadataOptions, "owner" | "chmod" | "capabilities" | "ownership"> & {
  /** Whether it counts that a directory hides what lies below it: the files are a snapshot. */
  opaque?: boolean;
  /** Whether the directory that is a source counts too, as where it is mounted and not copied. */
  itself?: boolean;
};

/** How files are hashed. */
export interface HashSettings {
  options: HashOptions;
  cache: StatCache | undefined;
  /** Nothing was looked at before; in nanoseconds since 1970. */
  since: bigint;
}

/** So many entries of a directory are hashed, and known again, together. A change of one has the others looked at. */
const GROUP = 1000;

/** Entries of one directory that follow each other; `record` takes what their digests are. */
export class FileGroup {
  readonly #settings: HashSettings;
  readonly #purpose: string;
  readonly #record: (fields: string[]) => void;
  #entries: WalkedEntry[] = [];

  constructor(settings: HashSettings, record: (fields: string[]) => void) {
    this.#settings = settings;
    const { owner, chmod, capabilities, ownership } = settings.options;
    this.#purpose = digestOf(JSON.stringify([owner, chmod, capabilities, ownership]));
    this.#record = record;
  }

  /** Anything but a directory. */
  add(entry: WalkedEntry): Work<void> | undefined {
    this.#entries.push(entry);
    return this.#entries.length === GROUP ? this.end() : undefined;
  }

  /** What comes is in another directory. */
  *end(): Work<void> {
    if (this.#entries.length === 0) return;
    this.#record(["files", yield* this.#digest(this.#entries)]);
    this.#entries = [];
  }

  *#digest(entries: WalkedEntry[]): Work<Digest> {
    const { cache, since } = this.#settings;
    const state = cache === undefined ? undefined : stateOfEntries(entries, this.#purpose);
    const known = state === undefined ? undefined : cache!.get(state);
    if (known !== undefined) return known;
    const digester = new Digester();
    for (const entry of entries) {
      digester.update(encodeRecord(yield* describeFile(entry, this.#settings)));
      yield;
    }
    const digest = digester.digest();
    if (state !== undefined && entries.every(({ stat }) => isSettled(stat, since))) cache!.put(state, digest);
    return digest;
  }
}

/** Fields that cannot run into each other, whatever bytes names have: each with its length. */
export function encodeRecord(fields: string[]): Buffer {
  return encodeName(`${fields.map((field) => `${field.length}:${field}`).join(",")}\n`);
}

function* describeFile(entry: WalkedEntry, settings: HashSettings): Work<string[]> {
  const { stat, path } = entry;
  const metadata = describeMetadata(entry, settings.options);
  if (stat.isFile()) return ["file", path, yield* digestContent(entry, settings), ...metadata];
  if (stat.isSymbolicLink()) return ["symlink", path, readLink(reach(entry)), ...metadata];
  const kind = (Number(stat.mode) & constants.S_IFMT).toString(8);
  return ["special", path, kind, String(stat.rdev), ...metadata];
}

/** Mode, owner and attributes, as far as the copy keeps them. */
export function describeMetadata(entry: WalkedEntry, options: HashOptions): string[] {
  const { mode, uid, gid, xattrs } = metadataOf(entry, options);
  const fields = [(entry.stat.isSymbolicLink() ? 0 : mode).toString(8)];
  fields.push(options.owner === undefined ? `${uid}:${gid}` : "");
  if (options.opaque === true && entry.stat.isDirectory() && isOpaque(entry.source, listXattrs(entry.source)))
    fields.push("opaque");
  for (const [name, value] of xattrs.sort(([a], [b]) => (a < b ? -1 : 1)))
    fields.push(name, value.toString("hex"));
  return fields;
}

/** Reading less than this takes no longer than looking it up. */
const WORTH_REMEMBERING = 16n << 10n;
const EMPTY = digestOf("");

function* digestContent(entry: WalkedEntry, { cache, since }: HashSettings): Work<Digest> {
  const { stat } = entry;
  if (stat.size === 0n) return EMPTY;
  if (cache === undefined || stat.size < WORTH_REMEMBERING) return yield* digestFile(entry);
  const state = stateOfFile(stat);
  const known = cache.get(state);
  if (known !== undefined) return known;
  const digest = yield* digestFile(entry);
  if (isSettled(stat, since)) cache.put(state, digest);
  return digest;
}

/** Memory is bounded by one buffer. */
function* digestFile(entry: WalkedEntry): Work<Digest> {
  try {
    const fd = openSync(fsPath(reach(entry)), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = sharedBuffer();
      const hash = new Digester();
      for (;;) {
        const read = readSync(fd, buffer, 0, buffer.length, null);
        hash.update(buffer.subarray(0, read));
        // A small file is read at once: less than was asked for, and all that there should be, is its end.
        if (read === 0 || (read < buffer.length && BigInt(hash.size) === entry.stat.size))
          return hash.digest();
        yield;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw wrapError(`Cannot read ${entry.source}`, error);
  }
}
