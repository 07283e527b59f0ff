/**
 * Writes a tar file of image blobs as they come, one at a time. A blob's size may be known only at its end: room for
 * its header is left and filled afterwards. The file has a temporary name until it is complete.
 */
import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { tmpdir } from "node:os";
import { NO_XATTRS } from "../archive/tar-entry.ts";
import { encodeHeader, END_OF_ARCHIVE } from "../archive/tar-writer.ts";
import { CooperError } from "../base/errors.ts";
import { fileError, readRange, syncDirectory, temporaryName, writeAll, writeContent } from "./blob-file.ts";
import type { BlobRef } from "./types.ts";

const BLOCK = 512;
const OCTAL_LIMIT = 0o77777777777;

/** Where an archive goes: a path, or whoever takes a complete file, which is gone afterwards. */
export type TarPlace = string | ((file: string) => Promise<void>);

export class TarFile implements Disposable {
  /** Gives the complete archive to its place. */
  readonly #deliver: () => Promise<void>;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #names = new Set<string>();
  #end = 0;
  #busy = false;
  #closed = false;

  /** Starts a file. Throws `not-found` or `denied` when its directory does not allow it. */
  constructor(place: TarPlace, what: string) {
    const path = typeof place === "string" ? fileToReplace(place, what) : undefined;
    const directory = path === undefined ? tmpdir() : dirname(path);
    this.#temporary = temporaryName(directory, path === undefined ? "" : `${basename(path).slice(0, 100)}-`);
    if (path !== undefined) this.#deliver = () => this.#replace(path);
    else if (typeof place === "string") this.#deliver = () => this.#send(place);
    else this.#deliver = () => place(this.#temporary);
    try {
      this.#fd = openSync(this.#temporary, "wx+", 0o644);
    } catch (error) {
      throw fileError(`Cannot write ${what}`, directory, error);
    }
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Adds a directory, for readers that do not make those which only the names of files imply. */
  addDirectory(name: string): void {
    writeAll(this.#fd, headerOf(`${name}/`, 0, "directory"), this.#end);
    this.#finishEntry(`${name}/`, 0);
  }

  /** Adds a file of bytes that are at hand. */
  addBytes(name: string, bytes: Uint8Array | string): void {
    const content = Buffer.from(bytes);
    writeAll(this.#fd, headerOf(name, content.length), this.#end);
    writeAll(this.#fd, content, this.#end + BLOCK);
    this.#finishEntry(name, content.length);
  }

  /**
   * Adds a file while its content streams, under the name that `nameOf` gives for what it turned out to be. One at a
   * time. When the content throws, or its name is there already, the archive is as before.
   */
  async addStream(
    content: AsyncIterable<Uint8Array>,
    expected: BlobRef | undefined,
    nameOf: (blob: BlobRef) => string,
  ): Promise<BlobRef> {
    if (this.#busy) throw new CooperError("internal", "Two blobs were written into one archive at once");
    this.#busy = true;
    let at = this.#end + BLOCK;
    const fd = this.#fd;
    const counted = writeContent(
      (chunk) => {
        writeAll(fd, chunk, at);
        at += chunk.length;
      },
      content,
      expected,
    );
    let blob: BlobRef;
    try {
      blob = await counted;
    } catch (error) {
      if (!this.#closed) ftruncateSync(fd, this.#end);
      throw error;
    } finally {
      this.#busy = false;
    }
    const name = nameOf(blob);
    if (this.#names.has(name)) {
      ftruncateSync(fd, this.#end);
      return blob;
    }
    writeAll(fd, headerOf(name, blob.size), this.#end);
    this.#finishEntry(name, blob.size);
    return blob;
  }

  #finishEntry(name: string, size: number): void {
    this.#names.add(name);
    this.#end += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    // Fills the last block with zeros.
    ftruncateSync(this.#fd, this.#end);
  }

  /** Ends the archive and puts it in place: durably, replacing what had its name. */
  async finish(): Promise<void> {
    writeAll(this.#fd, END_OF_ARCHIVE, this.#end);
    await this.#deliver();
    this[Symbol.dispose]();
  }

  async #replace(path: string): Promise<void> {
    fdatasyncSync(this.#fd);
    renameSync(this.#temporary, path);
    syncDirectory(dirname(path));
  }

  async #send(path: string): Promise<void> {
    const out = openSync(path, "w");
    try {
      for await (const chunk of readRange(this.#fd, 0, Number.POSITIVE_INFINITY)) writeAll(out, chunk);
    } finally {
      closeSync(out);
    }
  }

  /** Gives up an archive that is not finished. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
    rmSync(this.#temporary, { force: true });
  }
}

/** The file that an archive takes the place of; undefined for a pipe or device, which it is sent to. */
function fileToReplace(path: string, what: string): string | undefined {
  const stat = statOf(path, what);
  if (stat?.isDirectory()) throw new CooperError("exists", `Cannot write ${what}: ${path} is a directory`);
  if (stat === undefined) return resolve(path);
  // /dev/stdout may lead to a file, but to an open one, which no other can take the place of.
  if (!stat.isFile() || /^\/(?:dev|proc)\//.test(resolve(path))) return undefined;
  // A link stays one: what it leads to is replaced.
  return realpathSync(path);
}

function statOf(path: string, what: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileError(`Cannot write ${what}`, path, error);
  }
}

/** One block: these names are short, and sizes beyond 8 GiB are written in GNU's binary form, not in PAX records. */
function headerOf(name: string, size: number, type: "file" | "directory" = "file"): Buffer {
  const large = size > OCTAL_LIMIT;
  const block = encodeHeader({
    name,
    type,
    mode: type === "file" ? 0o644 : 0o755,
    uid: 0,
    gid: 0,
    size: large ? 0 : size,
    mtime: 0n,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: NO_XATTRS,
  });
  if (large) setBinarySize(block, size);
  if (block.length !== BLOCK)
    throw new CooperError("internal", `Header of ${name} has ${block.length} bytes`);
  return block;
}

function setBinarySize(block: Buffer, size: number): void {
  block.fill(0, 124, 136);
  block[124] = 0x80;
  block.writeBigUInt64BE(BigInt(size), 128);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}
