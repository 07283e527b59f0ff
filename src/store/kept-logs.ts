/** Logs of builds that failed: a file each in `logs/` of the store, the newest few, until a prune. */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StoreFiles } from "./store.ts";
import { diskBytes } from "./usage.ts";

/** A store never holds more. */
const MOST_LOGS = 20;

const directoryOf = (store: StoreFiles) => join(store.root, "logs");

/** Moves a finished log there; returns its path. Older ones go when there are too many. */
export function keepLog(store: StoreFiles, file: string): string {
  const directory = directoryOf(store);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const time = new Date().toISOString().replace(/[:.]/g, "-");
  const path = join(directory, `${time}-${process.pid}.log`);
  renameSync(file, path);
  for (const name of readdirSync(directory).sort().slice(0, -MOST_LOGS))
    rmSync(join(directory, name), { force: true });
  return path;
}

/** Paths of the logs that are there. */
export function keptLogs(store: StoreFiles): string[] {
  const directory = directoryOf(store);
  return namesIn(directory).map((name) => join(directory, name));
}

/** Removes the logs that were written before a time (milliseconds since 1970); returns the bytes that makes free. */
export function removeLogs(store: StoreFiles, before: number): number {
  let bytes = 0;
  for (const path of keptLogs(store)) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined || stat.mtimeMs >= before) continue;
    bytes += diskBytes(path);
    rmSync(path, { force: true });
  }
  return bytes;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // No build has failed yet.
    return [];
  }
}
