// Protects layers on hosts that allow less: one id only, no device nodes, no file capabilities.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { type PackOptions, packLayer } from "../../src/archive/pack-layer.ts";
import { makedev, mknod } from "../../src/base/file-calls.ts";
import { setXattr } from "../../src/base/xattrs.ts";

const isRoot = process.geteuid?.() === 0;
let scratch = "";

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-owners-"));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const pack = (options: PackOptions) => Buffer.concat([...packLayer(options)]);

async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

describe.if(isRoot)("with root's tree as the source", () => {
  test('ids "own": owners are noted and come back, the files stay this process\'s', async () => {
    const [tree, unpacked] = ["tree", "unpacked"].map((name) => join(scratch, name)) as [string, string];
    mkdirSync(join(tree, "home"), { recursive: true });
    writeFileSync(join(tree, "home/file"), "x");
    writeFileSync(join(tree, "su"), "x");
    chownSync(join(tree, "home"), 1000, 1000);
    chownSync(join(tree, "home/file"), 1000, 100);
    chmodSync(join(tree, "su"), 0o4711);
    symlinkSync("file", join(tree, "home/link"));
    lchownSync(join(tree, "home/link"), 1000, 2 ** 31);
    mknod(join(tree, "home/fifo"), 0o010600, 0);
    chownSync(join(tree, "home/fifo"), 0, 1000);
    const tar = pack({ diffs: [tree], below: [] });
    mkdirSync(unpacked);
    await applyLayer(stream(tar), unpacked, { ids: "own" });
    for (const name of ["file", "link", "fifo"]) {
      const { uid, gid } = lstatSync(join(unpacked, "home", name));
      expect({ name, uid, gid }).toEqual({ name, uid: 0, gid: 0 });
    }
    expect(lstatSync(join(unpacked, "su")).mode & 0o7777).toBe(0o4711);
    expect(pack({ diffs: [unpacked], below: [], ids: "own" }).equals(tar)).toBe(true);
  });

  test("in a user namespace devices and root's attributes are left out and noted, whiteouts are made", async () => {
    const [tree, below] = ["devices", "below"].map((name) => join(scratch, name)) as [string, string];
    mkdirSync(tree);
    mkdirSync(below);
    writeFileSync(join(below, "gone"), "");
    mknod(join(tree, "gone"), 0o020000, 0);
    mknod(join(tree, "null"), 0o020666, makedev(1, 3));
    writeFileSync(join(tree, "signed"), "x");
    setXattr(join(tree, "signed"), "security.ima", Buffer.from([4, 1, 2, 3]));
    writeFileSync(join(scratch, "layer.tar"), pack({ diffs: [tree], below: [below] }));
    const script = `
      import { applyLayer } from ${JSON.stringify(resolve(import.meta.dir, "../../src/archive/apply-layer.ts"))};
      import { lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
      async function* stream() { yield readFileSync(${JSON.stringify(join(scratch, "layer.tar"))}); }
      const target = ${JSON.stringify(join(scratch, "target"))};
      mkdirSync(target);
      const { notes } = await applyLayer(stream(), target);
      const gone = lstatSync(target + "/gone");
      console.log(JSON.stringify({ notes, names: readdirSync(target).sort(), whiteout: gone.isCharacterDevice() }));`;
    const child = Bun.spawnSync(["unshare", "--user", "--map-root-user", process.execPath, "-e", script]);
    expect(child.stderr.toString()).toBe("");
    const { notes, names, whiteout } = JSON.parse(child.stdout.toString());
    expect(names).toEqual(["gone", "signed"]);
    expect(whiteout).toBe(true);
    expect(notes).toEqual([
      "null: device not made, this user may not",
      "signed: attribute security.ima not set, this user may not",
    ]);
  });
});
