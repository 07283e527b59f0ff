// Protects what is said where files cannot be shown under other ids, and what is seen where they can.
import { describe, expect, test } from "bun:test";
import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountMapped } from "../../src/base/mapped-mounts.ts";
import { umount } from "../../src/base/mounts.ts";
import { makeNamespace } from "../../src/sandbox/held-namespace.ts";
import { scratchDirectory } from "../support/scratch.ts";

describe.skipIf(process.getuid?.() !== 0)("mountMapped()", () => {
  const maps = {
    uids: [{ inside: 0, outside: 70_000, count: 10 }],
    gids: [{ inside: 0, outside: 80_000, count: 10 }],
  };

  test("shows owners as the map has them, and those it lacks as nobody's", async () => {
    using scratch = scratchDirectory();
    const [source, target] = [scratch.file("source"), scratch.file("target")];
    for (const path of [source, target]) mkdirSync(path);
    for (const [name, uid, gid] of [
      ["mine", 3, 4],
      ["theirs", 10, 0],
    ] as const) {
      writeFileSync(join(source, name), "");
      chownSync(join(source, name), uid, gid);
    }
    const { fd, close } = await makeNamespace(maps);
    mountMapped({ namespace: fd }, source, target);
    try {
      const owners = ["", "mine", "theirs"].map((name) => statSync(join(target, name)));
      expect(owners.map(({ uid, gid }) => [uid, gid])).toEqual([
        [70_000, 80_000],
        [70_003, 80_004],
        [65_534, 80_000],
      ]);
    } finally {
      umount(target);
      close();
    }
  });

  test("names the file system that cannot", async () => {
    using scratch = scratchDirectory();
    const { fd, close } = await makeNamespace(maps);
    expect(() => mountMapped({ namespace: fd }, "/proc/self", scratch.path)).toThrow(
      /^Cannot show \/proc\/self \(\w+\) under other ids: its file system has no mounts with ids of their own/,
    );
    close();
  });

  test("a map that the kernel does not take is an error", async () => {
    const twice = [maps.uids[0]!, maps.uids[0]!];
    expect(makeNamespace({ uids: twice, gids: maps.gids })).rejects.toThrow(
      /^Cannot make a user namespace for the command: .*EINVAL/,
    );
  });
});
