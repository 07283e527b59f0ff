/** Directories for tests that go away afterwards. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new directory; `using` removes it with all that is in it. */
export function scratchDirectory(label = "test"): Disposable & { path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), `cooper-${label}-`));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
