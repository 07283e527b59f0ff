// Protects tests from each other: what one of them ends and counts as left over is its own, whatever else is mounted.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { processesMentioning } from "./support/leftovers.ts";

test.skipIf(process.getuid?.() !== 0)(
  "a copy of a mount in somebody's new namespace makes nobody ours",
  async () => {
    const directory = mkdtempSync("/var/tmp/cooper-leftovers-");
    const point = join(directory, "m");
    mkdirSync(point);
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "cooper-test", point]).exitCode).toBe(0);
    const script = 'echo "$$"; exec sleep 300';
    try {
      await using other = Bun.spawn(["unshare", "--mount", "sh", "-c", script], { stdout: "pipe" });
      await other.stdout.getReader().read();
      expect(processesMentioning(directory)).toEqual([]);
      await using ours = Bun.spawn(["unshare", "--mount", "sh", "-c", `${script} # ${directory}`], {
        stdout: "pipe",
        env: { PATH: process.env.PATH, MARK: directory },
      });
      await ours.stdout.getReader().read();
      expect(processesMentioning(directory).map(({ pid }) => pid)).toEqual([ours.pid]);
    } finally {
      Bun.spawnSync(["umount", point]);
      rmSync(directory, { recursive: true });
    }
  },
);
