// Protects composing: several diffs packed as one layer look, on top of what is below, like the stack they came from.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { extractArchive } from "../../src/archive/extract-archive.ts";
import { packLayer } from "../../src/archive/pack-layer.ts";
import { readTar } from "../../src/archive/tar-reader.ts";
import { MS, mount, umount } from "../../src/base/mounts.ts";
import { getXattr, listXattrs, setXattr } from "../../src/base/xattrs.ts";

let scratch = "";
let counter = 0;
const fresh = (): string => {
  const path = join(scratch, String(counter++));
  mkdirSync(path);
  return path;
};

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-compose-"));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }), 60_000);

function canMount(): boolean {
  if (process.geteuid?.() !== 0) return false;
  const base = mkdtempSync(join(tmpdir(), "cooper-compose-probe-"));
  try {
    for (const name of ["a", "b", "m"]) mkdirSync(join(base, name));
    mount("overlay", join(base, "m"), "overlay", MS.RDONLY, `userxattr,lowerdir=${base}/a:${base}/b`);
    umount(join(base, "m"));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(base, { recursive: true });
  }
}

/** Runs `use` on the merged view of diffs, lowest first; `upper` receives what it changes. */
function withView<T>(layers: string[], upper: string | undefined, use: (view: string) => T): T {
  const view = fresh();
  const lower = [...layers.toReversed(), fresh()]; // a mount without an upper wants two
  if (upper === undefined) lower.push(fresh());
  const writable = upper === undefined ? "" : `,upperdir=${upper},workdir=${fresh()}`;
  mount("overlay", view, "overlay", 0, `userxattr,lowerdir=${lower.join(":")}${writable}`);
  try {
    return use(view);
  } finally {
    umount(view);
  }
}

/** Everything that can be seen of a tree, hard links as the first of their names. */
function describeTree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const links = new Map<string, string>();
  const walk = (path: string) => {
    const host = root + path;
    for (const name of readdirSync(host).sort()) {
      const at = `${path}/${name}`;
      const stat = lstatSync(root + at, { bigint: true });
      const identity = `${stat.dev}:${stat.ino}`;
      if (!stat.isDirectory() && !links.has(identity)) links.set(identity, at);
      const content = stat.isSymbolicLink()
        ? readlinkSync(root + at)
        : stat.isFile()
          ? readFileSync(root + at, "utf8")
          : `device ${stat.rdev}`;
      const attributes = listXattrs(root + at).map(
        (key) => `${key}=${getXattr(root + at, key)?.toString("hex")}`,
      );
      const same = stat.isDirectory() ? "" : links.get(identity);
      found[at] = [
        stat.mode.toString(8),
        stat.uid,
        stat.gid,
        stat.mtimeNs,
        content,
        same,
        ...attributes,
      ].join(" ");
      if (stat.isDirectory()) walk(at);
    }
  };
  walk("");
  return found;
}

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

interface Marker {
  path: string;
  opaque: boolean;
}

async function markersOf(tar: Uint8Array[]): Promise<Marker[]> {
  const markers: Marker[] = [];
  for await (const { name } of readTar(stream(tar))) {
    const slash = name.lastIndexOf("/");
    const base = name.slice(slash + 1);
    const parent = name.slice(0, slash + 1);
    if (base === ".wh..wh..opq") markers.push({ path: parent.slice(0, -1), opaque: true });
    else if (base.startsWith(".wh.")) markers.push({ path: parent + base.slice(4), opaque: false });
  }
  return markers;
}

