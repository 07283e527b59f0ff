/** One logical line → one Instruction, checked as far as that goes without variables. */
import { CooperError } from "../base/errors.ts";
import { parseFlags } from "./flags.ts";
import { heredocOrUndefined, heredocsOfLine, type HeredocStart, stripLeadingTabs } from "./heredoc.ts";
import type {
  CommandLine,
  EscapeToken,
  Heredoc,
  InlineFile,
  Instruction,
  InstructionSource,
} from "./instruction.ts";
import { jsonForm } from "./json-form.ts";
import { type Keyword, keywordNames, keywordOf } from "./keywords.ts";
import { parseHealthcheck } from "./parse-healthcheck.ts";
import { trim } from "./spaces.ts";
import { nearHint } from "./suggest.ts";
import { keyValues, plainWords, quotedWords, splitLine } from "./words.ts";

/** A logical line on its way to an instruction. */
export interface ParseInput {
  source: InstructionSource;
  keyword: Keyword;
  flags: string[];
  /** Arguments behind the flags, trimmed. */
  rest: string;
  heredocs: Heredoc[];
  escapeToken: EscapeToken;
}

/** Reads the bodies of the here-documents that a line announces. Throws `invalid` when one does not end. */
export type HeredocReader = (starts: HeredocStart[]) => Heredoc[];

/** Parses a logical line. Throws `invalid` without a location. */
export function parseInstruction(
  source: InstructionSource,
  escapeToken: EscapeToken,
  readBodies: HeredocReader,
): Instruction {
  const { keyword: word, flags, rest } = splitLine(source.text, escapeToken);
  const keyword = keywordOf(word);
  if (keyword === undefined) throw unknownInstruction(word);
  const heredocs = announced(source.text, keyword, rest, escapeToken);
  return parse({
    source,
    keyword,
    flags,
    rest,
    heredocs: heredocs.length === 0 ? [] : readBodies(heredocs),
    escapeToken,
  });
}

function unknownInstruction(word: string): CooperError {
  const hint =
    nearHint(word, keywordNames()) ??
    "Instructions are FROM, RUN, COPY, ADD, ENV, ARG, WORKDIR, USER and the like";
  return new CooperError("invalid", `Unknown instruction "${word}"`, { hint });
}

/** RUN, COPY and ADD may have here-documents, in shell form, also below ONBUILD. */
function announced(text: string, keyword: Keyword, rest: string, escapeToken: EscapeToken): HeredocStart[] {
  if (!text.includes("<<")) return [];
  if (keyword === "onbuild") {
    const inner = splitLine(rest, escapeToken);
    const innerKeyword = keywordOf(inner.keyword);
    if (innerKeyword === undefined || innerKeyword === "onbuild") return [];
    return mayHaveHeredocs(innerKeyword, inner.rest) ? heredocsOfLine(text) : [];
  }
  return mayHaveHeredocs(keyword, rest) ? heredocsOfLine(text) : [];
}

function mayHaveHeredocs(keyword: Keyword, rest: string): boolean {
  return (keyword === "run" || keyword === "copy" || keyword === "add") && jsonForm(rest) === undefined;
}

