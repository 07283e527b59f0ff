/** Large files that are to be durable: the disk begins while they are still written, so that little is left at the end. */
import { fdatasync, fdatasyncSync } from "node:fs";
import { promisify } from "node:util";

/** Bytes between two syncs; each costs the file system a commit of its journal. */
const SYNC_BYTES = 64 << 20;

const syncData = promisify(fdatasync);

/** Of one open file. It must not be closed before finish() or stop(). */
export class SyncAhead {
  readonly #fd: number;
  #unsynced = 0;
  #underway: Promise<void> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Says that so many bytes more were written. */
  wrote(bytes: number): void {
    this.#unsynced += bytes;
    if (this.#unsynced < SYNC_BYTES) return;
    this.#unsynced = 0;
    this.#underway = (this.#underway ?? Promise.resolve()).then(() => syncData(this.#fd));
    this.#underway.catch(() => {}); // finish() throws it: the kernel tells of a failed write once only
  }

  /** Resolves when everything written is on the disk. Errors of fdatasync(2). */
  async finish(): Promise<void> {
    await this.#underway;
    fdatasyncSync(this.#fd);
  }

  /** Resolves when nothing is under way; for files that are given up. */
  async stop(): Promise<void> {
    await this.#underway?.catch(() => {});
  }
}
