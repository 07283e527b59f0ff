/** Where the code of threads is. */
import { join } from "node:path";

/** What `new Worker()` takes for a file of src/, which is an entry point in scripts/build.ts. */
export function workerFile(name: string): string {
  // In the compiled program, paths are relative to its entry points' common directory.
  return Bun.main.startsWith("/$bunfs/") ? `./${name}` : join(import.meta.dir, "..", name);
}
