// Protects layers: what is packed comes back bit by bit, other programs read it alike, and equal trees give equal bytes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { type PackOptions, packLayer } from "../../src/archive/pack-layer.ts";
import { readTar } from "../../src/archive/tar-reader.ts";
import { getXattr, listXattrs } from "../../src/base/xattrs.ts";
import { fsPath } from "../../src/base/path-bytes.ts";
import { CAPABILITY, LATIN1_NAME, LONG_NAME, makeBelow, makeEverything } from "./everything-tree.ts";

const isRoot = process.geteuid?.() === 0;
let scratch = "";
const at = (name: string) => join(scratch, name);
const fresh = (name: string): string => {
  mkdirSync(at(name));
  return at(name);
};

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "cooper-layer-"));
});

afterAll(() => {
  Bun.spawnSync(["chmod", "-R", "u+rwX", scratch]);
  rmSync(scratch, { recursive: true, force: true });
});

/** One time for everything. */
const set: Omit<PackOptions, "diffs"> = { timestamp: 0, timestampMode: "set", below: [] };

function pack(options: PackOptions): Buffer {
  return Buffer.concat([...packLayer(options)]);
}

async function* stream(bytes: Uint8Array, size = 65536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function names(bytes: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for await (const member of readTar(stream(bytes))) found.push(member.name);
  return found;
}

describe.if(isRoot)("a tree of everything", () => {
  let tar: Buffer;
  let unpacked: string;

  beforeAll(async () => {
    makeBelow(fresh("below"));
    makeEverything(fresh("tree"));
    tar = pack({ diffs: [at("tree")], below: [at("below")] });
    unpacked = fresh("unpacked");
    const result = await applyLayer(stream(tar), unpacked);
    expect(result.notes).toEqual([]);
    expect(result.size).toBeGreaterThan(5_700_000);
  });

  test("pack, unpack and pack give identical bytes", () => {
    expect(pack({ diffs: [unpacked], below: [at("below")] }).equals(tar)).toBe(true);
  });

  test("the bytes do not depend on how the stream was cut", async () => {
    for (const size of [511, 513, 1 << 22]) {
      const directory = fresh(`cut-${size}`);
      await applyLayer(stream(tar, size), directory);
      expect(pack({ diffs: [directory], below: [at("below")] }).equals(tar)).toBe(true);
    }
  });

  test("modes, owners, times, attributes, links and devices are what they were", () => {
    const stat = (name: string) => lstatSync(join(unpacked, name), { bigint: true });
    expect(stat("bin/su").mode & 0o7777n).toBe(0o4755n);
    expect(stat("bin/wall").mode & 0o7777n).toBe(0o2755n);
    expect(stat("tmp").mode & 0o7777n).toBe(0o1777n);
    expect(stat("shared").mode & 0o7777n).toBe(0o2775n);
    expect(stat("closed").mode & 0o7777n).toBe(0n);
    expect([stat("far-owned").uid, stat("far-owned").gid]).toEqual([3_000_000n, 4_000_000_000n]);
    expect(stat("empty").mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(stat("first").mtimeNs).toBe(-1_500_000_000n);
    expect(stat("large").mtimeNs).toBe(10_000_000_000_000_000_000n);
    expect(stat("tmp").mtimeNs).toBe(1_500_000_000_000_000_001n);
    expect(stat("absolute").mtimeNs).toBe(1_000_000_001n);
    expect(stat("first").ino).toBe(stat("bin/third").ino);
    expect(stat("first").nlink).toBe(3n);
    expect(readlinkSync(join(unpacked, "absolute"))).toBe("/etc//x/../passwd");
    expect(readlinkSync(join(unpacked, "dangling"))).toBe("missing/");
    expect(stat("disk").rdev).toBe(lstatSync(at("tree/disk"), { bigint: true }).rdev);
    expect(stat("hidden").rdev).toBe(0n);
    expect(stat("sparse").blocks).toBe(0n);
    expect(getXattr(join(unpacked, "bin/ping"), "security.capability")?.equals(CAPABILITY)).toBe(true);
    expect(listXattrs(join(unpacked, "attributes")).sort()).toEqual([
      "user.binary",
      "user.empty",
      "user.long",
    ]);
    expect(getXattr(join(unpacked, "opaque"), "user.overlay.opaque")?.toString()).toBe("y");
    expect(lstatSync(fsPath(`${unpacked}/${LATIN1_NAME}`)).isFile()).toBe(true);
    expect(readFileSync(join(unpacked, LONG_NAME, LONG_NAME), "utf8")).toBe(`${LONG_NAME}/${LONG_NAME}`);
  });

  test("order: parents before content, whiteouts before siblings, all by bytes; no root, no attributes of overlayfs", async () => {
    const found = await names(tar);
    expect(found[0]).toBe(".wh.hidden");
    expect(found).not.toContain("hidden");
    expect(found).not.toContain("");
    expect(found.slice(found.indexOf("opaque"), found.indexOf("opaque") + 3)).toEqual([
      "opaque",
      "opaque/.wh..wh..opq",
      "opaque/new",
    ]);
    const seen = new Set([""]);
    for (const name of found) {
      expect(seen).toContain(name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "");
      seen.add(name);
    }
    expect(tar.includes("overlay.")).toBe(false);
  });

  test("GNU tar sees the same tree", () => {
    const other = fresh("gnu");
    const run = Bun.spawnSync(
      ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", "-", "-C", other],
      {
        stdin: tar,
      },
    );
    expect(run.stderr.toString().replace(/^tar: .*time ?stamp .*\n/gm, "")).toBe("");
    // What tar makes of the markers is not what overlayfs has.
    for (const name of [".wh.hidden", "opaque/.wh..wh..opq"]) rmSync(join(other, name));
    const plain = fresh("plain");
    expect(Bun.spawnSync(["cp", "-a", `${unpacked}/.`, plain]).exitCode).toBe(0);
    rmSync(join(plain, "hidden"));
    Bun.spawnSync(["setfattr", "-x", "user.overlay.opaque", join(plain, "opaque")]);
    expect(pack({ diffs: [other], ...set }).equals(pack({ diffs: [plain], ...set }))).toBe(true);
    expect(lstatSync(join(other, "empty"), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n);
  });

  test("Python's tarfile sees the same entries", async () => {
    const script = [
      "import sys, tarfile, json",
      "for m in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'):",
      "  kind = {b'0':'file',b'1':'link',b'2':'symlink',b'3':'char',b'4':'block',b'5':'directory',b'6':'fifo'}[m.type]",
      "  caps = m.pax_headers.get('SCHILY.xattr.user.of-directory', '')",
      "  print(json.dumps([m.name, kind, m.mode, m.uid, m.gid, m.size, m.linkname, m.devmajor, m.devminor, caps]))",
    ].join("\n");
    const run = Bun.spawnSync(["python3", "-c", script], { stdin: tar });
    expect(run.stderr.toString()).toBe("");
    const theirs = run.stdout.toString().trimEnd().split("\n");
    const ours: string[] = [];
    for await (const m of readTar(stream(tar))) {
      const attribute = m.xattrs.get("user.of-directory");
      const facts = [m.name, m.type, m.mode, m.uid, m.gid, m.size, m.linkName, m.major, m.minor];
      ours.push(JSON.stringify([...facts, attribute === undefined ? "" : Buffer.from(attribute).toString()]));
    }
    expect(theirs.map((line) => JSON.stringify(JSON.parse(line)))).toEqual(ours);
  });

  test("what GNU tar writes in each of its formats comes back", async () => {
    for (const format of ["gnu", "pax", "posix"]) {
      const flags =
        format === "gnu"
          ? []
          : ["--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"];
      const run = Bun.spawnSync(["tar", `--format=${format}`, ...flags, "-C", at("tree"), "-cf", "-", "."]);
      const directory = fresh(`from-${format}`);
      await applyLayer(stream(new Uint8Array(run.stdout)), directory);
      const expected = await names(pack({ diffs: [at("tree")], ...set }));
      expect(await names(pack({ diffs: [directory], ...set }))).toEqual(expected);
      expect(lstatSync(join(directory, "bin/su")).mode & 0o7777).toBe(0o4755);
      expect(lstatSync(join(directory, "far-owned")).gid).toBe(4_000_000_000);
      const exact = lstatSync(join(directory, "empty"), { bigint: true }).mtimeNs;
      expect(exact).toBe(format === "gnu" ? 1_700_000_000_000_000_000n : 1_700_000_000_123_456_789n);
    }
  });

  test("umoci and skopeo's Go reader take it", () => {
    const layout = at("layout");
    const run = (...argv: string[]) => {
      const child = Bun.spawnSync(argv, { cwd: scratch });
      if (child.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${child.stderr}`);
    };
    writeFileSync(at("layer.tar"), tar);
    run("umoci", "init", "--layout", layout);
    run("umoci", "new", "--image", `${layout}:x`);
    run("umoci", "raw", "add-layer", "--image", `${layout}:x`, at("layer.tar"));
    run("umoci", "unpack", "--image", `${layout}:x`, at("bundle"));
    const root = at("bundle/rootfs");
    expect(lstatSync(join(root, "bin/su")).mode & 0o7777).toBe(0o4755);
    expect(lstatSync(join(root, "empty"), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(getXattr(join(root, "bin/ping"), "security.capability")?.equals(CAPABILITY)).toBe(true);
    expect(readdirSync(root).length).toBe(readdirSync(at("tree")).length - 1);
    run("skopeo", "copy", `oci:${layout}:x`, `docker-archive:${at("docker.tar")}`);
  });
});

describe("packing", () => {
  test("times later than a timestamp become it, or all of them", async () => {
    const tree = fresh("times");
    writeFileSync(join(tree, "old"), "");
    writeFileSync(join(tree, "new"), "");
    utimesSync(join(tree, "old"), 1000, 1000);
    const times = async (mode: "clamp" | "set") => {
      const found: Record<string, bigint> = {};
      const tar = pack({ diffs: [tree], below: [], timestamp: 5000, timestampMode: mode });
      for await (const { name, mtime } of readTar(stream(tar))) found[name] = mtime;
      return found;
    };
    expect(await times("clamp")).toEqual({ new: 5_000_000_000_000n, old: 1_000_000_000_000n });
    expect(await times("set")).toEqual({ new: 5_000_000_000_000n, old: 5_000_000_000_000n });
  });

  test("the order in which a tree was made does not show", () => {
    const list = ["b", "a", "ab", "a.b", "Z", "é", "\u{10400}", "\uffee", "-"];
    for (const [name, order] of [["forth", list] as const, ["back", list.toReversed()] as const]) {
      fresh(name);
      for (const file of order) {
        mkdirSync(at(`${name}/${file}`));
        writeFileSync(at(`${name}/${file}/x`), file);
      }
    }
    expect(pack({ diffs: [at("forth")], ...set }).equals(pack({ diffs: [at("back")], ...set }))).toBe(true);
  });

  test("a name that would be a whiteout is refused by name", () => {
    mkdirSync(join(fresh("reserved"), "etc"));
    writeFileSync(at("reserved/etc/.wh.passwd"), "");
    expect(() => pack({ diffs: [at("reserved")], below: [] })).toThrow("Cannot archive etc/.wh.passwd");
  });

  test("a file that grows or shrinks while it is packed is an error that names it", () => {
    for (const change of ["grow", "shrink"]) {
      const tree = fresh(change);
      const file = join(tree, "log");
      writeFileSync(file, Buffer.alloc(8 << 20, 1));
      const chunks = packLayer({ diffs: [tree], below: [] });
      chunks.next();
      if (change === "grow") appendFileSync(file, "x");
      else truncateSync(file, 3 << 20);
      expect(() => [...chunks]).toThrow("Cannot archive log: its size changed");
    }
  });

  test("sockets are left out", async () => {
    const tree = fresh("socket");
    const server = Bun.listen({ unix: join(tree, "s"), socket: { data() {} } });
    writeFileSync(join(tree, "t"), "");
    expect(await names(pack({ diffs: [tree], below: [] }))).toEqual(["t"]);
    server.stop(true);
  });

  test("an empty tree is an empty archive", () => {
    expect(pack({ diffs: [fresh("empty-tree")], below: [] }).equals(Buffer.alloc(1024))).toBe(true);
  });

  test("a sparse file beyond 8 GiB: right size, right bytes, bounded memory", async () => {
    const tree = fresh("huge");
    const size = 9 * 2 ** 30 + 77;
    const fd = openSync(join(tree, "huge"), "w");
    writeSync(fd, "start", 0);
    writeSync(fd, "middle", 5 * 2 ** 30 + 77);
    writeSync(fd, "end", size - 3);
    closeSync(fd);
    const zeros = Buffer.alloc(1 << 20);
    let bytes = 0;
    let text = "";
    let first: Uint8Array | undefined;
    for (const chunk of packLayer({ diffs: [tree], below: [] })) {
      first ??= chunk;
      bytes += chunk.length;
      if (Buffer.compare(chunk, zeros) === 0) continue;
      text += Buffer.from(chunk).toString("latin1").replaceAll("\0", "");
    }
    // The PAX header and its record with the size, the header, the content padded, two blocks of zeros.
    expect(bytes).toBe(3 * 512 + Math.ceil(size / 512) * 512 + 1024);
    expect(text).toContain(`size=${size}`);
    expect(text).toContain("start");
    expect(text.endsWith("middleend")).toBe(true);
    const listing = Bun.spawnSync(["tar", "-tvf", "-"], { stdin: first! });
    expect(listing.stdout.toString()).toContain(` ${size} `);
  }, 60_000);
});

describe("GNU sparse archives", () => {
  const versions = [
    ["--format=gnu"],
    ...["0.0", "0.1", "1.0"].map((v) => ["--format=pax", `--sparse-version=${v}`]),
  ];
  for (const flags of versions) {
    test(flags.join(" "), async () => {
      const tree = fresh(`sparse${flags.join("")}`);
      const fd = openSync(join(tree, "holes"), "w");
      // More extents than the header itself has room for.
      for (let i = 0; i < 60; i++) writeSync(fd, `data ${i}`, i * 65536 + 4096);
      writeSync(fd, "end", 70 * 65536);
      closeSync(fd);
      truncateSync(join(tree, "holes"), 80 * 65536);
      linkSync(join(tree, "holes"), join(tree, "name"));
      writeFileSync(join(tree, "z-behind"), "still in step");
      truncateSync(join(tree, "z-behind"), 13);
      const tar = Bun.spawnSync(["tar", "-S", ...flags, "-C", tree, "-cf", "-", "."]).stdout;
      expect(tar.length).toBeLessThan(2_000_000);
      const directory = fresh(`from-sparse${flags.join("")}`);
      const { size } = await applyLayer(stream(new Uint8Array(tar), 1000), directory);
      expect(size).toBe(80 * 65536 + 13);
      expect(readFileSync(join(directory, "name")).equals(readFileSync(join(tree, "name")))).toBe(true);
      expect(readFileSync(join(directory, "z-behind"), "utf8")).toBe("still in step");
      expect(statSync(join(directory, "holes")).blocks * 512).toBeLessThan(1_000_000);
    });
  }
});
