/** What is fuzzed: each target reads bytes from outside, and may throw a CooperError and nothing else. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { applyLayer } from "../../src/archive/apply-layer.ts";
import { extractArchive } from "../../src/archive/extract-archive.ts";
import type { TarEntry, TarType } from "../../src/archive/tar-entry.ts";
import { readTar } from "../../src/archive/tar-reader.ts";
import { encodeHeader, END_OF_ARCHIVE } from "../../src/archive/tar-writer.ts";
import { decodeName } from "../../src/base/path-bytes.ts";
import { renderTemplate } from "../../src/cli/go-template.ts";
import { expandWord, expandWords } from "../../src/dockerfile/expand.ts";
import { parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { compilePattern } from "../../src/dockerfile/pattern.ts";
import { parsePlatform } from "../../src/oci/platform.ts";
import { formatReference, normaliseName, parseReference } from "../../src/oci/reference.ts";
import { parseImageConfig, parseLayoutFile, parseManifestOrIndex } from "../../src/oci/schema.ts";
import { formatTransport, parseTransport } from "../../src/oci/transport-reference.ts";
import { parseGitReference } from "../../src/plan/git-reference.ts";
import { planBuild } from "../../src/plan/graph.ts";
import { parseMountFields } from "../../src/plan/mount-fields.ts";
import { parseChallenges } from "../../src/transport/registry/challenge.ts";
import { statusFailure } from "../../src/transport/registry/failures.ts";
import { nextPage, parseTags } from "../../src/transport/registry/list-tags.ts";
import { merge, parseRegistriesConf } from "../../src/transport/registry/registries-conf.ts";
import { parseRetryAfter } from "../../src/transport/registry/retry.ts";
import { mutate, type Random } from "./mutate.ts";

export interface Target {
  /** Inputs to begin with. */
  corpus: Uint8Array[];
  /** Words of the format. */
  tokens: string[];
  run(input: Uint8Array): unknown;
  /** Makes an input, where changing bytes alone would not come far. */
  make?(random: Random, corpus: readonly Uint8Array[], tokens: readonly string[]): Uint8Array;
  close?(): void;
}

const repository = resolve(import.meta.dir, "../..");
const text = (input: Uint8Array) => decodeName(input);
const utf8 = (input: Uint8Array) => new TextDecoder().decode(input);

/** Files of fixtures/fuzz/TARGET, each an input. */
function corpusOf(target: string): Uint8Array[] {
  const directory = join(repository, "fixtures/fuzz", target);
  return readdirSync(directory)
    .sort()
    .map((name) => readFileSync(join(directory, name)));
}

function dockerfiles(): Uint8Array[] {
  return ["dockerfiles", "invalid"].flatMap((folder) =>
    readdirSync(join(repository, "fixtures", folder))
      .sort()
      .map((name) => join(repository, "fixtures", folder, name, "Dockerfile"))
      .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
      .map((path) => readFileSync(path)),
  );
}

const VARIABLES: Record<string, string> = { a: "x", b: "", long: "a/b*c".repeat(20), FOO: "b a r", x: "$a" };