function parse(input: ParseInput): Instruction {
  const { source, rest } = input;
  switch (input.keyword) {
    case "from":
      return parseFrom(input);
    case "run":
      return parseRun(input);
    case "copy":
    case "add":
      return parseCopy(input, input.keyword);
    case "env":
    case "label":
      noFlags(input);
      return {
        kind: input.keyword,
        ...source,
        pairs: keyValues(rest, input.escapeToken, source.keyword.toUpperCase()),
      };
    case "arg":
      return parseArg(input);
    case "workdir":
      noFlags(input);
      return { kind: "workdir", ...source, path: oneArgument(input) };
    case "user":
      noFlags(input);
      return { kind: "user", ...source, user: oneArgument(input) };
    case "expose":
      noFlags(input);
      return { kind: "expose", ...source, ports: atLeastOne(plainWords(rest), "EXPOSE").toSorted(byText) };
    case "volume":
      return parseVolume(input);
    case "cmd":
    case "entrypoint":
      noFlags(input);
      return { kind: input.keyword, ...source, command: commandLine(input) };
    case "shell":
      return parseShell(input);
    case "stopsignal":
      // BuildKit does not look at the flags of this one.
      return { kind: "stopsignal", ...source, signal: oneArgument(input) };
    case "healthcheck":
      return parseHealthcheck(input);
    case "onbuild":
      return parseOnbuild(input);
    case "maintainer":
      noFlags(input);
      return { kind: "maintainer", ...source, author: oneArgument(input) };
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function noFlags(input: ParseInput): void {
  parseFlags(input.flags, {}, input.keyword.toUpperCase());
}

function oneArgument(input: ParseInput): string {
  if (input.rest === "")
    throw new CooperError("invalid", `${input.keyword.toUpperCase()} requires exactly one argument`);
  return input.rest;
}

function atLeastOne<T>(list: T[], keyword: string): T[] {
  if (list.length === 0) throw new CooperError("invalid", `${keyword} requires at least one argument`);
  return list;
}

function commandLine(input: ParseInput): CommandLine {
  const argv = jsonForm(input.rest);
  if (argv !== undefined) return { form: "exec", argv };
  return { form: "shell", text: input.rest, heredocs: input.heredocs };
}

const STAGE_NAME = /^[a-z][a-z0-9\-_.]*$/;

function parseFrom(input: ParseInput): Instruction {
  const words = plainWords(input.rest);
  const [base, as, name] = words;
  if (base === undefined || (words.length !== 1 && !(words.length === 3 && as!.toLowerCase() === "as"))) {
    throw new CooperError("invalid", "FROM requires either one or three arguments", {
      hint: "Write FROM IMAGE or FROM IMAGE AS NAME",
    });
  }
  if (name !== undefined && !STAGE_NAME.test(name.toLowerCase())) {
    throw new CooperError("invalid", `Invalid name for a build stage: "${name}"`, {
      hint: "A name begins with a letter and has only letters, digits, and the characters - _ .",
    });
  }
  const { platform } = parseFlags(input.flags, { platform: "text" }, "FROM");
  return {
    kind: "from",
    ...input.source,
    base,
    name: name?.toLowerCase(),
    platform: platform === "" ? undefined : platform,
  };
}

const RUN_FLAGS = { mount: "list", network: "text", security: "text", device: "list" } as const;

function parseRun(input: ParseInput): Instruction {
  const flags = parseFlags(input.flags, RUN_FLAGS, "RUN");
  return {
    kind: "run",
    ...input.source,
    command: commandLine(input),
    mounts: flags.mount,
    network: oneOf("network", flags.network, ["default", "none", "host"] as const),
    security: oneOf("security", flags.security, ["sandbox", "insecure"] as const),
    devices: flags.device,
  };
}

/** One of the allowed values of a flag; the first is the default. */
function oneOf<T extends string>(flag: string, value: string | undefined, allowed: readonly [T, ...T[]]): T {
  if (value === undefined) return allowed[0];
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new CooperError("invalid", `Flag --${flag} of RUN cannot be "${value}"`, {
    hint: nearHint(value, allowed) ?? `It can be ${allowed.join(", ")}`,
  });
}

const COPY_FLAGS = {
  chown: "text",
  from: "text",
  chmod: "text",
  link: "bool",
  exclude: "list",
  parents: "bool",
} as const;
const ADD_FLAGS = {
  chown: "text",
  chmod: "text",
  link: "bool",
  "keep-git-dir": "bool",
  checksum: "text",
  unpack: "bool",
  exclude: "list",
} as const;

function parseCopy(input: ParseInput, kind: "copy" | "add"): Instruction {
  const keyword = kind.toUpperCase();
  const words = jsonForm(input.rest) ?? plainWords(input.rest);
  if (words.length < 2) {
    throw new CooperError("invalid", `${keyword} requires at least two arguments: sources and a destination`);
  }
  const files = sourcesAndDestination(words, input.heredocs, keyword);
  if (kind === "copy") {
    const { link, parents, ...flags } = parseFlags(input.flags, COPY_FLAGS, keyword);
    return {
      kind,
      ...input.source,
      ...files,
      ...blankIsAbsent(flags),
      exclude: flags.exclude,
      link: link === true,
      parents: parents === true,
    };
  }
  const { link, unpack, "keep-git-dir": keepGitDir, ...flags } = parseFlags(input.flags, ADD_FLAGS, keyword);
  return {
    kind,
    ...input.source,
    ...files,
    ...blankIsAbsent(flags),
    exclude: flags.exclude,
    link: link === true,
    unpack,
    keepGitDir,
  };
}

/** An empty `--chown=` is as good as none. */
function blankIsAbsent<T extends Record<string, unknown>>(flags: T): T {
  for (const name of Object.keys(flags)) if (flags[name] === "") Object.assign(flags, { [name]: undefined });
  return flags;
}

function sourcesAndDestination(words: string[], heredocs: Heredoc[], keyword: string) {
  const destination = words.at(-1)!;
  if (heredocOrUndefined(destination) !== undefined) {
    throw new CooperError("invalid", `${keyword} cannot have a here-document as its destination`);
  }
  const sources: string[] = [];
  const inline: InlineFile[] = [];
  for (const word of words.slice(0, -1)) {
    const start = heredocOrUndefined(word);
    if (start === undefined) sources.push(word);
    else inline.push(inlineFile(start, heredocs));
  }
  return { sources, inline, destination };
}

/** Of two bodies with one name the last counts for both (as in BuildKit). */
function inlineFile(start: HeredocStart, heredocs: Heredoc[]): InlineFile {
  const content = heredocs.findLast((heredoc) => heredoc.name === start.name)?.content ?? "";
  return {
    name: start.name,
    content: start.stripTabs ? stripLeadingTabs(content) : content,
    expand: start.expand,
  };
}

function parseArg(input: ParseInput): Instruction {
  noFlags(input);
  const words = atLeastOne(quotedWords(input.rest, input.escapeToken), "ARG");
  const args = words.map((word) => {
    const sign = word.indexOf("=");
    if (sign === 0) throw new CooperError("invalid", "ARG names cannot be blank");
    return sign === -1
      ? { name: word, value: undefined }
      : { name: word.slice(0, sign), value: word.slice(sign + 1) };
  });
  return { kind: "arg", ...input.source, args };
}

function parseVolume(input: ParseInput): Instruction {
  noFlags(input);
  const words = atLeastOne(jsonForm(input.rest) ?? plainWords(input.rest), "VOLUME");
  const paths = words.map(trim);
  if (paths.includes("")) throw new CooperError("invalid", "VOLUME cannot be an empty string");
  return { kind: "volume", ...input.source, paths };
}

function parseShell(input: ParseInput): Instruction {
  noFlags(input);
  const argv = jsonForm(input.rest);
  if (argv === undefined && input.rest !== "") {
    throw new CooperError("invalid", "SHELL requires its arguments in JSON form", {
      hint: `Write SHELL ["/bin/sh", "-c"]`,
    });
  }
  return { kind: "shell", ...input.source, argv: atLeastOne(argv ?? [], "SHELL") };
}

function parseOnbuild(input: ParseInput): Instruction {
  noFlags(input);
  if (input.rest === "") throw new CooperError("invalid", "ONBUILD requires at least one argument");
  const inner = splitLine(input.rest, input.escapeToken).keyword.toUpperCase();
  if (inner === "ONBUILD") throw new CooperError("invalid", "ONBUILD cannot be the trigger of an ONBUILD");
  if (inner === "FROM" || inner === "MAINTAINER")
    throw new CooperError("invalid", `${inner} cannot be the trigger of an ONBUILD`);
  checkJsonForm(input.rest, input.escapeToken);
  const parts = [input.source.text.replace(/^\s*ONBUILD\s*/i, "")];
  for (const { name, content } of input.heredocs) parts.push(`\n${content}${name}`);
  return { kind: "onbuild", ...input.source, trigger: parts.join("") };
}

/**
 * Of what the trigger itself may have wrong BuildKit sees only the words at this time: JSON of other things than
 * strings, pairs without `=`. The rest is found where the trigger runs.
 */
function checkJsonForm(text: string, escapeToken: EscapeToken): void {
  const { keyword, rest } = splitLine(text, escapeToken);
  const inner = keywordOf(keyword);
  if (inner === "env" || inner === "label") {
    if (rest !== "") keyValues(rest, escapeToken, keyword.toUpperCase());
  } else if (inner !== undefined && JSON_KEYWORDS.has(inner)) jsonForm(rest);
}

const JSON_KEYWORDS: ReadonlySet<Keyword> = new Set([
  "run",
  "cmd",
  "entrypoint",
  "shell",
  "copy",
  "add",
  "volume",
]);
