/** Writes docs/compatibility.md: every command and flag of Buildah 1.43, and what Cooper makes of it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { COMMAND_NAMES, loadCommand } from "../src/cli/catalog.ts";
import type { Flag, FlagTable } from "../src/cli/command.ts";
import { GLOBAL_FLAGS, UNSUPPORTED_GLOBALS } from "../src/cli/global-flags.ts";
import { commandRefusal, flagRefusal } from "../src/cli/refusals.ts";
import { DIFFERENCES, MANNERS } from "./compatibility-notes.ts";
import { flagUses, testsOf } from "./compatibility-tests.ts";

const FIXTURE = resolve(import.meta.dir, "../fixtures/buildah/flags-1.43.2.txt");
export const PAGE = resolve(import.meta.dir, "../docs/compatibility.md");

export interface BuildahFlag {
  name: string;
  short: string | undefined;
  kind: string;
  /** As the help tells it; a flag of most kinds has none. */
  default: string | undefined;
}

export interface Row {
  /** Empty for the program itself. */
  command: string;
  /** undefined: the command as such. */
  flag: BuildahFlag | undefined;
  status: "same" | "differs" | "refused";
  /** How it differs, why it is refused; for what is the same, the test that uses it. */
  note: string;
}

/** Flags of each command of Buildah, in the order of its help. */
export function buildahCommands(): Map<string, BuildahFlag[]> {
  const commands = new Map<string, BuildahFlag[]>();
  let flags: BuildahFlag[] = [];
  for (const line of readFileSync(FIXTURE, "utf8").split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const heading = /^\[(.*)\]$/.exec(line);
    if (heading !== null) {
      flags = [];
      commands.set(heading[1]!, flags);
      continue;
    }
    const [short, name, kind, fallback] = line.split("\t") as [string, string, string, string?];
    const own = ["[]", "false"].includes(fallback ?? "[]") ? undefined : fallback?.replace(/^"(.*)"$/, "$1");
    flags.push({ name: name.slice(2), short: short === "" ? undefined : short.slice(1), kind, default: own });
  }
  return commands;
}

interface Known {
  flags: FlagTable;
  unsupported: readonly string[];
}

async function known(command: string): Promise<Known | undefined> {
  // The program's --version is read before any command.
  const version = { version: { type: "bool", short: "v", help: "" } } as const;
  if (command === "") return { flags: { ...GLOBAL_FLAGS, ...version }, unsupported: UNSUPPORTED_GLOBALS };
  const [name, member] = command.split(" ") as [string, string | undefined];
  if (command === "help") return { flags: {}, unsupported: [] };
  const group = await loadCommand(name);
  const found = member === undefined ? group : (await group?.subcommands?.[member]?.())?.command;
  return found === undefined ? undefined : { flags: found.flags, unsupported: found.unsupported ?? [] };
}

/** One row for each command and flag. Throws where nobody has said what becomes of one, with all such. */
export async function compatibility(): Promise<Row[]> {
  const rows: Row[] = [];
  const unanswered: string[] = [];
  const uses = flagUses();
  const told = toldTests();
  for (const [command, flags] of buildahCommands()) {
    const table = await known(command);
    if (table === undefined) {
      const note = commandRefusal(command);
      if (note === undefined) unanswered.push(`Buildah's command "${command}" is neither there nor refused`);
      else for (const flag of [undefined, ...flags]) rows.push({ command, flag, status: "refused", note });
      continue;
    }
    if (command !== "") rows.push({ command, flag: undefined, status: "same", note: "" });
    for (const flag of flags) {
      const row = flagRow(command, flag, table);
      if (typeof row === "string") unanswered.push(row);
      else if (row.status !== "same") rows.push(row);
      else {
        const tests = testsOf(uses, command, flag);
        const before = told.get(`${command} ${flag.name}`);
        // The one that the page tells stays as long as it is one: other tests come and go.
        rows.push({ ...row, note: tests.find((test) => cellOf(test) === before) ?? tests[0] ?? "" });
      }
    }
  }
  if (unanswered.length > 0) throw new Error(unanswered.join("\n"));
  return rows;
}

/** Tests that the page as it is tells, by `COMMAND FLAG`. */
function toldTests(): Map<string, string> {
  const told = new Map<string, string>();
  let command = "";
  for (const line of existsSync(PAGE) ? readFileSync(PAGE, "utf8").split("\n") : []) {
    command = /^## buildah (.*)$/.exec(line)?.[1] ?? command;
    const [, flag, test] = /^\|.*`--([\w-]+)` \| same \| (.*) \|$/.exec(line) ?? [];
    if (flag !== undefined) told.set(`${command} ${flag}`, test!);
  }
  return told;
}

