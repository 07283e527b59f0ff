// Protects against archives that are made to mislead: names and links that lead out, cut off or impossible entries.
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import type { ErrorCode } from "../../src/base/errors.ts";
import { type LayerEntry, makeImage, makeLayer } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";
import { contents, copyBetween, failureOf, validateAt } from "../transport/suite.ts";

const scratch = scratchDirectory("hostile");
afterAll(() => scratch[Symbol.dispose]());
let count = 0;

/** An archive of these entries. */
async function archive(entries: LayerEntry[]): Promise<string> {
  const file = scratch.file(`${count++}.tar`);
  writeFileSync(file, await makeLayer(entries));
  return file;
}

const list = (Config: string, Layers: string[] = []) =>
  ({
    path: "manifest.json",
    content: JSON.stringify([{ Config, RepoTags: null, Layers }]),
  }) satisfies LayerEntry;

const config = (diffIds: string[] = []) =>
  JSON.stringify({ os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: diffIds } });

describe("docker-archive", () => {
  const cases: [name: string, entries: LayerEntry[], code: ErrorCode, message: RegExp][] = [
    [
      "a name that leads out",
      [{ path: "../evil", content: "x" }, list("c")],
      "invalid",
      /"\.\.\/evil" leads out/,
    ],
    [
      "a name that leads out on the way",
      [{ path: "a/../../evil", content: "x" }, list("c")],
      "invalid",
      /leads out/,
    ],
    [
      "a link that leads out",
      [{ path: "c", target: "../../../etc/passwd" }, list("c")],
      "invalid",
      /link "c" leads out/,
    ],
    [
      "a link to a file of the host",
      [{ path: "c", target: "/etc/passwd" }, list("c")],
      "not-found",
      /has no file c/,
    ],
    [
      "links in a circle",
      [{ path: "c", target: "d" }, { path: "d", target: "c" }, list("c")],
      "not-found",
      /has no file c/,
    ],
    ["a config that is a path of the host", [list("/etc/passwd")], "not-found", /no file \/etc\/passwd/],
    ["a config above the archive", [list("../../etc/passwd")], "not-found", /no file/],
    [
      "a layer that is missing",
      [{ path: "c", content: config([`sha256:${"a".repeat(64)}`]) }, list("c", ["l"])],
      "not-found",
      /no file l/,
    ],
    [
      "more layers than the config has",
      [{ path: "c", content: config() }, { path: "l" }, list("c", ["l"])],
      "invalid",
      /lists 1 layers, but the image's config has 0/,
    ],
    [
      "a manifest.json that is no list",
      [{ path: "manifest.json", content: "{}" }],
      "invalid",
      /manifest\.json of .* is malformed/,
    ],
    [
      "a manifest.json of other things",
      [{ path: "manifest.json", content: '[{"Config":1}]' }],
      "invalid",
      /field "0\.Config"/,
    ],
    ["an empty list", [{ path: "manifest.json", content: "[]" }], "not-found", /holds no image/],
    [
      "an enormous manifest.json",
      [{ path: "manifest.json", content: Buffer.alloc(5 << 20, " ") }],
      "invalid",
      /allowed for a document/,
    ],
    [
      "a config that is a device",
      [{ path: "c", type: "character-device", major: 1, minor: 5 }, list("c")],
      "not-found",
      /no file c/,
    ],
    ["a config that is a directory", [{ path: "c/" }, list("c")], "not-found", /no file c/],
  ];
  test.each(cases)("%s", async (_name, entries, code, message) => {
    const error = await failureOf(validateAt(`docker-archive:${await archive(entries)}`), code);
    expect(error.message).toMatch(message);
  });

  test("a layer that is not the config's diff_id", async () => {
    const layer = Buffer.from(await makeLayer([{ path: "x", content: "y" }]));
    const file = await archive([
      { path: "c", content: config([`sha256:${"a".repeat(64)}`]) },
      { path: "l", content: layer },
      list("c", ["l"]),
    ]);
    await failureOf(copyBetween(`docker-archive:${file}`, `oci:${scratch.path}/to:x`), "integrity");
    expect(readdirSync(scratch.path)).not.toContain("to");
  });

  test("a layer that lies about its digest in its name", async () => {
    const layer = Bun.gzipSync(Uint8Array.from(await makeLayer([{ path: "x", content: "y" }])));
    const name = `blobs/sha256/${"b".repeat(64)}`;
    const file = await archive([
      { path: "c", content: config([`sha256:${"a".repeat(64)}`]) },
      { path: name, content: layer },
      list("c", [name]),
    ]);
    await failureOf(copyBetween(`docker-archive:${file}`, `oci:${scratch.path}/to:x`), "integrity");
  });
});

