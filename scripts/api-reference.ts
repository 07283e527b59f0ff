/** docs/api.md: the functions and types of the library with their comments, read from the sources. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { REPOSITORY } from "./targets.ts";

const source = (path: string) => readFileSync(join(REPOSITORY, "src", path), "utf8");

interface Declared {
  name: string;
  comment: string;
  code: string;
}

/** The text of a comment as a paragraph. */
function prose(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, "")
    .replace(/^\s*\* ?/gm, "")
    .trim()
    .replaceAll("<", "\\<");
}

const COMMENT = String.raw`(?:(\/\*\*(?:[^*]|\*(?!\/))*\*\/)\n)?`;

/** A function's head, without its body. Throws where it is not there. */
function functionIn(path: string, name: string): Declared {
  const text = source(path);
  const found = new RegExp(`${COMMENT}export (?:async )?function\\*? ${name}\\(`).exec(text);
  if (found === null) throw new Error(`src/${path} has no function ${name}`);
  const begin = found.index + (found[1] === undefined ? 0 : found[1].length + 1);
  const end = endOfHead(text, begin + found[0].length - (begin - found.index));
  const head = text.slice(begin, end).trim();
  return { name, comment: prose(found[1] ?? ""), code: head.replace(/^export (async )?/, "") };
}

/** Where the head that continues at `at`, within the parameters, ends: before the brace of the body. */
function endOfHead(text: string, at: number): number {
  let depth = 1;
  for (let i = at; i < text.length; i++) {
    const character = text[i]!;
    if (character === "{" && depth === 0) return i;
    if ("([{<".includes(character)) depth++;
    else if (")]}".includes(character) || (character === ">" && text[i - 1] !== "=")) depth--;
  }
  throw new Error("a function without a body");
}

/** Interfaces, types and classes that a file exports, in its order; of a class its fields and heads. */
function typesIn(path: string): Declared[] {
  const text = source(path);
  const pattern = new RegExp(`^${COMMENT}export (?=(?:interface|type|class) (\\w+)\\b)`, "gm");
  return [...text.matchAll(pattern)]
    .map((match) => ({
      name: match[2]!,
      comment: prose(match[1] ?? ""),
      code: declarationAt(text, match.index + match[0].length),
    }))
    .map((one) => (one.code.startsWith("class") ? { ...one, code: withoutBodies(one.code) } : one));
}

/** A first line and what is indented below it. */
function declarationAt(text: string, at: number): string {
  const [first, ...rest] = text.slice(at).split("\n") as [string, ...string[]];
  const end = rest.findIndex((line) => line !== "" && !line.startsWith(" "));
  const below = rest.slice(0, rest[end]?.startsWith("}") ? end + 1 : end);
  return [first, ...below].join("\n").trimEnd();
}

function withoutBodies(code: string): string {
  return code.replace(/\) \{\n[\s\S]*?\n {2}\}/g, ");");
}

/** All types that a file exports: its own, and those that it takes from others. */
function exportedTypes(path: string): Declared[] {
  const text = source(path);
  const at = (specifier: string) => join(dirname(path), specifier);
  const named = [...text.matchAll(/^export (?:type )?\{([^}]+)\} from "([^"]+)";/gm)].flatMap(
    ([, list, specifier]) => {
      const there = exportedTypes(at(specifier!));
      return [...list!.matchAll(/(?:type )?(\w+)(?: as (\w+))?/g)].map(([, name, alias = name!]) =>
        renamed(there, name!, alias),
      );
    },
  );
  const whole = [...text.matchAll(/^export type \* from "([^"]+)";/gm)].flatMap(([, specifier]) =>
    exportedTypes(at(specifier!)),
  );
  const all = [...named, ...typesIn(path), ...whole];
  return all.filter(({ name }, i) => all.findIndex((one) => one.name === name) === i);
}

function renamed(types: Declared[], name: string, alias: string): Declared {
  const found = types.find((one) => one.name === name);
  if (found === undefined) throw new Error(`scripts/api-reference.ts does not see the type ${name}`);
  return { ...found, name: alias, code: found.code.replace(name, alias) };
}

/** What index.ts loads late: the module of each function. */
function lateFunctions(): Declared[] {
  const index = source("index.ts");
  const modules = new Map(
    [...index.matchAll(/^const (\w+) = \(\) => import\("\.\/([^"]+)"\);/gm)].map(([, name, path]) => [
      name!,
      path!,
    ]),
  );
  const own = [
    ...index.matchAll(
      /^export const (\w+) = late\(\s*(?:(\w+)|\(\) => import\("\.\/([^"]+)"\)),\s*"(\w+)",?\s*\);/gm,
    ),
  ];
  const found = own.map(([, name, module, path]) => functionIn(path ?? modules.get(module!)!, name!));
  const declared = [...index.matchAll(/^export const (\w+)/gm)].map(([, name]) => name!);
  const missing = declared.filter((name) => !found.some((one) => one.name === name));
  if (missing.length > 0) throw new Error(`scripts/api-reference.ts does not see ${missing.join(", ")}`);
  return [...found, functionIn("api/diff.ts", "diff"), functionIn("api/diff.ts", "exportRoot")];
}

function entry({ name, comment, code }: Declared): string {
  return `### ${name}\n\n${comment === "" ? "" : `${comment}\n\n`}\`\`\`ts\n${code}\n\`\`\`\n`;
}

/** Not for callers: the program's own ways into the library. */
const INTERNAL = ["leaveStore", "runSandboxInit", "openBuildLog", "BuildLog"];

/** The page. */
export function apiPage(): string {
  const functions = lateFunctions().filter(({ name }) => !INTERNAL.includes(name));
  const types = exportedTypes("index.ts").filter(({ name }) => !INTERNAL.includes(name));
  return [
    "<!-- Made by `npm run docs` from the comments in src; do not edit. -->",
    "# The library's functions and types",
    "",
    'What `import … from "cooper"` gives. [How to use it](library.md) has examples. Every function returns a promise, or what it yields one by one; each failure is a [CooperError](#coopererror).',
    "",
    "## Functions",
    "",
    ...functions.map(entry),
    "## Types",
    "",
    ...types.map(entry),
  ].join("\n");
}
