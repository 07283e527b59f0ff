// Protects the syncs that begin while a large file is written: a disk that fails is never taken for one that does not.
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { SyncAhead } from "../src/base/sync-ahead.ts";

const LARGE = 256 << 20;

test.each([
  ["a file", "/proc/self/exe", undefined],
  ["what cannot be synced", "/dev/zero", "EINVAL"],
])("%s", async (_, path, code) => {
  const fd = openSync(path, "r");
  try {
    for (const bytes of [0, LARGE]) {
      const sync = new SyncAhead(fd);
      sync.wrote(bytes);
      await sync.stop();
      const failed = await sync.finish().then(
        () => undefined,
        (error) => error,
      );
      expect(failed?.code).toBe(code);
    }
  } finally {
    closeSync(fd);
  }
});
