/**
 * A command's own corner of the store, tmp/ID: everything unfinished lies there, beside a lock that the kernel drops
 * when the process dies. What a dead session left behind is deleted by the next one (recover.ts).
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { MNT, umount } from "../base/libc.ts";
import { type FileLock, tryLock } from "./locks.ts";
import { mountPoints } from "./mount-table.ts";
import { randomId } from "./random-id.ts";

/** Digits of a session's id, with which the ids of its snapshots begin. */
export const SESSION_ID_LENGTH = 10;

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

  /** Ends the session; what cannot be deleted now is left to a later one. */
  [Symbol.dispose](): void {
    removeSession(this.directory);
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

/** A session whose process has ended without closing it; locked, so that one process alone puts things right. */
export interface DeadSession {
  id: string;
  directory: string;
  lock: FileLock;
}

/** The dead sessions below `parent`. */
export function deadSessions(parent: string): DeadSession[] {
  return readdirSync(parent).flatMap((id) => {
    const directory = join(parent, id);
    const lock = lockOfDead(directory);
    return lock === undefined ? [] : [{ id, directory, lock }];
  });
}

/** Deletes the directory of a dead session, unless something of it is still in use; then it is found again later. */
export function buryDeadSession(session: DeadSession): void {
  removeSession(session.directory);
  session.lock[Symbol.dispose]();
}

/** Milliseconds after which a directory without a lock is not one that is just being made. */
const MAKING = 60_000;

function lockOfDead(directory: string): FileLock | undefined {
  try {
    const path = join(directory, "lock");
    const isMade = existsSync(path) || Date.now() - statSync(directory).mtimeMs > MAKING;
    return isMade ? tryLock(path, "exclusive") : undefined;
  } catch {
    return undefined; // Somebody else has deleted it meanwhile.
  }
}

function removeSession(directory: string): void {
  try {
    // Deleting through a mount would delete what it shows.
    const mounted = [...mountPoints()].filter((point) => point.startsWith(`${directory}/`));
    for (const point of mounted.reverse()) umount(point, MNT.DETACH);
    for (const name of readdirSync(directory))
      if (name !== "lock") rmSync(join(directory, name), { recursive: true, force: true });
    // The lock goes last: as long as it is there the session is found and deleted again.
    rmSync(directory, { recursive: true, force: true });
  } catch {
    // A process that outlived its session still writes, or holds a mount.
  }
}