/** What becomes of a flag, or what is not known of it. */
function flagRow(command: string, flag: BuildahFlag, { flags, unsupported }: Known): Row | string {
  const key = `${command} ${flag.name}`;
  const own = flags[flag.name];
  if (own === undefined) {
    if (!unsupported.includes(flag.name)) return `Nobody says what becomes of Buildah's "${key}"`;
    return { command, flag, status: "refused", note: flagRefusal(flag.name) };
  }
  const difference = DIFFERENCES[key] ?? DIFFERENCES[`* ${flag.name}`];
  if (difference !== undefined && difference !== "same")
    return { command, flag, status: "differs", note: difference };
  const mismatch = mismatchOf(flag, own);
  if (mismatch !== undefined && difference === undefined)
    return `"${key}" is not what it is in Buildah: ${mismatch}`;
  return { command, flag, status: "same", note: "" };
}

const TYPES: Record<string, Flag["type"]> = {
  bool: "bool",
  int: "int",
  string: "string",
  stringArray: "list",
  strings: "commaList",
};

function mismatchOf(flag: BuildahFlag, own: Flag): string | undefined {
  if (flag.short !== undefined && flag.short !== own.short) return `-${flag.short} is missing`;
  const type = TYPES[flag.kind];
  if (type !== undefined && type !== own.type) return `${flag.kind} is read as ${own.type}`;
  if (type !== undefined && String(own.default ?? "") !== (flag.default ?? ""))
    return `its default is ${flag.default ?? "none"}, here ${own.default ?? "none"}`;
  return own.fixed;
}

/** Keys of the notes that no command of Buildah has. */
export function strayNotes(): string[] {
  const all = buildahCommands();
  const has = (name: string, command?: string) =>
    (command === undefined ? [...all.values()].flat() : (all.get(command) ?? [])).some(
      (flag) => flag.name === name,
    );
  const stray = (key: string) => {
    const at = key.lastIndexOf(" ");
    const name = key.slice(at + 1);
    return at === -1 || key.startsWith("* ") ? !has(name) : !has(name, key.slice(0, at));
  };
  return Object.keys(DIFFERENCES).filter(stray);
}

function section(command: string, rows: Row[]): string {
  const title = command === "" ? "Global flags" : `buildah ${command}`;
  const [first] = rows;
  if (first?.flag === undefined && first?.status === "refused")
    return `## ${title}\n\nRefused${listed(rows)}: ${first.note}.\n`;
  const flags = rows.filter(({ flag }) => flag !== undefined);
  if (flags.length === 0) return `## ${title}\n\nThe same; it has no flags.\n`;
  const lines = flags.map(({ flag, status, note }) => {
    const short = flag!.short === undefined ? "" : `\`-${flag!.short}\`, `;
    const cells = status === "same" ? ["same", cellOf(note)] : [`${status}: ${note}`, ""];
    return `| ${short}\`--${flag!.name}\` | ${cells.join(" | ")} |`;
  });
  return `## ${title}\n\n| flag | in Cooper | test |\n| --- | --- | --- |\n${lines.join("\n")}\n`;
}

/** A bar would end the cell. */
const cellOf = (text: string) => text.replaceAll("|", "\\|").replace(/^test\//, "");

/** Flags that go with their command. */
function listed(rows: Row[]): string {
  const names = rows.flatMap(({ flag }) => (flag === undefined ? [] : [`\`--${flag.name}\``]));
  return names.length === 0 ? "" : `, with its flags ${names.join(", ")}`;
}

/** The whole page. */
export async function compatibilityPage(): Promise<string> {
  const rows = await compatibility();
  const count = (status: Row["status"]) =>
    rows.filter((row) => row.flag !== undefined && row.status === status).length;
  const commands = [...new Set(rows.map(({ command }) => command))];
  const own = COMMAND_NAMES.filter((name) => !commands.includes(name)).map((name) => `\`${name}\``);
  return [
    "<!-- Made by scripts/compatibility.ts from the flag tables and fixtures/buildah; do not edit. -->",
    "# Compatibility with Buildah",
    "",
    `Every command and flag of Buildah 1.43.2, as its \`--help\` lists them: ${count("same")} flags are the same, ${count("differs")} differ, ${count("refused")} are refused. A refused flag is an error that names it; none is ignored. Behind each that is the same stands a test that uses it, one of often several: its file below test/ and its name.`,
    "",
    `Environment variables of Buildah that mean the same: \`BUILDAH_ISOLATION\`, \`BUILDAH_FORMAT\`, \`BUILDAH_LAYERS\`, \`BUILDAH_HISTORY\`, \`BUILDAH_RUNTIME\`, \`BUILDAH_CPPFLAGS\`, \`STORAGE_DRIVER\`, \`REGISTRY_AUTH_FILE\`, \`TMPDIR\`; \`COOPER_…\` comes before \`BUILDAH_…\`, and a flag before both. Stores are not shared: images go from one to the other by \`push\` and \`pull\` (\`oci-archive:\`, \`docker-archive:\`, a registry).`,
    "",
    `Commands that only Cooper has: ${own.join(", ")}.`,
    "",
    "Beside flags:",
    "",
    ...MANNERS.map((line) => `- ${line}.`),
    "",
    ...commands.map((command) =>
      section(
        command,
        rows.filter((row) => row.command === command),
      ),
    ),
  ].join("\n");
}

if (import.meta.main) writeFileSync(PAGE, await compatibilityPage());
