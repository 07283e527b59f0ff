/** Fields of a tar header block, of every dialect, from bytes that nobody vouches for. */
import { CooperError } from "../base/errors.ts";
import { decodeName } from "../base/path-bytes.ts";
import { BLOCK } from "./tar-entry.ts";

/** Text up to the first NUL. */
export function textField(block: Uint8Array, at: number, length: number): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return end === at ? "" : decodeName(block.subarray(at, end));
}

/** Octal digits, or base 256 (GNU, star) when the first bit is set. Undefined when it is neither. */
export function numberField(block: Uint8Array, at: number, length: number): bigint | undefined {
  const first = block[at]!;
  return (first & 0x80) === 0 ? octal(block, at, length) : base256(block, at, length);
}

function octal(block: Uint8Array, from: number, length: number): bigint | undefined {
  const end = from + length;
  let at = from;
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at++;
  let value = 0; // eleven or twelve octal digits: exact in a double
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end; at++) if (block[at] !== 0x20 && block[at] !== 0) return undefined;
  return BigInt(value);
}

/** Two's complement, big endian, of which the first bit is only a marker. */
function base256(block: Uint8Array, at: number, length: number): bigint {
  const negative = (block[at]! & 0x40) !== 0;
  let value = negative ? -1n : 0n;
  value = (value << 6n) | BigInt(block[at]! & 0x3f);
  for (let i = 1; i < length; i++) value = (value << 8n) | BigInt(block[at + i]!);
  return value;
}

/** Whether the block's checksum is right; old writers summed signed bytes. */
export function checksumMatches(block: Uint8Array): boolean {
  const expected = numberField(block, 148, 8);
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (i === 148) i = 156;
    const byte = block[i]!;
    unsigned += byte;
    if (byte > 127) high++;
  }
  return expected === BigInt(unsigned) || expected === BigInt(unsigned - 256 * high);
}

/** Whether a block holds only zeros. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < BLOCK; i++) if (block[i] !== 0) return false;
  return true;
}

/** Records of a PAX header in their order, values as raw bytes. Throws `invalid` for malformed ones. */
export function parsePaxRecords(bytes: Uint8Array): [key: string, value: Buffer][] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const records: [string, Buffer][] = [];
  for (let at = 0; at < buffer.length; ) {
    const space = buffer.indexOf(0x20, at);
    const digits = space === -1 ? "" : buffer.toString("latin1", at, Math.min(space, at + 12));
    const length = /^[1-9]\d{0,9}$/.test(digits) ? Number(digits) : 0;
    const equals = buffer.indexOf(0x3d, space);
    const end = at + length;
    if (
      length === 0 ||
      end > buffer.length ||
      buffer[end - 1] !== 0x0a ||
      equals === -1 ||
      equals >= end - 1
    ) {
      throw new CooperError("invalid", "a PAX record is malformed");
    }
    // A copy: the chunk it came in may be gone when the entry is used.
    records.push([
      decodeName(buffer.subarray(space + 1, equals)),
      Buffer.from(buffer.subarray(equals + 1, end - 1)),
    ]);
    at = end;
  }
  return records;
}

/** Decimal seconds ("-1.25") as nanoseconds; digits behind the ninth are dropped. */
export function parsePaxTime(text: string): bigint {
  const match = /^(-?)(\d{1,20})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw new CooperError("invalid", `"${text.slice(0, 40)}" is not a time`);
  const fraction = (match[3] ?? "").slice(0, 9).padEnd(9, "0");
  const size = BigInt(match[2]!) * 1_000_000_000n + BigInt(fraction);
  return match[1] === "-" ? -size : size;
}

/** A decimal number of a PAX record. */
export function parsePaxNumber(key: string, text: string): bigint {
  if (!/^-?\d{1,20}$/.test(text)) throw new CooperError("invalid", `PAX record ${key} is not a number`);
  return BigInt(text);
}
