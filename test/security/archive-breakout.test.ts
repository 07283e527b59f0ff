// Protects the host from archives: whatever an entry is called or links to, nothing outside the target is touched.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { extractArchive } from "../../src/archive/extract-archive.ts";
import { NO_XATTRS, paddedSize, type TarEntry } from "../../src/archive/tar-entry.ts";
import { END_OF_ARCHIVE, encodeHeader } from "../../src/archive/tar-writer.ts";
import { CooperError } from "../../src/base/errors.ts";
import { getXattr, listXattrs } from "../../src/base/xattrs.ts";

type Item = Partial<TarEntry> & { name: string; content?: string };

const isRoot = process.geteuid?.() === 0;
const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

const file = (name: string, content = "evil"): Item => ({ name, type: "file", content });
const directory = (name: string, mode = 0o755): Item => ({ name, type: "directory", mode });
const symlink = (name: string, linkName: string): Item => ({ name, type: "symlink", linkName });
const device = (name: string, type: "char" | "block" | "fifo"): Item => ({
  name,
  type,
  major: 1,
  minor: 5,
});
const hardLink = (name: string, linkName: string): Item => ({ name, type: "link", linkName });

async function* archive(items: Item[]): AsyncGenerator<Uint8Array> {
  for (const { content = "", ...item } of items) {
    const entry: TarEntry = {
      type: "file",
      mode: 0o644,
      ...own,
      size: content.length,
      mtime: 0n,
      linkName: "",
      major: 0,
      minor: 0,
      xattrs: NO_XATTRS,
      ...item,
    };
    yield encodeHeader(entry);
    const body = Buffer.alloc(paddedSize(content.length));
    body.write(content);
    yield body;
  }
  yield END_OF_ARCHIVE;
}

let scratch = "";
let root = "";
let outside = "";

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-breakout-"));
  root = join(scratch, "a/b/root");
  outside = join(scratch, "outside");
  mkdirSync(root, { recursive: true });
  mkdirSync(join(outside, "sub"), { recursive: true });
  writeFileSync(join(outside, "secret"), "secret");
});

afterEach(() => {
  const surroundings = snapshot(scratch, root);
  rmSync(scratch, { recursive: true });
  expect(surroundings).toEqual(["a d", "a/b d", "outside d", "outside/secret f secret 1", "outside/sub d"]);
});

/** All paths below a directory, with what they are and hold; without what is in `except`. */
function snapshot(base: string, except?: string, prefix = ""): string[] {
  return readdirSync(join(base, prefix))
    .sort()
    .flatMap((name) => {
      const at = prefix === "" ? name : `${prefix}/${name}`;
      const path = join(base, at);
      if (path === except) return [];
      const stat = lstatSync(path);
      if (stat.isDirectory()) return [`${at} d`, ...snapshot(base, except, at)];
      if (stat.isSymbolicLink()) return [`${at} -> ${readlinkSync(path)}`];
      if (stat.isCharacterDevice() && stat.rdev === 0) return [`${at} whiteout`];
      return [`${at} f ${stat.isFile() ? readFileSync(path, "utf8") : "special"} ${stat.nlink}`];
    });
}

