/**
 * Where the entries of a tar file are, so that single ones can be read without unpacking it. Headers are found by
 * seeking from one to the next; tar-stream would have to read everything in between. For archives that hold images,
 * not for layers: only names, sizes and links matter, and nothing is ever written under an entry's name.
 * Format: pax(1) (POSIX.1-2017), and the `L` and `K` records of GNU tar.
 */
import { fstatSync, readSync } from "node:fs";
import { CooperError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";

const BLOCK = 512;
/** Entries beyond this number are no image any more. */
const MAX_ENTRIES = 200_000;
/** Names and PAX records beyond this size likewise. */
const MAX_RECORD = 1 << 20;
const MAX_LINKS = 8;

interface IndexedFile {
  offset: number;
  size: number;
}

type IndexedEntry = IndexedFile | { link: string };

export class TarIndex {
  readonly #entries: Map<string, IndexedEntry>;

  constructor(entries: Map<string, IndexedEntry>) {
    this.#entries = entries;
  }

  /** Position of a file's content; links are followed within the archive. Undefined when there is none. */
  find(name: string): IndexedFile | undefined {
    let current: string | undefined = cleanName(name);
    for (let links = 0; current !== undefined && links <= MAX_LINKS; links++) {
      const entry: IndexedEntry | undefined = this.#entries.get(current);
      if (entry === undefined || "offset" in entry) return entry;
      current = entry.link;
    }
    return undefined;
  }
}

/**
 * Reads the headers of a tar in an open regular file. `what` names it in errors. Throws `invalid` when it is no tar, is
 * cut off, or has names that lead out of it.
 */
export function indexTar(fd: number, what: string): TarIndex {
  const total = fstatSync(fd).size;
  const entries = new Map<string, IndexedEntry>();
  let records: Records = {};
  let offset = 0;
  while (offset + BLOCK <= total) {
    const header = decodeHeader(readAt(fd, offset, BLOCK), what);
    if (header === undefined) break;
    const size = records.size ?? header.size;
    const content = offset + BLOCK;
    if (content + size > total) throw bad(what, "it ends in the middle of an entry");
    offset = content + Math.ceil(size / BLOCK) * BLOCK;
    if (isRecord(header.type)) {
      if (size > MAX_RECORD) throw bad(what, "it has an entry with an absurdly long name");
      records =
        header.type === "g"
          ? records
          : { ...records, ...decodeRecords(header.type, readAt(fd, content, size), what) };
      continue;
    }
    addEntry(entries, { ...header, size }, records, content, what);
    records = {};
    if (entries.size > MAX_ENTRIES) throw bad(what, `it has more than ${MAX_ENTRIES} entries`);
  }
  if (entries.size === 0) throw bad(what, "it has no entries");
  return new TarIndex(entries);
}

interface Header {
  name: string;
  linkName: string;
  type: string;
  size: number;
}

interface Records {
  path?: string;
  linkpath?: string;
  size?: number;
}

function bad(what: string, why: string): CooperError {
  return new CooperError("invalid", `${what} is not a readable tar archive: ${why}`);
}

function readAt(fd: number, offset: number, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const count = readSync(fd, buffer, at, size - at, offset + at);
    if (count === 0) break;
    at += count;
  }
  return buffer;
}

function addEntry(
  entries: Map<string, IndexedEntry>,
  header: Header,
  records: Records,
  offset: number,
  what: string,
): void {
  const written = records.path ?? header.name;
  const name = cleanName(written);
  if (name === undefined) throw bad(what, `its entry "${written}" leads out of it`);
  const linkName = records.linkpath ?? header.linkName;
  // Of several entries with one name the last counts, as for tar.
  if (header.type === "0" || header.type === "7") {
    entries.set(name, { offset, size: header.size });
  } else if (header.type === "1" || header.type === "2") {
    const base = header.type === "2" ? name.split("/").slice(0, -1).join("/") : "";
    const link = cleanName(linkName.startsWith("/") ? linkName : `${base}/${linkName}`, true);
    if (link === undefined) throw bad(what, `its link "${written}" leads out of it`);
    entries.set(name, { link });
  }
}

/** The name without `.` and empty components; undefined when `..` leads above the root, or is there but not allowed. */
function cleanName(name: string, mayGoUp = false): string | undefined {
  const kept: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (!mayGoUp || kept.pop() === undefined) return undefined;
  }
  return kept.join("/");
}

function isRecord(type: string): boolean {
  return type === "x" || type === "g" || type === "L" || type === "K";
}

/** A header block; undefined for one of zeros, which ends an archive. */
function decodeHeader(block: Buffer, what: string): Header | undefined {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i]!;
  if (sum === 8 * 0x20 && block[156] === 0) return undefined;
  if (sum !== number(block, 148, 8)) throw bad(what, "a header has a wrong checksum");
  const size = number(block, 124, 12);
  if (!Number.isSafeInteger(size) || size < 0) throw bad(what, "a header has an impossible size");
  const flag = block[156]!;
  const type = flag === 0 ? "0" : String.fromCharCode(flag);
  // Only POSIX archives have the prefix field; GNU tar keeps other things there.
  const isPosix = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isPosix ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  const hasContent = !"123456".includes(type);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
    type: type === "0" && name.endsWith("/") ? "5" : type,
    size: hasContent ? size : 0,
  };
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return decodeName(end === -1 ? field : field.subarray(0, end));
}

/** Octal digits, or a big-endian binary number behind a byte 0x80 (GNU). */
function number(block: Buffer, at: number, length: number): number {
  if (block[at] === 0x80) {
    return block.subarray(at + 1, at + length).reduce((value, byte) => value * 256 + byte, 0);
  }
  const digits = block
    .toString("latin1", at, at + length)
    .replaceAll("\0", " ")
    .trim();
  return digits === "" ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function decodeRecords(type: string, bytes: Buffer, what: string): Records {
  if (type === "L") return { path: text(bytes, 0, bytes.length) };
  if (type === "K") return { linkpath: text(bytes, 0, bytes.length) };
  const records: Records = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space));
    const equals = bytes.indexOf(0x3d, space);
    const isWhole = space !== -1 && equals !== -1 && length > 0 && at + length <= bytes.length;
    if (!isWhole || equals >= at + length) throw bad(what, "it has a malformed PAX record");
    const key = bytes.toString("latin1", space + 1, equals);
    const value = bytes.subarray(equals + 1, at + length - 1);
    if (key === "path" || key === "linkpath") records[key] = decodeName(value);
    else if (key === "size") records.size = paxSize(value.toString("latin1"), what);
    at += length;
  }
  return records;
}

function paxSize(digits: string, what: string): number {
  if (!/^\d{1,15}$/.test(digits)) throw bad(what, "a PAX record has an impossible size");
  return Number(digits);
}
