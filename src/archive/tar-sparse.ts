/** Maps of files with holes in GNU tar's four notations (tar manual, appendix D, "Storing Sparse Files"). */
import { CooperError } from "../base/errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { numberField, parsePaxNumber } from "./tar-fields.ts";
import { BLOCK } from "./tar-entry.ts";

/** A run of stored bytes and where it belongs in the file. */
export interface Extent {
  offset: number;
  length: number;
}

export interface SparseMap {
  extents: Extent[];
  /** Size of the file, holes included. */
  size: number;
  /** Bytes that the map itself took from the stored content. */
  taken: number;
}

const MOST_EXTENTS = 1 << 20;

/** The map of an old GNU header (type S): four extents in the header and more in the blocks behind it. */
export async function readOldMap(header: Uint8Array, source: ByteSource): Promise<SparseMap> {
  const size = wholeNumber(numberField(header, 483, 12));
  const extents: Extent[] = [];
  addExtents(extents, header, 386, 4);
  for (let more = header[482] !== 0; more; ) {
    const block = await source.read(BLOCK);
    if (block.length < BLOCK) throw malformed();
    if (extents.length > MOST_EXTENTS) throw malformed();
    addExtents(extents, block, 0, 21);
    more = block[504] !== 0;
  }
  return { extents, size, taken: 0 };
}

/** Adds extents until an empty field. */
function addExtents(extents: Extent[], block: Uint8Array, at: number, count: number): void {
  for (let i = at; i < at + count * 24; i += 24) {
    if (block[i] === 0) break;
    extents.push({
      offset: wholeNumber(numberField(block, i, 12)),
      length: wholeNumber(numberField(block, i + 12, 12)),
    });
  }
}

/**
 * The map of PAX records, versions 0.0 (a pair of records per extent) and 0.1 (one list); for 1.0, where it stands before
 * the content, it is read from there. Undefined when the records speak of no sparse file.
 */
export async function readPaxMap(
  records: readonly (readonly [string, Uint8Array])[],
  source: ByteSource,
): Promise<SparseMap | undefined> {
  const text = (key: string) => {
    const value = records.findLast(([name]) => name === key)?.[1];
    return value === undefined ? undefined : Buffer.from(value).toString("latin1");
  };
  const size = text("GNU.sparse.realsize") ?? text("GNU.sparse.size");
  if (size === undefined) return undefined;
  const realSize = wholeNumber(parsePaxNumber("GNU.sparse.size", size));
  if (text("GNU.sparse.major") === "1") return { ...(await readLeadingMap(source)), size: realSize };
  const list = text("GNU.sparse.map");
  const numbers =
    list === undefined
      ? pairs(records)
      : list === ""
        ? []
        : list.split(",").map((n) => wholeNumber(parsePaxNumber("map", n)));
  return { extents: paired(numbers), size: realSize, taken: 0 };
}

function pairs(records: readonly (readonly [string, Uint8Array])[]): number[] {
  return records
    .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
    .map(([key, value]) => wholeNumber(parsePaxNumber(key, Buffer.from(value).toString("latin1"))));
}

/** Version 1.0: decimal lines (count, then offset and length of each), padded to whole blocks. */
async function readLeadingMap(source: ByteSource): Promise<Pick<SparseMap, "extents" | "taken">> {
  const numbers: number[] = [];
  let line = "";
  let taken = 0;
  const complete = () => numbers.length > 0 && numbers.length === 1 + 2 * numbers[0]!;
  while (!complete()) {
    const block = await source.read(BLOCK);
    if (block.length < BLOCK) throw malformed();
    taken += BLOCK;
    for (const byte of block) {
      if (complete()) break;
      if (byte !== 0x0a) {
        line += String.fromCharCode(byte);
        if (line.length > 20) throw malformed();
        continue;
      }
      numbers.push(wholeNumber(parsePaxNumber("map", line)));
      line = "";
      if (numbers[0]! > MOST_EXTENTS) throw malformed();
    }
  }
  return { extents: paired(numbers.slice(1)), taken };
}

function paired(numbers: number[]): Extent[] {
  if (numbers.length % 2 !== 0 || numbers.length > 2 * MOST_EXTENTS) throw malformed();
  const extents: Extent[] = [];
  for (let i = 0; i < numbers.length; i += 2) extents.push({ offset: numbers[i]!, length: numbers[i + 1]! });
  return extents;
}

/** Checks that extents follow each other within the file and are all that is stored. */
export function checkMap(map: SparseMap, stored: number): void {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of map.extents) {
    if (offset < end || offset + length > map.size) throw malformed();
    end = offset + length;
    sum += length;
  }
  if (sum !== stored - map.taken) throw malformed();
}

function wholeNumber(value: bigint | undefined): number {
  if (value === undefined || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed();
  return Number(value);
}

function malformed(): CooperError {
  return new CooperError("invalid", "its map of holes is malformed");
}