describe("the tar itself", () => {
  async function whole(): Promise<Buffer> {
    const directory = scratch.file(`from${count++}`);
    const made = await makeImage(directory, contents);
    await copyBetween(made.reference, `oci-archive:${directory}.tar:x`);
    // Without the entries of its two directories: the first header is a file's.
    return Buffer.from(await Bun.file(`${directory}.tar`).bytes()).subarray(2 * 512);
  }
  const refused = async (bytes: Uint8Array, code: ErrorCode, message: RegExp) => {
    const file = scratch.file(`${count++}.tar`);
    writeFileSync(file, bytes);
    expect((await failureOf(validateAt(`oci-archive:${file}`), code)).message).toMatch(message);
  };

  test("cut off anywhere", async () => {
    const bytes = await whole();
    await refused(bytes.subarray(0, 300), "invalid", /no entries/);
    await refused(bytes.subarray(0, 600), "invalid", /middle of an entry/);
    await refused(
      bytes.subarray(0, Math.floor(bytes.length / 2)),
      "invalid",
      /middle of an entry|oci-layout/,
    );
    // Up to the end of an entry: what comes after it is missing.
    for (let at = 512; at < bytes.length - 2048; at += 512) {
      if (bytes.toString("latin1", at + 257, at + 262) !== "ustar") continue;
      await refused(bytes.subarray(0, at), "invalid", /oci-layout/);
    }
  });

  test("no tar at all", async () => {
    await refused(new Uint8Array(0), "invalid", /no entries/);
    await refused(Buffer.alloc(4096), "invalid", /no entries/);
    await refused(Buffer.alloc(4096, "not a tar "), "invalid", /wrong checksum/);
    await refused(
      Bun.gzipSync(Buffer.from("short")).subarray(0, 20),
      "invalid",
      /damaged|no entries|Cannot read/,
    );
  });

  /** The first header with a field changed and its checksum made right. */
  function forged(bytes: Buffer, change: (header: Buffer) => void): Buffer {
    const copy = Buffer.from(bytes);
    const header = copy.subarray(0, 512);
    change(header);
    header.fill(" ", 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return copy;
  }

  test("sizes that cannot be", async () => {
    const bytes = await whole();
    const size = (write: (field: Buffer) => void) =>
      forged(bytes, (header) => write(header.subarray(124, 136)));
    await refused(
      size((field) => field.write("77777777777\0")),
      "invalid",
      /middle of an entry/,
    );
    await refused(
      size((field) => field.fill(0xff).fill(0x80, 0, 1)),
      "invalid",
      /impossible size/,
    );
    await refused(
      size((field) => field.fill(0xff)),
      "invalid",
      /impossible size/,
    );
    await refused(
      size((field) => field.write("-0000000001\0")),
      "invalid",
      /impossible size/,
    );
    await refused(
      size((field) => field.write("00000000zzz\0")),
      "invalid",
      /impossible size/,
    );
  });

  test("PAX records that are nonsense, or move the next header", async () => {
    const record = (keyword: string, length = keyword.length + 4) => {
      const text = `${length} ${keyword}\n`;
      const block = forged(Buffer.alloc(512), (header) => {
        header.write("pax", 0);
        header.write(`${text.length.toString(8).padStart(11, "0")}\0`, 124);
        header.write("x", 156);
        header.write("ustar\x0000", 257, "latin1");
      });
      return Buffer.concat([block, Buffer.from(text.padEnd(512, "\0"))]);
    };
    const bytes = await whole();
    await refused(Buffer.concat([record("size=99999999999999999999"), bytes]), "invalid", /impossible size/);
    await refused(Buffer.concat([record("size=-000001"), bytes]), "invalid", /impossible size/);
    await refused(Buffer.concat([record("comment=nothing", 90), bytes]), "invalid", /malformed PAX record/);
    await refused(Buffer.concat([record("nokeyword-nothing"), bytes]), "invalid", /malformed PAX record/);
    await refused(Buffer.concat([record("size=999999999999"), bytes]), "invalid", /middle of an entry/);
    await refused(Buffer.concat([record("path=../evil"), bytes]), "invalid", /leads out/);
    const long = forged(Buffer.alloc(512), (header) => {
      header.write("L", 0);
      header.write("00010000000\0", 124);
      header.write("L", 156);
    });
    await refused(Buffer.concat([long, Buffer.alloc(3 << 20)]), "invalid", /absurdly long name/);
  });
});
