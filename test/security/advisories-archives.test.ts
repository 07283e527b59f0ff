// Protects the host from what public advisories of tar programs tell of: each as an archive, unpacked beside a canary.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { extractArchive } from "../../src/archive/extract-archive.ts";
import { CooperError } from "../../src/base/errors.ts";
import { type LayerEntry, makeLayer } from "../support/make-image.ts";

interface Advisory {
  id: string;
  what: string;
  /** `C` stands for the canary's directory. */
  entries: LayerEntry[];
}

const link = (path: string, target: string): LayerEntry => ({ path, type: "symlink", target });
const hard = (path: string, target: string): LayerEntry => ({ path, type: "link", target });
const file = (path: string): LayerEntry => ({ path, content: "evil" });

const ADVISORIES: Advisory[] = [
  { id: "CVE-2001-1267", what: "names with ..", entries: [file("../canary/alive")] },
  {
    id: "CVE-2002-0399",
    what: "names with .. behind a directory",
    entries: [file("./a/../../canary/alive")],
  },
  { id: "CVE-2007-4131", what: "names that end in ..", entries: [{ path: "a/../..", type: "directory" }] },
  {
    id: "CVE-2016-6321",
    what: "names that are safe once their .. are cut",
    entries: [file("C/../canary/alive")],
  },
  {
    id: "CVE-2021-32804",
    what: "absolute names, said twice",
    entries: [file("//C/alive"), file("////C/new")],
  },
  {
    id: "CVE-2018-20834",
    what: "a hard link to outside, then written through",
    entries: [hard("h", "C/alive"), file("h")],
  },
  {
    id: "CVE-2024-12905",
    what: "a link to outside, then a hard link through it",
    entries: [link("l", "C"), hard("h", "l/alive"), file("h")],
  },
  {
    id: "CVE-2025-48387",
    what: "a link to a link to outside, then a file",
    entries: [link("a", "."), link("a/b", "../canary"), file("b/alive")],
  },
  {
    id: "CVE-2021-32803",
    what: "a directory replaced by a link, then a file in it",
    entries: [{ path: "d/", type: "directory" }, link("d", "C"), file("d/alive")],
  },
  {
    id: "CVE-2021-37701",
    what: "the same with another way to write the name",
    entries: [{ path: "d", type: "directory" }, link("d/", "C"), file("./d//alive")],
  },
  {
    id: "CVE-2021-37712",
    what: "the same with names that Unicode calls equal",
    entries: [{ path: "caf\u00e9", type: "directory" }, link("cafe\u0301", "C"), file("cafe\u0301/alive")],
  },
  {
    id: "CVE-2024-12718",
    what: "a directory's mode set through a link",
    entries: [link("d", "C"), { path: "d", type: "directory", mode: 0o777 }],
  },
  {
    id: "CVE-2020-10696",
    what: "an absolute link, then a file beyond it",
    entries: [link("l", "/"), file("l/C/alive")],
  },
  {
    id: "CVE-2025-4517",
    what: "a link longer than PATH_MAX, behind which .. leads out",
    entries: [
      ...deep(),
      link("short", `${"x/".repeat(20)}l`),
      link("out", "short/../../../../../../../../../C"),
      file("out/alive"),
    ],
  },
  {
    id: "CVE-2025-45582",
    what: "in two archives: a link first, a file through it then",
    entries: [link("x", "../canary"), file("x/alive")],
  },
];

function deep(): LayerEntry[] {
  const name = "d".repeat(200);
  return [{ path: name, type: "directory" }, link("x", name), link(`${name}/l`, "..")];
}

let work = "";
let canary = "";

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "cooper-advisory-"));
  canary = join(work, "canary");
  mkdirSync(canary);
  writeFileSync(join(canary, "alive"), "alive");
});
afterEach(() => rmSync(work, { recursive: true }));

function outside() {
  const { mode, nlink, ctimeMs } = statSync(canary);
  const inner = statSync(join(canary, "alive"));
  return [
    readdirSync(canary),
    readFileSync(join(canary, "alive"), "utf8"),
    mode,
    nlink,
    ctimeMs,
    inner.nlink,
    inner.ctimeMs,
  ];
}

async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

test.each(ADVISORIES)("$id: $what", async ({ entries }) => {
  const here = entries.map((entry) => ({
    ...entry,
    path: entry.path.replace(/\bC\b/, canary),
    ...(entry.target === undefined ? {} : { target: entry.target.replace(/\bC\b/, canary) }),
  }));
  const before = outside();
  const first = await makeLayer(here);
  const [head, rest] = [await makeLayer(here.slice(0, -1)), await makeLayer(here.slice(-1))];
  const ways: [string, (root: string) => Promise<unknown>][] = [
    ["layer", (root) => applyLayer(stream(first), root)],
    ["archive", (root) => extractArchive(stream(first), root, "/")],
    ["archive below", (root) => extractArchive(stream(first), root, "/sub")],
    [
      "two archives",
      async (root) => {
        await extractArchive(stream(head), root, "/");
        await extractArchive(stream(rest), root, "/");
      },
    ],
  ];
  for (const [way, unpack] of ways) {
    const root = join(work, `root-${way}`);
    mkdirSync(root);
    try {
      await unpack(root);
    } catch (error) {
      expect(error, way).toBeInstanceOf(CooperError);
      expect((error as CooperError).code, way).toBe("invalid");
    }
    expect(outside(), way).toEqual(before);
    expect(
      readdirSync(work).filter((name) => name !== "canary" && !name.startsWith("root-")),
      way,
    ).toEqual([]);
  }
});
