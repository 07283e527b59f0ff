/**
 * A command's own corner of the store, tmp/ID: everything unfinished lies there, beside a lock that the kernel drops
 * when the process dies. What a dead session left behind is deleted by the next one.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { type FileLock, tryLock } from "./locks.ts";
import { randomId } from "./random-id.ts";

/** `session:ID`, as the user of things in progress. */
export function sessionUser(id: string): string {
  return `session:${id}`;
}

export class Session implements Disposable {
  readonly id: string;
  /** Directory for unfinished things, on the file system of the store, so that a rename finishes them. */
  readonly directory: string;
  #lock: FileLock;
  #counter = 0;

  constructor(directory: string, lock: FileLock) {
    this.id = basename(directory);
    this.directory = directory;
    this.#lock = lock;
  }

  /** A new name below the session's directory. */
  path(kind: string): string {
    return join(this.directory, `${kind}-${this.#counter++}`);
  }

  /** A new snapshot id; its beginning names the session, so that a sweeper knows whose an unfinished one is. */
  snapshotId(): string {
    return `${this.id}${(this.#counter++).toString(36).padStart(3, "0")}`;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
    this.#lock[Symbol.dispose]();
  }
}

/** Opens a session below `parent`. */
export function openSession(parent: string): Session {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const directory = join(parent, randomId());
  mkdirSync(directory, { mode: 0o700 });
  const lock = tryLock(join(directory, "lock"), "exclusive");
  // A sweeper may have taken the lock between its making and its taking here; then the directory is gone.
  if (lock === undefined || !existsSync(join(directory, "lock"))) return openSession(parent);
  return new Session(directory, lock);
}

/** Deletes what dead sessions left below `parent`; returns their ids. */
export function sweepSessions(parent: string): string[] {
  const dead: string[] = [];
  for (const name of readNamesIfAny(parent)) {
    const directory = join(parent, name);
    const lock = tryDeadLock(directory);
    if (lock === undefined) continue;
    dead.push(name);
    rmSync(directory, { recursive: true, force: true });
    lock[Symbol.dispose]();
  }
  return dead;
}

function readNamesIfAny(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The lock of a session whose process is gone. One that is just being made has no lock file yet: left alone. */
function tryDeadLock(directory: string): FileLock | undefined {
  try {
    if (!readdirSync(directory).includes("lock")) return undefined;
    return tryLock(join(directory, "lock"), "exclusive");
  } catch {
    return undefined;
  }
}
