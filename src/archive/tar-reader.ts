/**
 * Entries of a tar archive: v7, ustar, PAX, old and new GNU, star; sparse files of all four GNU notations.
 *
 * Not tar-stream's extractor: it decodes PAX values as UTF-8, which destroys binary attributes such as
 * security.capability and names in other encodings, cuts times to whole seconds and cannot read sparse files.
 */
import { CooperError, wrapError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";
import { ByteSource } from "./byte-source.ts";
import { BLOCK, NO_XATTRS, paddedSize, type TarEntry, type TarType, XATTR_KEYWORD } from "./tar-entry.ts";
import {
  checksumMatches,
  isZeroBlock,
  numberField,
  parsePaxNumber,
  parsePaxRecords,
  parsePaxTime,
  textField,
} from "./tar-fields.ts";
import { checkMap, type Extent, readOldMap, readPaxMap } from "./tar-sparse.ts";

export interface TarMember extends TarEntry {
  /**
   * The content in order, each piece with its offset in the file; where pieces leave a gap there is a hole. To be read
   * before the next member is asked for, or not at all. Pieces are valid until the next one is asked for.
   */
  content(): AsyncGenerator<[offset: number, bytes: Uint8Array], void>;
}

type Records = readonly (readonly [key: string, value: Buffer])[];

// A real header has a few attributes of at most 64 KiB each and two names of at most 4 KiB.
const LARGEST_EXTENSION = 8 << 20;

const TYPES: Record<string, TarType> = {
  "\0": "file",
  "0": "file",
  "7": "file", // contiguous, which no system distinguishes any more
  S: "file", // old GNU sparse
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  D: "directory", // GNU incremental: its content lists names
  "6": "fifo",
};

/**
 * Reads an uncompressed archive to the very end of the stream, also behind the archive's end. Throws `invalid`, with the
 * entry's name where it is known, for malformed or truncated input, `unsupported` for types of entries that no file
 * system has.
 */
export async function* readTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember, void> {
  const source = new ByteSource(stream);
  let defaults: Records = [];
  let previous = "";
  try {
    for (;;) {
      const extensions = new Extensions(defaults);
      const block = await nextHeader(source, extensions, previous);
      defaults = extensions.defaults;
      if (block === undefined) break;
      const body = await describe(block, extensions, source, previous);
      previous = body.member.name;
      yield body.member;
      await body.finish();
    }
    await source.skip(Number.POSITIVE_INFINITY);
  } finally {
    await source.close();
  }
}

/** What headers in front of an entry's own say about it. */
class Extensions {
  /** PAX records for all entries from here on. */
  defaults: Records;
  own: Records = [];
  longName: string | undefined;
  longLink: string | undefined;

  constructor(defaults: Records) {
    this.defaults = defaults;
  }

  /** Defaults first: of equal keys the last one counts. */
  get records(): Records {
    return this.defaults.length === 0 ? this.own : [...this.defaults, ...this.own];
  }
}

/** The block of the next entry, its extensions collected; undefined at the archive's end. */
async function nextHeader(
  source: ByteSource,
  extensions: Extensions,
  previous: string,
): Promise<Uint8Array | undefined> {
  let extended = false; // by headers that mean nothing without the next one
  for (;;) {
    const block = await readBlock(source, previous);
    if (block === undefined && extended) throw truncated(previous);
    if (block === undefined) return undefined;
    const flag = String.fromCharCode(block[156]!);
    if (flag === "V") continue; // GNU: the volume's label
    if (flag !== "x" && flag !== "X" && flag !== "g" && flag !== "L" && flag !== "K") return block;
    const bytes = await readExtension(source, block, previous);
    extended ||= flag !== "g";
    if (flag === "L") extensions.longName = untilNul(bytes);
    else if (flag === "K") extensions.longLink = untilNul(bytes);
    else if (flag === "g") extensions.defaults = [...extensions.defaults, ...paxRecords(bytes, previous)];
    else extensions.own = paxRecords(bytes, previous);
  }
}

/** A header block with a right checksum; undefined at the end, which is two blocks of zeros or the stream's own end. */
async function readBlock(source: ByteSource, previous: string): Promise<Uint8Array | undefined> {
  const block = await source.read(BLOCK);
  if (block.length === 0) return undefined;
  if (block.length < BLOCK) throw truncated(previous);
  if (isZeroBlock(block)) {
    const second = await source.read(BLOCK);
    if (second.length === 0 || (second.length === BLOCK && isZeroBlock(second))) return undefined;
    throw new CooperError("invalid", `Archive is damaged ${behind(previous)}: a header is missing`);
  }
  if (!checksumMatches(block)) {
    throw new CooperError(
      "invalid",
      `Archive is damaged ${behind(previous)}: a header's checksum does not match`,
    );
  }
  return Uint8Array.prototype.slice.call(block);
}

async function readExtension(source: ByteSource, block: Uint8Array, previous: string): Promise<Uint8Array> {
  const size = Number(numberField(block, 124, 12) ?? -1n);
  if (!(size >= 0 && size <= LARGEST_EXTENSION)) {
    throw new CooperError(
      "invalid",
      `Archive is damaged ${behind(previous)}: an extended header has an impossible size`,
    );
  }
  const bytes = await source.read(paddedSize(size));
  if (bytes.length < size) throw truncated(previous);
  return bytes.subarray(0, size);
}

function paxRecords(bytes: Uint8Array, previous: string): Records {
  try {
    return parsePaxRecords(bytes);
  } catch (error) {
    throw wrapError(`Archive is damaged ${behind(previous)}`, error);
  }
}

function untilNul(bytes: Uint8Array): string {
  return textField(bytes, 0, bytes.length);
}

interface Body {
  member: TarMember;
  /** Passes over what of the content nobody read. */
  finish(): Promise<void>;
}

async function describe(
  block: Uint8Array,
  extensions: Extensions,
  source: ByteSource,
  previous: string,
): Promise<Body> {
  const { records } = extensions;
  const name = records.length === 0 ? undefined : lastText(records, "GNU.sparse.name");
  const fullName = name ?? lastText(records, "path") ?? extensions.longName ?? headerName(block);
  try {
    return await describeNamed(fullName, block, extensions, source);
  } catch (error) {
    throw wrapError(
      fullName === "" ? `Archive is damaged ${behind(previous)}` : `Cannot read entry ${fullName}`,
      error,
    );
  }
}

async function describeNamed(
  fullName: string,
  block: Uint8Array,
  extensions: Extensions,
  source: ByteSource,
): Promise<Body> {
  const { records } = extensions;
  const name = fullName.replace(/\/+$/, fullName.startsWith("/") ? "/" : "") || fullName;
  const type = typeOf(block, fullName);
  const linkName = lastText(records, "linkpath") ?? extensions.longLink ?? textField(block, 157, 100);
  if (fullName === "" || fullName.includes("\0") || linkName.includes("\0")) {
    throw new CooperError("invalid", "its name is empty or contains NUL");
  }
  const hasContent = type === "file" || (type === "directory" && block[156] !== 0x35);
  const stored = hasContent ? storedSize(block, records) : 0;
  const map = type === "file" ? await sparseMap(block, records, source) : undefined;
  if (map !== undefined) checkMap(map, stored);
  const isLink = type === "link" || type === "symlink";
  const isDevice = type === "char" || type === "block";
  const entry: TarEntry = {
    name,
    type,
    mode: Number(field(block, 100, 8, "mode")) & 0o7777,
    uid: idOf(block, 108, records, "uid"),
    gid: idOf(block, 116, records, "gid"),
    size: type === "file" ? (map?.size ?? stored) : 0,
    mtime: timeOf(block, records),
    linkName: isLink ? linkName : "",
    major: isDevice ? deviceNumber(block, 329) : 0,
    minor: isDevice ? deviceNumber(block, 337) : 0,
    xattrs: records.length === 0 ? NO_XATTRS : xattrsOf(records),
  };
  return bodyOf(
    entry,
    map?.extents ?? [{ offset: 0, length: stored }],
    stored - (map?.taken ?? 0),
    stored,
    source,
  );
}

function bodyOf(entry: TarEntry, extents: Extent[], left: number, stored: number, source: ByteSource): Body {
  let remaining = left;
  const padding = paddedSize(stored) - stored;
  async function* content(): AsyncGenerator<[number, Uint8Array], void> {
    for (const { offset, length } of extents) {
      for (let at = 0; at < length; ) {
        const bytes = await source.some(length - at);
        if (bytes === undefined) throw truncated(entry.name);
        remaining -= bytes.length;
        yield [offset + at, bytes];
        at += bytes.length;
      }
    }
  }
  const finish = async () => {
    const rest = remaining + padding;
    if (rest > 0 && (await source.skip(rest)) < remaining) throw truncated(entry.name);
  };
  return { member: { ...entry, content }, finish };
}

function headerName(block: Uint8Array): string {
  const name = textField(block, 0, 100);
  // ustar's magic ends in NUL; GNU's in a space, and there the prefix field holds other things.
  if (Buffer.from(block.buffer, block.byteOffset + 257, 6).toString("latin1") !== "ustar\0") return name;
  const isStar = Buffer.from(block.buffer, block.byteOffset + 508, 4).toString("latin1") === "tar\0";
  const prefix = textField(block, 345, isStar ? 131 : 155);
  return prefix === "" ? name : `${prefix}/${name}`;
}

function typeOf(block: Uint8Array, fullName: string): TarType {
  const flag = String.fromCharCode(block[156]!);
  const type = TYPES[flag];
  if (type === undefined)
    throw new CooperError("unsupported", `entries of type "${flag}" have no meaning here`);
  // Before ustar a slash at the end was all that told a directory.
  return type === "file" && fullName.endsWith("/") ? "directory" : type;
}

function sparseMap(block: Uint8Array, records: Records, source: ByteSource) {
  if (block[156] === 0x53) return readOldMap(block, source);
  return records.length === 0 ? undefined : readPaxMap(records, source);
}

function storedSize(block: Uint8Array, records: Records): number {
  const text = lastText(records, "size");
  const size = text === undefined ? field(block, 124, 12, "size") : parsePaxNumber("size", text);
  if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw new CooperError("invalid", "its size is impossible");
  return Number(size);
}

function idOf(block: Uint8Array, at: number, records: Records, key: string): number {
  const text = lastText(records, key);
  const id = text === undefined ? field(block, at, 8, key) : parsePaxNumber(key, text);
  // 2^32 - 1 means "leave as it is" to chown(2).
  if (id < 0n || id >= 0xffff_ffffn) throw new CooperError("invalid", `its ${key} ${id} is impossible`);
  return Number(id);
}

const LATEST = (1n << 62n) - 1n; // seconds; what is beyond fits no system's clock

function timeOf(block: Uint8Array, records: Records): bigint {
  const text = lastText(records, "mtime");
  const time = text === undefined ? field(block, 136, 12, "mtime") * 1_000_000_000n : parsePaxTime(text);
  const seconds = time / 1_000_000_000n;
  if (seconds > LATEST || seconds < -LATEST) throw new CooperError("invalid", "its time is impossible");
  return time;
}

function deviceNumber(block: Uint8Array, at: number): number {
  const value = field(block, at, 8, "device number");
  if (value < 0n || value > 0xffff_ffffn) throw new CooperError("invalid", "its device number is impossible");
  return Number(value);
}

function field(block: Uint8Array, at: number, length: number, what: string): bigint {
  const value = numberField(block, at, length);
  if (value === undefined) throw new CooperError("invalid", `its ${what} is not a number`);
  return value;
}

function xattrsOf(records: Records): ReadonlyMap<string, Uint8Array> {
  let found: Map<string, Uint8Array> | undefined;
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR_KEYWORD)) continue;
    found ??= new Map();
    found.set(key.slice(XATTR_KEYWORD.length), value);
  }
  return found ?? NO_XATTRS;
}

/** Value of the last record with a key; an empty one takes the key back. */
function lastText(records: Records, wanted: string): string | undefined {
  for (let i = records.length - 1; i >= 0; i--) {
    const [key, value] = records[i]!;
    if (key === wanted) return value.length === 0 ? undefined : decodeName(value);
  }
  return undefined;
}

function behind(previous: string): string {
  return previous === "" ? "at its beginning" : `behind ${previous}`;
}

function truncated(name: string): CooperError {
  return new CooperError(
    "invalid",
    `Archive ends too early, ${name === "" ? "in its first header" : `in or behind ${name}`}`,
  );
}
