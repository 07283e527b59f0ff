/**
 * A command's own corner of the store, tmp/ID: everything unfinished lies there, beside a lock (tmp/ID.lock) that the
 * kernel drops when the process dies. What a dead session left behind is deleted by the next one (recover.ts). The lock
 * is made before the directory and deleted after it, so that a directory without one is never seen.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { wrapError } from "../base/errors.ts";
import { MNT, umount } from "../base/mounts.ts";
import { type FileLock, tryLock } from "./locks.ts";
import { mountPoints } from "./mount-table.ts";
import { randomId } from "./random-id.ts";

/** Digits of a session's id, with which the ids of its snapshots begin. */
export const SESSION_ID_LENGTH = 10;

const SUFFIX = ".lock";
const lockOf = (directory: string) => `${directory}${SUFFIX}`;

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

  /** Ends it like a kill, but for the space that it takes: the next session does the rest. */
  abandon(): void {
    removeFiles(this.directory);
    this.#lock[Symbol.dispose]();
  }
}

/** Opens a session below `parent`. */
export function openSession(parent: string): Session {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const directory = join(parent, randomId());
  const lock = tryLock(lockOf(directory), "exclusive");
  // A sweeper may have taken the lock between its making and its taking here; then it is gone, or will be.
  if (lock === undefined || !existsSync(lockOf(directory))) return openSession(parent);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    rmSync(lockOf(directory), { force: true });
    lock[Symbol.dispose]();
    throw wrapError("Cannot begin to work in the store", error);
  }
  return new Session(directory, lock);
}

/** Whether a session of this id is there, alive or not yet buried. */
export function sessionExists(parent: string, id: string): boolean {
  return existsSync(lockOf(join(parent, id)));
}

/** A session whose process has ended without closing it; locked, so that one process alone puts things right. */
export interface DeadSession {
  id: string;
  directory: string;
  lock: FileLock;
}

/** The dead sessions below `parent`. */
export function deadSessions(parent: string): DeadSession[] {
  return readdirSync(parent).flatMap((name) => {
    if (!name.endsWith(SUFFIX)) return [];
    const lock = lockOfDead(join(parent, name));
    const id = name.slice(0, -SUFFIX.length);
    return lock === undefined ? [] : [{ id, directory: join(parent, id), lock }];
  });
}

/** Deletes the files of a dead session; it stays dead until it is buried. */
export function clearDeadSession(session: DeadSession): void {
  removeFiles(session.directory);
}

/** Forgets a dead session, unless something of it is still in use; then it is found again later. */
export function buryDeadSession(session: DeadSession): void {
  removeSession(session.directory);
  session.lock[Symbol.dispose]();
}

function lockOfDead(path: string): FileLock | undefined {
  // Not one that somebody else has deleted since the names were read: that would make it again.
  if (!existsSync(path)) return undefined;
  const lock = tryLock(path, "exclusive");
  if (lock === undefined || existsSync(path)) return lock;
  lock[Symbol.dispose]();
  return undefined;
}

function removeSession(directory: string): void {
  if (removeEmpty(directory) || removeFiles(directory)) rmSync(lockOf(directory), { force: true });
}

/** As most sessions leave it: then nobody need look for mounts. */
function removeEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

/** False when a process that outlived its session still writes there, or holds a mount. */
function removeFiles(directory: string): boolean {
  try {
    // Deleting through a mount would delete what it shows.
    const mounted = [...mountPoints()].filter((point) => point.startsWith(`${directory}/`));
    for (const point of mounted.reverse()) umount(point, MNT.DETACH);
    rmSync(directory, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}