/** What came of unpacking: the tree below the root, or the error's code and message. */
async function outcome(work: Promise<unknown>): Promise<string[] | string> {
  try {
    await work;
    return snapshot(root);
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

const OUT = "leads out of the archive";

// A text is part of the expected error, a list the expected tree. OUTSIDE stands for the directory beside the root.
const cases: [name: string, items: Item[], expected: string | string[]][] = [
  ["parent directory", [file("../x")], OUT],
  ["many parent directories", [file("../../../../outside/secret")], OUT],
  ["parent directory behind a directory", [directory("d"), file("d/../../x")], OUT],
  ["parent directory that stays inside", [file("d/../x")], ["x f evil 1"]],
  ["just the parent", [directory("..")], OUT],
  [
    "a file whose name ends like a directory's is one",
    [file("/"), file("d/"), file("x")],
    ["d d", "x f evil 1"],
  ],
  ["a symbolic link in the place of the root", [symlink("./", "OUTSIDE")], "root can only be a directory"],
  ["absolute name", [file("/x")], ["x f evil 1"]],
  [
    "absolute name of a file outside",
    [file("/etc/passwd-of-test")],
    ["etc d", "etc/passwd-of-test f evil 1"],
  ],
  ["several slashes", [file("//..//x")], OUT],
  ["file through an absolute link", [symlink("l", "OUTSIDE"), file("l/new")], inside("new")],
  ["file over one outside, through a link", [symlink("l", "OUTSIDE"), file("l/secret")], inside("secret")],
  [
    "file through a relative link",
    [symlink("l", "../../../outside"), file("l/x")],
    ["l -> ../../../outside", "outside d", "outside/x f evil 1"],
  ],
  ["file through a link to /", [symlink("l", "/"), file("l/x")], ["l -> /", "x f evil 1"]],
  ["file through a link to ..", [symlink("l", ".."), file("l/x")], ["l -> ..", "x f evil 1"]],
  ["file through two links", [symlink("a", "b"), symlink("b", "OUTSIDE/sub"), file("a/x")], insideTwo()],
  [
    "file through a link within a directory",
    [directory("d"), symlink("d/l", "../../../../outside"), file("d/l/x")],
    ["d d", "d/l -> ../../../../outside", "outside d", "outside/x f evil 1"],
  ],
  ["a link replaced by a file", [symlink("l", "OUTSIDE/secret"), file("l")], ["l f evil 1"]],
  [
    "a link replaced by a directory",
    [symlink("l", "OUTSIDE"), directory("l", 0o700), file("l/x")],
    ["l d", "l/x f evil 1"],
  ],
  [
    "a directory replaced by a link",
    [directory("d"), file("d/x"), symlink("d", "OUTSIDE"), file("d/y")],
    inside("y", "d"),
  ],
  [
    "a link whose target changes between two entries",
    [directory("d"), symlink("l", "d"), file("l/1"), symlink("l", "/e"), file("l/2")],
    ["d d", "d/1 f evil 1", "e d", "e/2 f evil 1", "l -> /e"],
  ],
  ["links in a circle", [symlink("a", "b"), symlink("b", "a"), file("a/x")], "too many symbolic links"],
  ["link to itself", [symlink("a", "a"), file("a/x")], "too many symbolic links"],
  ["hard link to an absolute path outside", [hardLink("h", "OUTSIDE/secret")], "which does not exist"],
  ["hard link to a relative path outside", [hardLink("h", "../../../outside/secret")], OUT],
  ["hard link through a link", [symlink("l", "OUTSIDE"), hardLink("h", "l/secret")], "which does not exist"],
  [
    "hard link to a link, then a file over it",
    [symlink("l", "OUTSIDE/secret"), hardLink("h", "l"), file("h")],
    ["h f evil 1", `l -> OUTSIDE/secret`],
  ],
  ["hard link to a directory", [directory("d"), hardLink("h", "d")], "which is a directory"],
  ["hard link to what is missing", [hardLink("h", "missing")], "hard link to missing, which does not exist"],
  ["hard link to itself", [file("f"), hardLink("f", "f")], ["f f evil 1"]],
  [
    "hard link over the only name of its target's directory",
    [directory("d"), file("d/f"), hardLink("d", "d/f")],
    "which is inside what it replaces",
  ],
  ["file below a file", [file("f"), file("f/x")], "f is not a directory"],
  [
    "file below a hard link to a link",
    [symlink("l", "OUTSIDE"), hardLink("h", "l"), file("h/x")],
    inside("x", "h", "l"),
  ],
  ["symbolic link to nothing", [symlink("l", "")], "symbolic link to nothing"],
  [
    "a directory over a file and back",
    [file("x"), directory("x"), file("x/y"), file("x", "end")],
    ["x f end 1"],
  ],
  [
    "names that differ in case, or in how Unicode writes them, are different ones",
    [file("A", "1"), file("a", "2"), file("caf\u00e9", "3"), file("cafe\u0301", "4")],
    ["A f 1 1", "a f 2 1", "caf\u00e9 f 3 1", "cafe\u0301 f 4 1"].sort(),
  ],
  [
    "everything in turns under one name",
    [file("x"), directory("x"), symlink("x", "OUTSIDE"), hardLink("y", "x"), directory("x"), file("x/z")],
    ["x d", "x/z f evil 1", "y -> OUTSIDE"],
  ],
  [
    "name of dots and spaces",
    [file("..."), file(".. "), file("a/.../b")],
    ["..  f evil 1", "... f evil 1", "a d", "a/... d", "a/.../b f evil 1"].sort(),
  ],
];

/** Entries that make what is no file, which root alone may. */
const devices: typeof cases = [
  [
    "a device through a link",
    [symlink("l", "OUTSIDE"), device("l/zero", "char")],
    ["l -> OUTSIDE", "OUTSIDE/zero f special 1"],
  ],
  ["a device over a link", [symlink("l", "OUTSIDE/secret"), device("l", "block")], ["l f special 1"]],
  ["a device, then a file over it", [device("d", "char"), file("d")], ["d f evil 1"]],
  ["a device, then a file below it", [device("d", "char"), file("d/x")], "d is not a directory"],
  [
    "a device, then a hard link to it, then a file over that",
    [device("d", "char"), hardLink("h", "d"), file("h")],
    ["d f special 1", "h f evil 1"],
  ],
  ["a pipe, then a file over it", [device("p", "fifo"), file("p")], ["p f evil 1"]],
  [
    "a pipe that is never opened",
    [device("p", "fifo"), hardLink("h", "p"), { ...device("p", "fifo"), mode: 0 }],
    ["h f special 1", "p f special 1"],
  ],
];

/** The tree when a link to OUTSIDE was followed inside the root: the path is made there. */
function inside(name: string, link = "l", other?: string): string[] {
  return [
    `${link} -> OUTSIDE`,
    ...(other === undefined ? [] : [`${other} -> OUTSIDE`]),
    `OUTSIDE/${name} f evil 1`,
  ];
}

function insideTwo(): string[] {
  return ["a -> b", "b -> OUTSIDE/sub", "OUTSIDE/sub/x f evil 1"];
}

/** Puts the real path for OUTSIDE and adds the directories on the way there. */
function resolved(expected: string[]): string[] {
  const paths = expected.map((line) =>
    line.replace(/^OUTSIDE/, outside.slice(1)).replace("OUTSIDE", outside),
  );
  const made = new Set<string>();
  for (const line of paths) {
    const path = line.split(" ")[0]!;
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1))
      made.add(`${path.slice(0, slash)} d`);
  }
  return [...new Set([...paths, ...made])].sort();
}

