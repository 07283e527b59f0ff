/** The root directory of a writable tree, which belongs to no layer. */
import { chmodSync, mkdirSync } from "node:fs";

/** Makes it so that every user of the container may enter it, whatever the umask. */
export function makeRoot(path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
}