/** Packs `diffs` as one layer and checks it in three ways against what the stack looks like. */
async function checkComposed(below: string[], diffs: string[]): Promise<void> {
  const expected = withView([...below, ...diffs], undefined, describeTree);
  const tar = [...packLayer({ diffs, below })];
  const composed = fresh();
  await applyLayer(stream(tar), composed);
  expect(withView([...below, composed], undefined, describeTree)).toEqual(expected);

  // Each marker has something to mark.
  const markers = await markersOf(tar);
  withView(below, undefined, (view) => {
    for (const { path, opaque } of markers) {
      expect(
        opaque
          ? readdirSync(join(view, path)).length > 0
          : existsSync(join(view, path)) || isLink(join(view, path)),
      ).toBe(true);
    }
  });

  // An extractor that knows nothing of overlays arrives at the same tree.
  const plain = fresh();
  withView(below, undefined, (view) => Bun.spawnSync(["cp", "-a", `${view}/.`, plain]));
  for (const { path, opaque } of markers) {
    if (!opaque) rmSync(join(plain, path), { recursive: true });
    else
      for (const name of readdirSync(join(plain, path))) rmSync(join(plain, path, name), { recursive: true });
  }
  await extractArchive(stream(tar), plain, "/");
  for (const { path, opaque } of markers) {
    const marker = opaque ? `${path}/.wh..wh..opq` : path.replace(/[^/]*$/, ".wh.$&");
    rmSync(join(plain, marker));
  }
  const withoutTimes = (tree: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(tree).map(([at, facts]) => [
        at,
        /^4\d{4} /.test(facts) ? facts.replace(/ \d+ device/, " device") : facts,
      ]),
    );
  expect(withoutTimes(describeTree(plain))).toEqual(withoutTimes(expected));
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** Changes a tree; paths are below it. */
type Change = (path: (name: string) => string) => void;

const write =
  (name: string, content = name): Change =>
  (path) =>
    writeFileSync(path(name), content);
const make =
  (name: string): Change =>
  (path) =>
    void mkdirSync(path(name), { recursive: true });
const remove =
  (name: string): Change =>
  (path) =>
    rmSync(path(name), { recursive: true });
const move =
  (from: string, to: string): Change =>
  (path) =>
    renameSync(path(from), path(to));
const link =
  (from: string, to: string): Change =>
  (path) =>
    linkSync(path(from), path(to));

const base: Change[] = [
  make("d/e"),
  write("d/x"),
  write("d/e/y"),
  write("f"),
  link("f", "g"),
  make("empty"),
  (p) => symlinkSync("d", p("s")),
];

const cases: [name: string, below: Change[][], diffs: Change[][]][] = [
  ["one diff on nothing", [], [base]],
  ["two diffs on nothing", [], [base, [remove("d/x"), write("d/z"), remove("f")]]],
  ["a deletion of what is below", [base], [[remove("d/x"), remove("s")]]],
  [
    "made in one diff, deleted in the next: no trace",
    [base],
    [
      [write("new"), make("n/m"), write("n/m/o")],
      [remove("new"), remove("n")],
    ],
  ],
  ["deleted in one, made again in the next", [base], [[remove("f")], [write("f", "again")]]],
  ["deleted, made, deleted", [base], [[remove("f")], [write("f", "again")], [remove("f")]]],
  ["a directory replaced by another", [base], [[remove("d"), make("d"), write("d/only")]]],
  ["a directory replaced in two diffs", [base], [[remove("d")], [make("d/e"), write("d/e/only")]]],
  ["replaced, then merged into", [base], [[remove("d"), make("d")], [write("d/more")]]],
  [
    "opaque twice",
    [base],
    [
      [remove("d"), make("d"), write("d/1")],
      [remove("d"), make("d"), write("d/2")],
    ],
  ],
  [
    "an empty directory replaced by one: nothing to hide",
    [base],
    [[remove("empty"), make("empty"), write("empty/1")]],
  ],
  ["a directory in the place of a file", [base], [[remove("f"), make("f"), write("f/in")]]],
  ["a file in the place of a directory", [base], [[remove("d"), write("d", "file")]]],
  [
    "file, directory, file",
    [base],
    [
      [remove("f"), make("f")],
      [remove("f"), write("f", "end")],
    ],
  ],
  [
    "directory, file, directory",
    [base],
    [
      [remove("d"), write("d")],
      [remove("d"), make("d"), write("d/end")],
    ],
  ],
  [
    "a link in the place of a directory",
    [base],
    [[move("d/x", "x"), remove("d"), (p) => symlinkSync("empty", p("d"))]],
  ],
  [
    "already deleted below",
    [base, [remove("f"), remove("d/e")]],
    [[write("f"), remove("f"), make("d/e"), write("d/e/new")]],
  ],
  [
    "opaque below",
    [base, [remove("d"), make("d"), write("d/q")]],
    [
      [remove("d/q"), write("d/x")],
      [remove("d"), make("d")],
    ],
  ],
  [
    "hidden below by an opaque directory: no trace of a deletion",
    [base, [remove("d"), make("d")]],
    [[write("d/x")], [remove("d/x")]],
  ],
  [
    "emptied below by deletions: nothing to hide",
    [base, [remove("d/x"), remove("d/e")]],
    [[remove("d"), make("d"), write("d/new")]],
  ],
  [
    "only attributes of a directory",
    [base],
    [[(p) => chmodSync(p("d"), 0o700)], [(p) => chownSync(p("d"), 7, 8)]],
  ],
  [
    "attributes of a directory, changed again",
    [base],
    [[(p) => setXattr(p("d"), "user.a", Buffer.from("1"))], [write("d/e/z")]],
  ],
  [
    "hard links of two diffs",
    [base],
    [[write("l1"), link("l1", "l2")], [link("l2", "d/l3"), write("m")], [remove("l1")]],
  ],
  ["a renamed file", [base], [[move("d/x", "d/renamed"), move("g", "d/e/g")]]],
  [
    "a renamed new directory over a deleted one",
    [base],
    [[make("t"), write("t/1"), remove("d"), move("t", "d")]],
  ],
  ["whiteouts in what a later diff removes", [base], [[remove("d/e/y")], [remove("d")]]],
  ["everything removed", [base], [["d", "f", "g", "s", "empty"].map(remove)]],
];

describe.if(canMount())("composed layers", () => {
  /** Applies each group of changes to the view of all before it; the diffs that result. */
  function build(groups: Change[][], under: string[]): string[] {
    const made: string[] = [];
    for (const changes of groups) {
      const upper = fresh();
      withView([...under, ...made], upper, (view) => {
        for (const change of changes) change((name) => join(view, name));
      });
      made.push(upper);
    }
    return made;
  }

  for (const [name, belowChanges, diffChanges] of cases) {
    test(name, async () => {
      const below = build(belowChanges, []);
      await checkComposed(below, build(diffChanges, below));
    });
  }

  test("markers only where they are due", async () => {
    const below = build([base], []);
    const markers = async (...changes: Change[][]) =>
      (await markersOf([...packLayer({ diffs: build(changes, below), below })])).map((m) =>
        m.opaque ? `${m.path}/*` : m.path,
      );
    expect(await markers([remove("f"), remove("d/x")])).toEqual(["f", "d/x"]);
    expect(await markers([write("new")], [remove("new")])).toEqual([]);
    expect(await markers([remove("d")], [make("d")])).toEqual(["d/*"]);
    expect(await markers([remove("empty"), make("empty")])).toEqual([]);
    expect(await markers([remove("f"), make("f")])).toEqual([]);
    expect(await markers([remove("d"), make("d/e")], [remove("d/e")])).toEqual(["d/*"]);
  });

  // A failure tells its seed; the same seed makes the same stack.
  for (let seed = 1; seed <= 40; seed++) {
    test(`random stack ${seed}`, async () => {
      const random = generator(seed);
      const groups = (most: number) => Array.from({ length: random(most + 1) }, () => randomChanges(random));
      const below = build(groups(3), []);
      const diffs = build([randomChanges(random), ...groups(3)], below);
      await checkComposed(below, diffs);
    });
  }
});

/** Pseudo-random whole numbers below a limit (mulberry32). */
function generator(seed: number): (limit: number) => number {
  let state = seed * 0x9e3779b9;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/** Changes of which some will not be possible; those are passed over. */
function randomChanges(random: (limit: number) => number): Change[] {
  const name = () => Array.from({ length: 1 + random(3) }, () => "abc"[random(3)]).join("/");
  const kinds: (() => Change)[] = [
    () => make(name()),
    () => make(name()),
    () => write(name(), `content ${random(1000)}`),
    () => write(`${name()}/f`, `content ${random(1000)}`),
    () => remove(name()),
    () => move(name(), name()),
    () => link(name(), name()),
    () => {
      const at = name();
      return (path) => symlinkSync("a/b", path(at));
    },
    () => {
      const [at, mode] = [name(), 0o700 + random(64)];
      return (path) => chmodSync(path(at), mode);
    },
    () => {
      const [at, id] = [name(), random(5)];
      return (path) => chownSync(path(at), id, id);
    },
    () => {
      const [at, other] = [name(), name()];
      return (path) => {
        // Links may lead from one into the other, and a tree cannot be copied into itself.
        const [to, from] = [`${realpathSync(path(at))}/`, `${realpathSync(path(other))}/`];
        if (to.startsWith(from) || from.startsWith(to)) return;
        rmSync(path(at), { recursive: true });
        cpSync(path(other), path(at), { recursive: true });
      };
    },
  ];
  const changes = Array.from({ length: 5 + random(25) }, () => kinds[random(kinds.length)]!());
  return changes.map((change) => (path) => {
    try {
      change(path);
    } catch (error) {
      if (!/^E[A-Z_]+/.test(String((error as { code?: unknown }).code))) throw error;
    }
  });
}