/** The targets by name; each call makes new ones, to be closed. */
export const TARGETS: Record<string, () => Target> = {
  dockerfile: () => ({
    corpus: [...dockerfiles(), ...corpusOf("dockerfile")],
    tokens: [
      "FROM a\n",
      "RUN ",
      "COPY <<E /x\n",
      "\nE\n",
      "ARG ",
      "ENV ",
      "--mount=type=",
      "--from=",
      "ONBUILD ",
      "\\\n",
      "\\\r\n",
      "# escape=`\n",
      "# syntax=x\n",
      "${x:-",
      "}",
      '["',
      '"]',
      "<<-'E' ",
      "HEALTHCHECK CMD ",
      "\u2028",
      "AS ",
      " $x",
    ],
    run: (input) => planBuild(parseDockerfile(input, "Dockerfile"), { buildArgs: VARIABLES }),
  }),
  expansion: () => ({
    corpus: corpusOf("expansion"),
    tokens: [
      "${a:-",
      "${a:+",
      "${long#",
      "${long##*",
      "${long%",
      "${long//",
      "}",
      "$",
      "\\",
      "'",
      '"',
      "*",
      "?",
      "[!a-z]",
      "/",
    ],
    run: (input) => {
      const lookup = (name: string) => (Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined);
      for (const escapeToken of ["\\", "`"] as const) {
        expandWord(text(input), lookup, { escapeToken });
        expandWords(text(input), lookup, {
          escapeToken,
          keepQuotes: true,
          keepEscapes: true,
          keepUnset: true,
        });
      }
    },
  }),
  ignore: () => ({
    corpus: corpusOf("ignore"),
    tokens: ["**", "*", "!", "?", "[", "]", "[^", "\\", "/", "../", "./", "**/*", "\n", "a", "-"],
    run: (input) => {
      const matcher = parseIgnoreFile(text(input), ".dockerignore");
      for (const path of [
        "a",
        "a/b",
        "a/b/c.txt",
        "src/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
        "x\u{1f600}/y",
      ]) {
        matcher.ignores(path);
        matcher.mayUnignoreBelow(path);
      }
      compilePattern(text(input).split("\n")[0]!)("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    },
  }),
  reference: () => ({
    corpus: corpusOf("reference"),
    tokens: [
      "/",
      ":",
      "@",
      "sha256:",
      "docker://",
      "oci:",
      "dir:",
      "docker-archive:",
      "-",
      "..",
      "A",
      "[::1]:5000",
      "#",
      "_",
    ],
    run: (input) => {
      const each = [
        () => {
          const parsed = parseReference(text(input));
          const formatted = formatReference(parsed);
          if (formatReference(parseReference(formatted)) !== formatted)
            throw new Error(`unstable: ${formatted}`);
        },
        () => normaliseName(text(input)),
        () => formatTransport(parseTransport(text(input))),
        () => parsePlatform(text(input)),
        () => parseGitReference(text(input)),
        () => parseMountFields(text(input), (value) => value),
      ];
      return attemptAll(each);
    },
  }),
  manifest: () => ({
    corpus: corpusOf("manifest"),
    tokens: [
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "null",
      "true",
      "1e400",
      '"__proto__":',
      '"config":',
      '"layers":',
      "\\ud800",
    ],
    run: (input) =>
      attemptAll([
        () => parseManifestOrIndex(input, "it"),
        () => parseImageConfig(input, "it"),
        () => parseLayoutFile(input, "it"),
      ]),
  }),
  registry: () => ({
    corpus: corpusOf("registry"),
    tokens: [
      "Bearer ",
      "Basic ",
      'realm="',
      'scope="',
      '"',
      "\\",
      ",",
      "=",
      "<",
      ">",
      "; rel=next",
      "{",
      "errors",
      "\u001b[",
      "http://",
    ],
    run: async (input) => {
      const asked = { doing: "Cannot read", registry: "r", repository: "a", action: "pull from" as const };
      const login = { tried: undefined, hadToken: false, redact: (value: string) => value };
      const header = utf8(input);
      parseChallenges(header);
      nextPage(header);
      parseRetryAfter(header);
      for (const status of [401, 404, 500]) {
        const response = new Response(Uint8Array.from(input), {
          status,
          headers: { "content-type": "application/json" },
        });
        await statusFailure(asked, response, login);
      }
      parseTags(input, "it");
    },
  }),
  "registries-conf": () => ({
    corpus: corpusOf("registries-conf"),
    tokens: [
      "[[registry]]\n",
      "[aliases]\n",
      "prefix = ",
      "location = ",
      '"',
      "'''",
      "*.",
      "\n",
      "[[registry.mirror]]\n",
      "= true",
    ],
    run: (input) => {
      const conf = {
        search: [],
        shortNameMode: "permissive",
        credentialHelpers: [],
        aliases: new Map(),
        registries: [],
      };
      merge(
        conf as unknown as Parameters<typeof merge>[0],
        parseRegistriesConf(utf8(input), "registries.conf"),
      );
    },
  }),
  template: () => ({
    corpus: corpusOf("template"),
    tokens: [
      "{{",
      "}}",
      "{{range .a}}",
      "{{end}}",
      "{{if ",
      "{{else}}",
      "printf ",
      '"%d"',
      "| json",
      ".b.c",
      "$x := ",
      "index ",
      "(",
      ")",
      "`",
    ],
    run: (input) => renderTemplate(text(input), { a: [1, "x", null], b: { c: "d" }, n: -1 } as never),
  }),
  tar: () => ({
    corpus: [...corpusOf("tar"), sampleTar()],
    tokens: [
      "ustar\0" + "00",
      "ustar  \0",
      "././@LongLink",
      "12 path=a\n",
      "\u00ff\u00ff",
      "GNU.sparse.major=1",
      "SCHILY.xattr.a=",
    ],
    make: makeTar,
    run: async (input) => {
      for await (const member of readTar(chunks(input))) {
        if (member.name.length % 2 === 0) continue;
        for await (const [offset, bytes] of member.content())
          if (offset < 0 || !Number.isSafeInteger(offset + bytes.length)) throw new Error(`offset ${offset}`);
      }
    },
  }),
  unpack: unpackTarget,
};

/** All of them must keep to the rule; the first other error counts. */
function attemptAll(actions: (() => unknown)[]): void {
  let failure: unknown;
  for (const action of actions) {
    try {
      action();
    } catch (error) {
      if ((error as Error).name !== "CooperError") throw error;
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
}

async function* chunks(input: Uint8Array): AsyncGenerator<Uint8Array, void> {
  const step = 1 + (input.length % 1500);
  for (let at = 0; at < input.length; at += step) yield input.subarray(at, at + step);
}

// ---- archives ----

const NAMES = [
  "a",
  "a/b",
  "a/b/c",
  "d",
  "d/",
  "./a",
  "../canary/f",
  "/etc/x",
  "a/../../canary/f",
  "link",
  "link/f",
  "up/canary/f",
  ".wh.a",
  "a/.wh..wh..opq",
  ".wh...",
  ".wh.",
  "a/.wh.b/c",
  "x".repeat(256),
  "",
  ".",
  "..",
  "\udcff",
  "a\nb",
];
const LINKS = [
  "a",
  "..",
  "../..",
  "../canary",
  "/",
  "/etc",
  "a/b",
  "link",
  "canary/f",
  "../canary/f",
  ".",
  "",
];
const TYPES: TarType[] = ["file", "file", "directory", "symlink", "symlink", "link", "char", "block", "fifo"];

/** An archive of entries that get in each other's way, then changed a little; checksums are right more often than not. */
function makeTar(random: Random, corpus: readonly Uint8Array[], tokens: readonly string[]): Uint8Array {
  if (random.below(8) === 0) return mutate(random, corpus, tokens);
  const parts: Uint8Array[] = [];
  for (let count = 1 + random.below(8); count > 0; count--) {
    const entry = makeEntry(random);
    parts.push(Buffer.from(encodeHeader(entry)), Buffer.alloc(Math.ceil(entry.size / 512) * 512, "z"));
  }
  const tar = Buffer.concat([...parts, END_OF_ARCHIVE]);
  if (random.below(2) === 0) return tar;
  const changed = Buffer.from(mutate(random, [tar], tokens));
  if (random.below(4) > 0)
    for (let at = 0; at + 512 <= changed.length; at += 512) fixChecksum(changed.subarray(at, at + 512));
  return changed;
}

function makeEntry(random: Random): TarEntry {
  const type = random.pick(TYPES);
  return {
    name: random.pick(NAMES) || "e",
    type,
    mode: random.below(0o10000),
    uid: random.below(3),
    gid: random.below(3),
    size: type === "file" ? random.below(1200) : 0,
    mtime: BigInt(random.below(2 ** 31)) * 1_000_000_007n,
    linkName: type === "symlink" || type === "link" ? random.pick(LINKS) : "",
    major: 1,
    minor: type === "char" ? 3 : 0,
    xattrs: random.below(4) === 0 ? new Map([["user.x", Buffer.from("y")]]) : new Map(),
  };
}

function fixChecksum(header: Buffer): void {
  if (header.subarray(257, 262).toString("latin1") !== "ustar") return;
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

function sampleTar(): Uint8Array {
  const entry = {
    name: "a".repeat(120),
    type: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 3,
    mtime: 1n,
  } as const;
  const header = encodeHeader({
    ...entry,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: new Map([["user.k", Buffer.from("v")]]),
  });
  return Buffer.concat([header, Buffer.from("abc".padEnd(512, "\0")), END_OF_ARCHIVE]);
}

/** Unpacks as a layer and as an archive that ADD unpacks, beside a canary that must stay what it is. */
function unpackTarget(): Target {
  const work = mkdtempSync(join(tmpdir(), "cooper-fuzz-"));
  const canary = join(work, "canary");
  mkdirSync(canary);
  writeFileSync(join(canary, "f"), "alive");
  const before = outside();
  function outside(): string {
    const stats = [canary, join(canary, "f")].map((path) => statSync(path));
    const facts = stats.map(
      (stat) => `${stat.mode} ${stat.uid} ${stat.gid} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.nlink}`,
    );
    return JSON.stringify([
      readdirSync(work).filter((name) => name !== "root"),
      readdirSync(canary),
      readFileSync(join(canary, "f"), "utf8"),
      ...facts,
    ]);
  }
  function requireUntouched(): void {
    const after = outside();
    if (after !== before) throw new Error(`The canary is touched: ${before} became ${after}`);
  }
  return {
    corpus: [...corpusOf("tar"), sampleTar()],
    tokens: [],
    make: makeTar,
    close: () => rmSync(work, { recursive: true, force: true }),
    run: async (input) => {
      const root = join(work, "root");
      try {
        mkdirSync(root);
        await applyLayer(chunks(input), root);
        rmSync(root, { recursive: true, force: true });
        mkdirSync(root);
        await extractArchive(chunks(input), root, "/sub");
        requireUntouched();
      } catch (error) {
        requireUntouched();
        throw error;
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
    },
  };
}
