/** Notes beside a container's tree. */
import { renameSync, writeFileSync } from "node:fs";

/** Writes a value in the place of the one before, in one step: after a kill there is the old or the new one. */
export function replaceJson(path: string, value: unknown): void {
  const unfinished = `${path}.new`;
  writeFileSync(unfinished, JSON.stringify(value));
  renameSync(unfinished, path);
}
