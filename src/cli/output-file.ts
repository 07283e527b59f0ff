/** A file that commands write: there under its name when it is complete, and as it was before until then. */
import { closeSync, fdatasyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { wrapError } from "../base/errors.ts";
import { writeAll } from "./output.ts";

export interface OutputFile extends Disposable {
  write(chunk: Uint8Array): void;
  finish(): void;
}

/** Opens a file for writing. A device or pipe is written to directly. */
export function openOutput(path: string): OutputFile {
  const stat = statSync(path, { throwIfNoEntry: false });
  const isSpecial = stat !== undefined && !stat.isFile();
  const written = isSpecial ? path : join(dirname(path), `.${basename(path).slice(0, 100)}.${process.pid}`);
  let fd: number | undefined;
  try {
    fd = openSync(written, isSpecial ? "w" : "wx", 0o644);
  } catch (error) {
    throw wrapError(`Cannot write ${path}`, error);
  }
  return {
    write(chunk) {
      writeAll(fd!, chunk);
    },
    finish() {
      if (!isSpecial) fdatasyncSync(fd!);
      closeSync(fd!);
      fd = undefined;
      if (!isSpecial) renameSync(written, path);
    },
    [Symbol.dispose]() {
      if (fd === undefined) return;
      closeSync(fd);
      fd = undefined;
      if (!isSpecial) rmSync(written, { force: true });
    },
  };
}
