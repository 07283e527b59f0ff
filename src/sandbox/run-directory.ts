/** A private directory per run, named after this process, so that what a killed one left can be told and removed. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CooperError, messageOf } from "../base/errors.ts";
import { processStartTime } from "./keeper.ts";

const cleaned = new Set<string>();

/** Makes a directory, mode 0700, below the runtime directory; the first one of a process also cleans up there. */
export function makeRunDirectory(runtimeDir: string): string {
  try {
    if (!cleaned.has(runtimeDir)) cleanStaleState(runtimeDir);
    cleaned.add(runtimeDir);
    mkdirSync(runtimeDir, { recursive: true, mode: 0o700 });
    return mkdtempSync(join(runtimeDir, `run-${process.pid}-${processStartTime(process.pid)}-`));
  } catch (error) {
    throw new CooperError(
      "system",
      `Cannot make a directory for a run in ${runtimeDir}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Removes a run's directory with all that is in it. */
export function removeRunDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** Removes the directories of processes that have ended; those of running ones stay. Returns how many went. */
export function cleanStaleState(runtimeDir: string): number {
  let names: string[];
  try {
    names = readdirSync(runtimeDir);
  } catch {
    return 0;
  }
  const stale = names.filter((name) => {
    const match = /^run-(\d+)-(\d+)-/.exec(name);
    return match !== null && processStartTime(Number(match[1])) !== Number(match[2]);
  });
  for (const name of stale) removeRunDirectory(join(runtimeDir, name));
  return stale.length;
}
