/**
 * Room for making room: what deletes needs a little itself, for its session and the database's log, and on a disk without a
 * free block could not begin. So a file takes it as long as it is not needed.
 */
import { existsSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDiskFull } from "../base/errors.ts";

const BYTES = 512 << 10;

/** Sets the room aside where it is not, unless the disk is nearly full. */
export function keepReserve(root: string): void {
  const path = join(root, "reserve");
  if (existsSync(path)) return;
  const { bavail, bsize } = statfsSync(root);
  if (bavail * bsize < 4 * BYTES) return;
  try {
    writeFileSync(path, Buffer.alloc(BYTES), { mode: 0o600 });
  } catch {
    rmSync(path, { force: true });
  }
}

/** Does what deletes; when the disk is full, once more in the room that was set aside. The next session sets it aside again. */
export function withReserve<T>(root: string, remove: () => T): T {
  try {
    return remove();
  } catch (error) {
    if (!isDiskFull(error) || !existsSync(join(root, "reserve"))) throw error;
    rmSync(join(root, "reserve"), { force: true });
    return remove();
  }
}
