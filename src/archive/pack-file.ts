/** Content of one file as it goes into an archive. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { CooperError, wrapError } from "../base/errors.ts";
import { SEEK, seek } from "../base/file-calls.ts";
import { fsPath } from "../base/path-bytes.ts";
import type { ChunkBuffer } from "./chunk-buffer.ts";
import { paddedSize } from "./tar-entry.ts";

const SMALL = 64 << 10;

/**
 * Appends `size` bytes of the file `path` and the padding; yields whenever chunks are full. `name` is its name in
 * error messages, `sparse` says that it occupies less room than its size and is worth asking for holes.
 */
export function* packContent(
  out: ChunkBuffer,
  path: string,
  name: string,
  size: number,
  sparse: boolean,
): Generator<void, void> {
  const fd = openFile(path, name);
  try {
    if (size <= SMALL) packSmall(out, fd, name, size);
    else if (sparse) yield* packSparse(out, fd, name, size);
    else {
      yield* packRange(out, fd, name, 0, size);
      checkEnd(fd, name, size);
    }
  } finally {
    closeSync(fd);
  }
  out.zeros(paddedSize(size) - size);
}

function openFile(path: string, name: string): number {
  try {
    return openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw wrapError(`Cannot archive ${name}`, error);
  }
}

/** One read that asks for a byte more than there should be sees growth as well. */
function packSmall(out: ChunkBuffer, fd: number, name: string, size: number): void {
  const room = out.room(size + 1);
  let at = 0;
  while (at <= size) {
    const count = readAt(fd, name, room, at, size + 1 - at, at);
    at += count;
    if (count === 0 || at === size) break;
  }
  if (at !== size) throw changed(name);
  out.filled(size);
}

function* packRange(
  out: ChunkBuffer,
  fd: number,
  name: string,
  from: number,
  to: number,
): Generator<void, void> {
  for (let at = from; at < to; ) {
    const room = out.room(1);
    const count = readAt(fd, name, room, 0, Math.min(room.length, to - at), at);
    if (count === 0) throw changed(name);
    out.filled(count);
    at += count;
    if (out.ready) yield;
  }
}

function* packSparse(out: ChunkBuffer, fd: number, name: string, size: number): Generator<void, void> {
  for (let at = 0; at < size; ) {
    const data = seek(fd, at, SEEK.DATA);
    const holeEnd = data === -1 ? size : Math.min(data, size);
    while (at < holeEnd) {
      at += out.zeros(holeEnd - at);
      if (out.ready) yield;
    }
    if (at === size) break;
    const end = Math.min(seek(fd, at, SEEK.HOLE), size);
    yield* packRange(out, fd, name, at, end);
    at = end;
  }
  checkEnd(fd, name, size);
}

const probe = Buffer.alloc(1);

function checkEnd(fd: number, name: string, size: number): void {
  if (readAt(fd, name, probe, 0, 1, size) !== 0) throw changed(name);
}

function readAt(
  fd: number,
  name: string,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
): number {
  try {
    return readSync(fd, buffer, offset, length, position);
  } catch (error) {
    throw wrapError(`Cannot read ${name} for an archive`, error);
  }
}

function changed(name: string): CooperError {
  return new CooperError("in-use", `Cannot archive ${name}: its size changed while it was read`, {
    hint: "End whatever writes into the container before it is committed",
  });
}