const withOutside = (items: Item[]): Item[] =>
  items.map((item) => ({
    ...item,
    ...(item.linkName && { linkName: item.linkName.replace("OUTSIDE", outside) }),
  }));

for (const [kind, unpack] of [
  ["applyLayer", (items: Item[]) => applyLayer(archive(items), root)],
  ["extractArchive", (items: Item[]) => extractArchive(archive(items), root, "/")],
] as const) {
  describe(kind, () => {
    for (const [name, items, expected] of isRoot ? [...cases, ...devices] : cases) {
      test(name, async () => {
        const result = await outcome(unpack(withOutside(items)));
        if (typeof expected === "string") expect(result).toContain(expected);
        else expect([...result].sort()).toEqual(resolved(expected));
        if (typeof expected === "string") expect(result).toStartWith("invalid: ");
      });
    }
  });
}

describe.if(isRoot)("whiteouts", () => {
  const whiteouts: [name: string, items: Item[], expected: string | string[]][] = [
    ["an ordinary one", [file(".wh.x", "")], ["x whiteout"]],
    ["of a parent directory", [file(".wh...", "")], "no whiteout of a name"],
    ["of the directory itself", [file("d/.wh..", "")], "no whiteout of a name"],
    ["of nothing", [file(".wh.", "")], "no whiteout of a name"],
    ["behind a parent directory", [file("../.wh.outside", "")], OUT],
    ["used as a directory", [file(".wh.d/x")], "no whiteout of a name"],
    [
      "through a link",
      [symlink("l", "OUTSIDE"), file("l/.wh.secret", "")],
      ["l -> OUTSIDE", "OUTSIDE/secret whiteout"],
    ],
    [
      "opaque through a link",
      [symlink("l", "OUTSIDE"), file("l/.wh..wh..opq", "")],
      ["l -> OUTSIDE", "OUTSIDE d"],
    ],
    ["AUFS's own names", [directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs", "")], []],
    ["does not touch what the same layer added before", [file("x"), file(".wh.x", "")], ["x f evil 1"]],
    ["nor what it adds later", [file(".wh.x", ""), file("x")], ["x f evil 1"]],
    ["twice", [file(".wh.x", ""), file(".wh.x", "")], ["x whiteout"]],
    [
      "as the target of a hard link",
      [file(".wh.x", ""), hardLink("h", "x")],
      "hard link to x, which does not exist",
    ],
    ["as a parent", [file(".wh.d", ""), file("d/x")], ["d d", "d/x f evil 1"]],
  ];
  for (const [name, items, expected] of whiteouts) {
    test(name, async () => {
      const result = await outcome(applyLayer(archive(withOutside(items)), root));
      if (typeof expected === "string") expect(result).toContain(expected);
      else expect([...result].sort()).toEqual(resolved(expected));
    });
  }

  test("a directory that a layer deletes and adds hides what is below, in either order", async () => {
    const orders = [
      [file(".wh.d", ""), directory("d")],
      [directory("d"), file(".wh.d", "")],
      [file(".wh.d", ""), file("d/x")],
      [file("d/x"), file(".wh.d", "")],
      [file("d/.wh..wh..opq", "")],
      [file("d/.wh..wh..opq", ""), directory("d", 0o700)],
    ];
    for (const [index, items] of orders.entries()) {
      const target = join(root, String(index));
      mkdirSync(target);
      await applyLayer(archive(items), target);
      expect(getXattr(join(target, "d"), "user.overlay.opaque")?.toString()).toBe("y");
    }
  });

  test("an archive cannot speak to overlayfs", async () => {
    const names = [
      "user.overlay.opaque",
      "user.overlay.redirect",
      "trusted.overlay.opaque",
      "trusted.overlay.metacopy",
    ];
    const xattrs = new Map(names.map((name) => [name, Buffer.from("y")]));
    await applyLayer(
      archive([
        { ...directory("d"), xattrs },
        { ...file("f"), xattrs },
      ]),
      root,
    );
    expect(listXattrs(join(root, "d"))).toEqual([]);
    expect(listXattrs(join(root, "f"))).toEqual([]);
  });
});

describe("extractArchive into a container", () => {
  test("merges, follows the container's links inside it, and takes whiteouts for ordinary names", async () => {
    mkdirSync(join(root, "usr/lib"), { recursive: true });
    mkdirSync(join(root, "opt"));
    writeFileSync(join(root, "usr/lib/kept"), "kept");
    symlinkSync("/usr/lib", join(root, "lib"));
    symlinkSync(outside, join(root, "opt/out"));
    const items = [directory("./", 0o700), file("lib/new"), file(".wh.usr", "literal"), file("opt/out/x")];
    await extractArchive(archive(items), root, "/");
    const tree = snapshot(root);
    expect(tree).toContain("usr/lib/kept f kept 1");
    expect(tree).toContain("usr/lib/new f evil 1");
    expect(tree).toContain(".wh.usr f literal 1");
    expect(tree).toContain(`${outside.slice(1)}/x f evil 1`);
    expect(lstatSync(root).mode & 0o777).not.toBe(0o700);
  });

  test("a destination behind links stays in the root; names cannot leave it", async () => {
    symlinkSync(outside, join(root, "dest"));
    await extractArchive(archive([file("x")]), root, "/dest/deep");
    expect(readFileSync(join(root, outside, "deep/x"), "utf8")).toBe("evil");
    expect(await outcome(extractArchive(archive([file("../x")]), root, "/dest/deep"))).toContain(OUT);
    expect(
      await outcome(extractArchive(archive([hardLink("h", "../deep/x")]), root, "/dest/deep")),
    ).toContain(OUT);
  });

  test("a destination that is a file is refused", async () => {
    writeFileSync(join(root, "f"), "");
    expect(await outcome(extractArchive(archive([file("x")]), root, "/f"))).toContain("is not a directory");
  });

  test.if(isRoot)("gives everything one owner and mode when asked", async () => {
    const items = [directory("d"), { ...file("d/f"), mode: 0o4755 }, symlink("d/l", "f")];
    await extractArchive(archive(items), root, "/new", { owner: { uid: 5, gid: 6 }, mode: 0o640 });
    for (const name of ["new", "new/d", "new/d/f", "new/d/l"]) {
      const { uid, gid } = lstatSync(join(root, name));
      expect([name, uid, gid]).toEqual([name, 5, 6]);
    }
    expect(lstatSync(join(root, "new/d/f")).mode & 0o7777).toBe(0o640);
    expect(lstatSync(join(root, "new/d")).mode & 0o7777).toBe(0o640);
  });
});

test("an aborted unpacking ends with cancelled", async () => {
  const controller = new AbortController();
  async function* slow(): AsyncGenerator<Uint8Array> {
    for await (const chunk of archive([file("a"), file("b"), file("c")])) {
      yield chunk;
      controller.abort();
    }
  }
  expect(await outcome(applyLayer(slow(), root, { signal: controller.signal }))).toStartWith("cancelled: ");
});
