/** Locks that the kernel drops when their holder dies: flock(2) on files that lie beside what they guard. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { CooperError, errnoOf, wrapError } from "../base/errors.ts";
import { flock, LOCK } from "../base/file-calls.ts";

export type LockMode = "shared" | "exclusive";

/** A held lock; disposing gives it back. */
export class FileLock implements Disposable {
  #fd: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function open(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw wrapError(`Cannot lock ${path}`, error);
    throw removed(path);
  }
}

function removed(path: string): CooperError {
  return new CooperError("not-found", `${dirname(path)} was removed by another process`);
}

/** Takes a lock if that needs no waiting, else undefined. */
export function tryLock(path: string, mode: LockMode): FileLock | undefined {
  const fd = open(path);
  if (flock(fd, operation(mode) | LOCK.NONBLOCKING)) return new FileLock(fd);
  closeSync(fd);
  return undefined;
}

function operation(mode: LockMode): number {
  return mode === "shared" ? LOCK.SHARED : LOCK.EXCLUSIVE;
}

/**
 * Takes a lock, waiting for whoever holds it. Polls, since a blocking flock would hold up the event loop and with it
 * signals; throws `cancelled` when the signal aborts, `not-found` when the file was removed meanwhile.
 */
export async function lockFile(path: string, mode: LockMode, signal?: AbortSignal): Promise<FileLock> {
  const fd = open(path);
  const lock = new FileLock(fd);
  for (let wait = 1; !flock(fd, operation(mode) | LOCK.NONBLOCKING); wait = Math.min(wait * 2, 50)) {
    if (signal?.aborted) {
      lock[Symbol.dispose]();
      throw new CooperError("cancelled", `Waiting for ${path} was cancelled`, { cause: signal.reason });
    }
    await Bun.sleep(wait);
  }
  if (fstatSync(fd).nlink === 0) {
    lock[Symbol.dispose]();
    throw removed(path);
  }
  return lock;
}
