/**
 * Headers of a tar archive: ustar, and PAX records (pax(1), POSIX.1-2017) for what ustar cannot hold. The same entry
 * always gives the same bytes: no atime, ctime, user or group names.
 *
 * Names that are not UTF-8, or not ASCII, stand as raw bytes in ustar fields and PAX records alike; GNU tar, Go's
 * archive/tar and Python's tarfile read both that way.
 */
import { CooperError } from "../base/errors.ts";
import { encodeName } from "../base/path-bytes.ts";
import { BLOCK, paddedSize, type TarEntry, type TarType, XATTR_KEYWORD } from "./tar-entry.ts";

const FLAGS: Record<TarType, number> = {
  file: 0x30,
  link: 0x31,
  symlink: 0x32,
  char: 0x33,
  block: 0x34,
  directory: 0x35,
  fifo: 0x36,
};

const NAME = { at: 0, length: 100 };
const LINK = { at: 157, length: 100 };
const PREFIX = { at: 345, length: 155 };
const LARGEST_SIZE = 0o77777777777;
const LARGEST_ID = 0o7777777;
const SECOND = 1_000_000_000n;

/** The two blocks of zeros that end an archive. */
export const END_OF_ARCHIVE: Uint8Array = new Uint8Array(2 * BLOCK);

/** Header of one entry, PAX records and their own header first; its content and padding follow it. */
export function encodeHeader(entry: TarEntry): Buffer {
  const name = encodeName(entry.type === "directory" ? `${entry.name}/` : entry.name);
  const linkName = entry.linkName === "" ? undefined : encodeName(entry.linkName);
  const split = splitName(name);
  const records = paxRecords(entry, split === undefined ? name : undefined, linkName);
  const extended = records.length === 0 ? 0 : BLOCK + paddedSize(records.length);
  const out = Buffer.alloc(extended + BLOCK);
  if (extended > 0) {
    fillExtended(out.subarray(0, BLOCK), records.length);
    out.set(records, BLOCK);
  }
  const block = out.subarray(extended);
  const { prefix, rest } = split ?? { prefix: undefined, rest: name.subarray(0, NAME.length) };
  block.set(rest, NAME.at);
  if (prefix !== undefined) block.set(prefix, PREFIX.at);
  if (linkName !== undefined) block.set(linkName.subarray(0, LINK.length), LINK.at);
  if (entry.type === "char" || entry.type === "block") {
    writeOctal(block, 329, 7, entry.major);
    writeOctal(block, 337, 7, entry.minor);
  }
  fillCommon(block, entry, Number(entry.mtime / SECOND));
  return out;
}

/** Everything but names and device numbers, and the checksum. */
function fillCommon(block: Buffer, entry: TarEntry, seconds: number): void {
  writeOctal(block, 100, 7, entry.mode & 0o7777);
  writeOctal(block, 108, 7, fitting(entry.uid, LARGEST_ID));
  writeOctal(block, 116, 7, fitting(entry.gid, LARGEST_ID));
  writeOctal(block, 124, 11, fitting(entry.size, LARGEST_SIZE));
  writeOctal(block, 136, 11, fitting(seconds, LARGEST_SIZE));
  block[156] = FLAGS[entry.type];
  seal(block);
}

/** Room that `encodeShortHeader` needs. */
export const SHORT_HEADER = 3 * BLOCK;

const ASCII = /^[\x01-\x7f]*$/;

/**
 * Header of an ordinary entry (a short ASCII name, no attributes, a small owner), written straight into `out`: the same
 * bytes as `encodeHeader` gives, without its allocations, which were a third of packing a tree of small files. Returns
 * its length, or 0 when the entry is not so ordinary.
 */
export function encodeShortHeader(entry: TarEntry, out: Buffer): number {
  const { name, type, mtime } = entry;
  if (name.length >= NAME.length || entry.linkName !== "" || entry.xattrs.size > 0 || !ASCII.test(name))
    return 0;
  if (type === "char" || type === "block" || entry.uid > LARGEST_ID || entry.gid > LARGEST_ID) return 0;
  const seconds = Number(mtime / SECOND);
  if (entry.size > LARGEST_SIZE || mtime < 0n || seconds > LARGEST_SIZE) return 0;
  let at = 0;
  if (mtime % SECOND !== 0n) {
    // Two digits, " mtime=" and the newline make 10; the time itself has 3 to 21.
    const time = decimalSeconds(mtime);
    const length = time.length + 10;
    out.fill(0, 0, 2 * BLOCK);
    fillExtended(out.subarray(0, BLOCK), length);
    out.write(`${length} mtime=${time}\n`, BLOCK, "latin1");
    at = 2 * BLOCK;
  }
  const block = out.subarray(at, at + BLOCK);
  block.fill(0);
  block.write(type === "directory" ? `${name}/` : name, NAME.at, "latin1");
  fillCommon(block, entry, seconds);
  return at + BLOCK;
}

