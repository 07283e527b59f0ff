/** The search for secrets in what a build made: in documents, and in directories with all that a layer keeps of them. */
import { type BigIntStats, closeSync, constants, openSync, readSync } from "node:fs";
import { decompressAll, detectCompression } from "../archive/compression.ts";
import { isPortableXattr } from "../archive/xattr-policy.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { SEEK, seek } from "../base/file-calls.ts";
import { getXattr, listXattrs } from "../base/xattrs.ts";
import { encodeName, fsPath, readLink, readNames, statusOf } from "../base/path-bytes.ts";
import { redactedValue } from "./redact-output.ts";
import type { Hit, Needle, Needles } from "./secret-needles.ts";

const CHUNK = 1 << 20;
const BUFFER = Buffer.allocUnsafeSlow(CHUNK);
/** Enough to tell a compressed file, and to hold a short secret alone. */
const START = 64;
const LOOKED_INTO: ReadonlySet<string> = new Set(["gzip", "zstd"]);
/** Bytes of the content of a compressed file that are searched. */
const MOST_UNPACKED = 1 << 30;

/** A secret where it should not be. */
export interface Leak {
  id: string;
  form: Needle["form"];
  /** For people, without the secret: `/etc/app.conf at byte 12`. */
  place: string;
}

/** Leaks in the strings of a document, its keys included; `shown` begins their places. */
export function* leaksInValue(needles: Needles, value: unknown, shown: string): Generator<Leak> {
  if (typeof value === "string") {
    const bytes = encodeName(value);
    const assigned = encodeName(value.slice(value.indexOf("=") + 1));
    for (const { needle, at } of [...needles.hits(bytes), ...needles.alone(assigned)])
      yield leak(needles, needle, `${shown} at byte ${at}`);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    for (const { needle } of needles.hits(encodeName(key)))
      yield leak(needles, needle, `the name of ${shown}, ${key}`);
    yield* leaksInValue(needles, inner, `${shown}, ${key}`);
  }
}

/** Leaks in the names, links, attributes and contents below a host directory; of a file one for each secret. */
export async function* leaksInDirectory(
  needles: Needles,
  directory: string,
  shown = "",
): AsyncGenerator<Leak, void> {
  for (const name of readNames(directory)) {
    const path = `${directory}/${name}`;
    const inImage = `${shown}/${name}`;
    const stat = statusOf(path);
    if (stat === undefined) continue;
    for (const { needle } of needles.hits(encodeName(name)))
      yield leak(needles, needle, `the name of ${inImage}`);
    if (stat.isSymbolicLink()) {
      for (const { needle } of needles.hits(encodeName(readLink(path))))
        yield leak(needles, needle, `the target of the link ${inImage}`);
    } else yield* leaksInAttributes(needles, path, inImage);
    if (stat.isFile()) yield* leaksInFile(needles, path, inImage, stat);
    else if (stat.isDirectory()) yield* leaksInDirectory(needles, path, inImage);
  }
}

function leak(needles: Needles, { id, form }: Needle, place: string): Leak {
  return { id, form, place: redactedValue(needles, place) };
}

function* leaksInAttributes(needles: Needles, path: string, inImage: string): Generator<Leak> {
  for (const name of listXattrs(path).filter(isPortableXattr)) {
    const value = getXattr(path, name) ?? Buffer.alloc(0);
    for (const { needle } of [
      ...needles.hits(encodeName(name)),
      ...needles.hits(value),
      ...needles.alone(value),
    ])
      yield leak(needles, needle, `the attribute ${name} of ${inImage}`);
  }
}

async function* leaksInFile(
  needles: Needles,
  path: string,
  inImage: string,
  { size, blocks }: BigIntStats,
): AsyncGenerator<Leak, void> {
  const fd = openFile(path, inImage);
  try {
    const start = Buffer.alloc(START);
    const head = start.subarray(0, readSync(fd, start, 0, START, 0));
    const content = new Search(needles, needles.alone(head));
    for (const { from, to } of blocks * 512n < size ? dataOf(fd, Number(size)) : [{ from: 0, to: Infinity }])
      for (const chunk of readRange(fd, from, to)) content.add(chunk.bytes, chunk.at);
    for (const { needle, at } of content.hits) yield leak(needles, needle, `${inImage} at byte ${at}`);
    if (!LOOKED_INTO.has(detectCompression(head))) return;
    const inside = new Search(needles);
    let at = 0;
    for await (const bytes of unpacked(fd)) {
      inside.add(bytes, at);
      at += bytes.length;
    }
    for (const { needle, at } of inside.hits)
      yield leak(needles, needle, `${inImage} at byte ${at} of what it unpacks to`);
  } finally {
    closeSync(fd);
  }
}

/** Of a content that comes in pieces: the first hit of each secret. */
class Search {
  readonly #needles: Needles;
  readonly #found = new Map<string, Hit>();
  /** What could be the beginning of a hit, in front of the next piece. */
  #kept: Buffer = Buffer.alloc(0);
  #end = 0;

  constructor(needles: Needles, found: Hit[] = []) {
    this.#needles = needles;
    for (const hit of found) this.#found.set(hit.needle.id, hit);
  }

  /** The piece that begins at byte `at`; between it and the one before there may be a hole. */
  add(piece: Buffer, at: number): void {
    const bytes = at === this.#end ? Buffer.concat([this.#kept, piece]) : piece;
    this.#end = at + piece.length;
    const start = this.#end - bytes.length;
    for (const hit of this.#needles.hits(bytes))
      if (!this.#found.has(hit.needle.id))
        this.#found.set(hit.needle.id, { needle: hit.needle, at: start + hit.at });
    const { longest } = this.#needles;
    this.#kept = longest === 1 ? Buffer.alloc(0) : Buffer.from(bytes.subarray(-(longest - 1)));
  }

  get hits(): Iterable<Hit> {
    return this.#found.values();
  }
}

function openFile(path: string, inImage: string): number {
  try {
    return openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw wrapError(`Cannot search ${inImage} for secrets`, error);
  }
}

/** The parts of a file that are no holes. */
function* dataOf(fd: number, size: number): Generator<{ from: number; to: number }> {
  for (let to = 0; to < size; ) {
    const from = seek(fd, to, SEEK.DATA);
    if (from === -1) return;
    to = seek(fd, from, SEEK.HOLE);
    yield { from, to };
  }
}

/** The bytes of a range, or up to the end, through one buffer. */
function* readRange(fd: number, from: number, to: number): Generator<{ at: number; bytes: Buffer }> {
  for (let at = from; at < to; ) {
    const count = readSync(fd, BUFFER, 0, Math.min(CHUNK, to - at), at);
    if (count === 0) return;
    yield { at, bytes: BUFFER.subarray(0, count) };
    at += count;
  }
}

/** What a compressed file holds, as far as it is no damage and no bomb. */
async function* unpacked(fd: number): AsyncGenerator<Buffer, void> {
  async function* packed(): AsyncGenerator<Uint8Array, void> {
    for (const { bytes } of readRange(fd, 0, Infinity)) yield Buffer.from(bytes);
  }
  let length = 0;
  try {
    for await (const chunk of decompressAll(packed())) {
      length += chunk.length;
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      if (length > MOST_UNPACKED) return;
    }
  } catch (error) {
    if (error instanceof CooperError && error.code === "invalid") return;
    throw error;
  }
}
