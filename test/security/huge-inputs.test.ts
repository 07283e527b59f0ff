// Protects against input that is huge or deep: an answer or a CooperError, never a stack that overflows or a hang.
import { expect, test } from "bun:test";
import { CooperError } from "../../src/base/errors.ts";
import { renderTemplate } from "../../src/cli/go-template.ts";
import { expandWord } from "../../src/dockerfile/expand.ts";
import { parseIgnoreFile } from "../../src/dockerfile/ignore.ts";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { parseImageConfig, parseManifestOrIndex } from "../../src/oci/schema.ts";
import { planBuild } from "../../src/plan/graph.ts";
import { parseMountFields } from "../../src/plan/mount-fields.ts";
import { parseChallenges } from "../../src/transport/registry/challenge.ts";
import { parseRegistriesConf } from "../../src/transport/registry/registries-conf.ts";

const plan = (text: string) => planBuild(parseDockerfile(text, "Dockerfile"));
const expand = (text: string, value?: string) => expandWord(text, () => value, { escapeToken: "\\" });
const heredocs = (count: number) => {
  const numbers = Array.from({ length: count }, (_, i) => i);
  return `RUN ${numbers.map((i) => `<<E${i}`).join(" ")}\n${numbers.map((i) => `x\nE${i}\n`).join("")}`;
};

const CASES: { what: string; read: () => unknown; refused?: RegExp }[] = [
  { what: "a Dockerfile of 10 MB of comments", read: () => plan(`FROM a\n${"# x\n".repeat(2_500_000)}`) },
  {
    what: "a line of 10 MB",
    read: () => plan(`FROM a\nRUN ${"x".repeat(1e7)}`),
    refused: /longer than 65535/,
  },
  {
    what: "a here-document of 10 MB without an end",
    read: () => plan(`FROM a\nRUN <<E\n${"x\n".repeat(5e6)}`),
    refused: /has no end/,
  },
  { what: "5,000 here-documents in one line", read: () => plan(`FROM a\n${heredocs(5_000)}`) },
  {
    what: "a here-document in a here-document's name",
    read: () => plan("FROM a\nRUN <<<<E\nx\nE\n"),
    refused: /./,
  },
  {
    what: "20,000 stages, each on the one before",
    read: () =>
      plan(
        Array.from({ length: 20_000 }, (_, i) => `FROM ${i === 0 ? "a" : `s${i - 1}`} AS s${i}`).join("\n"),
      ),
  },
  { what: "null bytes", read: () => plan("FROM a\nRUN \0echo\0\nENV a=\0") },
  {
    what: "ONBUILD of ONBUILD of …",
    read: () => plan(`FROM a\n${"ONBUILD ".repeat(8_000)}RUN x`),
    refused: /ONBUILD/,
  },
  { what: "a JSON form 60,000 deep", read: () => plan(`FROM a\nRUN ${"[".repeat(60_000)}`) },
  {
    what: "expansions 100,000 deep",
    read: () => expand(`${"${a:-".repeat(100_000)}${"}".repeat(100_000)}`),
    refused: /Cannot expand/,
  },
  {
    what: "a pattern of many stars in an expansion",
    read: () => expand(`\${a##${"*a".repeat(30)}b}`, "a".repeat(2_000)),
  },
  {
    what: "an ignore file of 20,000 lines",
    read: () => parseIgnoreFile("*a*b*c\n".repeat(20_000), "i").ignores("x/y"),
  },
  {
    what: "a class of 300,000 characters",
    read: () => parseIgnoreFile(`[${"a-z".repeat(100_000)}]`, "i").ignores("a"),
    refused: /too large|malformed/,
  },
  { what: "a reference of 10 MB", read: () => parseReference("a/".repeat(5e6)), refused: /./ },
  {
    what: "a manifest 600,000 deep",
    read: () => parseManifestOrIndex(Buffer.from(`${'{"a":'.repeat(600_000)}1${"}".repeat(600_000)}`), "it"),
    refused: /not valid JSON|bytes/,
  },
  {
    what: "a config with the members of an object's own",
    read: () =>
      parseImageConfig(
        Buffer.from('{"__proto__":{"os":"linux","architecture":"amd64"},"rootfs":{"type":"layers"}}'),
        "it",
      ),
    refused: /"os"/,
  },
  {
    what: "registries.conf 100,000 deep",
    read: () => parseRegistriesConf(`a=${"[".repeat(100_000)}`, "it"),
    refused: /not valid TOML/,
  },
  { what: "a challenge of blanks", read: () => parseChallenges(`Bearer ${" ".repeat(100_000)}x`) },
  { what: "a challenge of quotes", read: () => parseChallenges('Bearer a="'.repeat(20_000)) },
  {
    what: "a mount of quotes",
    read: () => parseMountFields('"'.repeat(100_001), (value) => value),
    refused: /./,
  },
  {
    what: "a template 50,000 deep",
    read: () => renderTemplate("{{if 1}}".repeat(50_000) + "{{end}}".repeat(50_000), {}),
    refused: /nested too deeply/,
  },
];

test.each(CASES)("$what", ({ read, refused }) => {
  let failure: unknown;
  try {
    read();
  } catch (error) {
    failure = error;
  }
  if (refused === undefined) expect(failure).toBeUndefined();
  else {
    expect(failure).toBeInstanceOf(CooperError);
    expect((failure as Error).message).toMatch(refused);
  }
});
