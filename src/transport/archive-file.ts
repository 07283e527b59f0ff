/** Opens a tar of images for random access. Pipes and compressed archives are spooled to a nameless temporary file. */
import { closeSync, createReadStream, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { decompress, detectCompression } from "../archive/compression.ts";
import { CooperError, wrapError } from "../base/errors.ts";
import { MAX_DOCUMENT_BYTES } from "../oci/schema.ts";
import { openForReading, readRange, temporaryName, writeAll } from "./blob-file.ts";
import { indexTar, type TarIndex } from "./tar-index.ts";

export class ArchiveFile implements Disposable {
  readonly #name: string;
  readonly #fd: number;
  readonly #index: TarIndex;
  #open = true;

  constructor(name: string, fd: number, index: TarIndex) {
    this.#name = name;
    this.#fd = fd;
    this.#index = index;
  }

  /** Bytes of an entry, or undefined when there is none. */
  sizeOf(entry: string): number | undefined {
    return this.#index.find(entry)?.size;
  }

  /** Content of an entry. Throws `not-found`. */
  read(entry: string): AsyncIterable<Uint8Array> {
    const file = this.#find(entry);
    return readRange(this.#fd, file.offset, file.size);
  }

  /** The first bytes of an entry, to tell what it is. */
  peek(entry: string, count: number): Uint8Array {
    const { offset, size } = this.#find(entry);
    const buffer = Buffer.alloc(Math.min(count, size));
    return buffer.subarray(0, readSync(this.#fd, buffer, 0, buffer.length, offset));
  }

  /** All of an entry that is a document. Throws `not-found`; `invalid` when it is too large for one. */
  async readDocument(entry: string): Promise<Uint8Array> {
    const { size } = this.#find(entry);
    if (size > MAX_DOCUMENT_BYTES) {
      throw new CooperError(
        "invalid",
        `${entry} of ${this.#name} has ${size} bytes, more than the ${MAX_DOCUMENT_BYTES} allowed for a document`,
      );
    }
    return Buffer.concat(await Array.fromAsync(this.read(entry)));
  }

  #find(entry: string): { offset: number; size: number } {
    if (!this.#open) throw new CooperError("internal", `${this.#name} was read after it was closed`);
    const file = this.#index.find(entry);
    if (file === undefined) throw new CooperError("not-found", `${this.#name} has no file ${entry}`);
    return file;
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** Opens an archive; `name` names it in errors. Throws `not-found`, `denied`, `invalid`. */
export async function openArchiveFile(path: string, name: string): Promise<ArchiveFile> {
  let fd = openForReading(path, name);
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory())
      throw new CooperError("invalid", `Cannot open ${name}: ${path} is a directory, not an archive`);
    const isCompressed = stat.isFile() && detectCompression(headOf(fd)) !== "none";
    if (!stat.isFile() || isCompressed) {
      const spooled = await spool(readOn(fd), name);
      closeSync(fd);
      fd = spooled;
    }
    return new ArchiveFile(name, fd, indexTar(fd, name));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function headOf(fd: number): Uint8Array {
  const head = Buffer.alloc(16);
  return head.subarray(0, readSync(fd, head, 0, head.length, 0));
}

/** Keeps an archive that comes as a stream, compressed or not; `name` names it in errors. Throws `invalid`. */
export async function receiveArchive(content: AsyncIterable<Uint8Array>, name: string): Promise<ArchiveFile> {
  const fd = await spool(content, name);
  try {
    return new ArchiveFile(name, fd, indexTar(fd, name));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Copies a stream, uncompressed, to a temporary file without a name. */
async function spool(content: AsyncIterable<Uint8Array>, name: string): Promise<number> {
  const path = temporaryName(tmpdir());
  const fd = openSync(path, "wx+", 0o600);
  rmSync(path);
  try {
    for await (const chunk of decompress(content, "it")) writeAll(fd, chunk);
  } catch (error) {
    closeSync(fd);
    throw wrapError(`Cannot read ${name}`, error, "invalid");
  }
  return fd;
}

/** What comes from a descriptor, from where it is; reading a pipe must not stop everything else. */
function readOn(fd: number): AsyncIterable<Uint8Array> {
  return createReadStream("", { fd, autoClose: false, highWaterMark: 1 << 18 });
}
