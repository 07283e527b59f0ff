// Protects path look-ups inside a container's root: links, `..` and absolute targets never lead out of it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDirectories, resolveInRoot } from "../../src/archive/rooted-path.ts";
import { decodeName, fsPath } from "../../src/base/path-bytes.ts";

let root = "";

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "cooper-rooted-"));
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  writeFileSync(join(root, "usr/bin/tool"), "");
  symlinkSync("usr/bin", join(root, "bin"));
  symlinkSync("/usr/bin", join(root, "abs"));
  symlinkSync("../../../../../etc", join(root, "up"));
  symlinkSync("/", join(root, "slash"));
  symlinkSync("loop2", join(root, "loop1"));
  symlinkSync("loop1", join(root, "loop2"));
  symlinkSync("/nowhere/deep", join(root, "dangling"));
  symlinkSync("tool", join(root, "usr/bin/alias"));
  for (let i = 0; i < 300; i++) symlinkSync(`chain${i + 1}`, join(root, `chain${i}`));
  symlinkSync(fsPath("usr"), fsPath(`${root}/${decodeName(Buffer.from([0xff]))}`));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

const cases: [path: string, expected: string, followLast?: boolean][] = [
  ["", ""],
  ["/", ""],
  [".", ""],
  ["..", ""],
  ["../../etc/passwd", "/etc/passwd"],
  ["usr//bin/./tool", "/usr/bin/tool"],
  ["/bin/tool", "/usr/bin/tool"],
  ["/abs/tool", "/usr/bin/tool"],
  ["/bin", "/usr/bin"],
  ["/bin", "/bin", false],
  ["/bin/", "/bin", false],
  ["/bin/alias", "/usr/bin/alias", false],
  ["/bin/alias", "/usr/bin/tool"],
  ["/up/shadow", "/etc/shadow"],
  ["/bin/../lib", "/usr/lib"],
  ["/slash/slash/../../bin/tool", "/usr/bin/tool"],
  ["/missing/../bin/tool", "/usr/bin/tool"],
  ["/missing/a/../../../bin/tool", "/usr/bin/tool"],
  ["/missing/bin/../tool", "/missing/tool"],
  ["/dangling", "/nowhere/deep"],
  ["/dangling/x", "/nowhere/deep/x"],
  ["/usr/bin/tool/x", "/usr/bin/tool/x"],
  ["/chain100", "/chain300"],
  ["\udcff/bin/tool", "/usr/bin/tool"],
];

describe("resolveInRoot", () => {
  for (const [path, expected, followLast] of cases) {
    test(`${JSON.stringify(path)} ${followLast === false ? "without its last link " : ""}-> ${expected}`, () => {
      expect(resolveInRoot(root, path, followLast === undefined ? {} : { followLast })).toBe(root + expected);
      expect(resolveInRoot(`${root}/`, path, followLast === undefined ? {} : { followLast })).toBe(
        root + expected,
      );
    });
  }
  test("loops and overlong chains are refused", () => {
    expect(() => resolveInRoot(root, "/loop1/x")).toThrow("too many symbolic links");
    expect(() => resolveInRoot(root, "/chain0")).toThrow("too many symbolic links");
  });
  test("a link and a directory that change places meanwhile: one or the other", async () => {
    mkdirSync(join(root, "swap/x"), { recursive: true });
    symlinkSync("/usr", join(root, "swap/l"));
    const swap = `const { renameSync: mv } = require("node:fs"); process.chdir(process.argv[1]); console.log("begun");
      for (;;) { mv("x", "y"); mv("l", "x"); mv("x", "l"); mv("y", "x"); }`;
    await using swapping = Bun.spawn([process.execPath, "-e", swap, join(root, "swap")], { stdout: "pipe" });
    await swapping.stdout.getReader().read();
    for (let i = 0; i < 20_000; i++)
      expect(["/swap/x/z", "/usr/z"]).toContain(resolveInRoot(root, "/swap/x/z").slice(root.length));
  });
  test("the host's own root", () => {
    expect(resolveInRoot("/", "/nonexistent-entry/x")).toBe("/nonexistent-entry/x");
    expect(resolveInRoot("/", "..")).toBe("/");
  });
});

describe("makeDirectories", () => {
  test("makes what is missing, behind links inside the root, and tells", () => {
    const made = makeDirectories(root, "/dangling/../x/y", {
      uid: process.geteuid!(),
      gid: process.getegid!(),
      mode: 0o2750,
    });
    expect(made).toEqual([`${root}/nowhere`, `${root}/nowhere/x`, `${root}/nowhere/x/y`]);
    expect(lstatSync(`${root}/nowhere/x/y`).mode & 0o7777).toBe(0o2750);
    expect(makeDirectories(root, "/nowhere/x", { uid: 0, gid: 0, mode: 0o755 })).toEqual([]);
    expect(makeDirectories(root, "/", { uid: 0, gid: 0, mode: 0o755 })).toEqual([]);
  });
  test("a file in the way is an error that names it", () => {
    expect(() => makeDirectories(root, "/bin/tool/x", { uid: 0, gid: 0, mode: 0o755 })).toThrow(
      "/usr/bin/tool is not a directory",
    );
  });
});