/** A name cut into ustar's two fields, or undefined when it fits in no way. */
function splitName(name: Buffer): { prefix: Buffer | undefined; rest: Buffer } | undefined {
  if (name.length <= NAME.length) return { prefix: undefined, rest: name };
  if (name.length > NAME.length + 1 + PREFIX.length) return undefined;
  // The last slash whose left side still fits leaves the shortest rest; one at the very end leaves none.
  const slash = name.lastIndexOf(0x2f, Math.min(PREFIX.length, name.length - 2));
  if (slash <= 0 || name.length - slash - 1 > NAME.length) return undefined;
  return { prefix: name.subarray(0, slash), rest: name.subarray(slash + 1) };
}

/** What ustar has no room for is in a PAX record; its field then holds zero. */
function fitting(value: number, largest: number): number {
  return value >= 0 && value <= largest ? value : 0;
}

function paxRecords(entry: TarEntry, longName: Buffer | undefined, linkName: Buffer | undefined): Buffer {
  const records: Buffer[] = [];
  if (longName !== undefined) records.push(record("path", longName));
  if (linkName !== undefined && linkName.length > LINK.length) records.push(record("linkpath", linkName));
  if (entry.size > LARGEST_SIZE) records.push(record("size", Buffer.from(String(entry.size))));
  if (entry.uid > LARGEST_ID) records.push(record("uid", Buffer.from(String(entry.uid))));
  if (entry.gid > LARGEST_ID) records.push(record("gid", Buffer.from(String(entry.gid))));
  const { mtime } = entry;
  if (mtime < 0n || mtime % SECOND !== 0n || mtime / SECOND > LARGEST_SIZE) {
    records.push(record("mtime", Buffer.from(decimalSeconds(mtime))));
  }
  if (entry.xattrs.size > 0) {
    for (const [key, value] of [...entry.xattrs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (key.includes("=")) {
        throw new CooperError(
          "unsupported",
          `Cannot archive ${entry.name}: attribute name ${key} contains "="`,
        );
      }
      records.push(record(XATTR_KEYWORD + key, value));
    }
  }
  return records.length === 0 ? EMPTY : Buffer.concat(records);
}

const EMPTY = Buffer.alloc(0);

/** "LENGTH KEY=VALUE\n", in which LENGTH counts itself. */
function record(key: string, value: Uint8Array): Buffer {
  const tail = Buffer.concat([Buffer.from(` ${key}=`), value, NEWLINE]);
  let length = tail.length + String(tail.length).length;
  if (String(length).length > String(tail.length).length) length++;
  return Buffer.concat([Buffer.from(String(length)), tail]);
}

const NEWLINE = Buffer.from("\n");

/** Exact decimal seconds, without zeros at the end: "1.5", "-0.000000001", "7". */
function decimalSeconds(nanoseconds: bigint): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = (size % SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  return `${nanoseconds < 0n ? "-" : ""}${size / SECOND}${fraction === "" ? "" : `.${fraction}`}`;
}

/** Header of `length` bytes of PAX records. */
function fillExtended(block: Buffer, length: number): void {
  block.write("PaxHeaders.0/x", NAME.at, "latin1");
  writeOctal(block, 100, 7, 0o644);
  writeOctal(block, 108, 7, 0);
  writeOctal(block, 116, 7, 0);
  writeOctal(block, 124, 11, length);
  writeOctal(block, 136, 11, 0);
  block[156] = 0x78; // x
  seal(block);
}

/** Magic, version and checksum. */
function seal(block: Buffer): void {
  block.write("ustar\x0000", 257, "latin1");
  let sum = 8 * 0x20; // the checksum's own field counts as spaces
  for (let i = 0; i < BLOCK; i++) sum += block[i]!;
  writeOctal(block, 148, 6, sum);
  block[155] = 0x20;
}

/** `digits` octal digits; the byte behind them stays NUL. */
function writeOctal(block: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    block[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}
