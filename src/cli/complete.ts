/** What may stand where a command line ends: asked by the shells' completion scripts (completion.ts) at each Tab. */
import { loadAllCommands, loadCommand } from "./catalog.ts";
import type { Command, Flag, FlagTable } from "./command.ts";
import { shownFlags } from "./flag-syntax.ts";
import { GLOBAL_FLAGS, globalValues } from "./global-flags.ts";
import { plainText } from "./plain-text.ts";
import { parseFlags } from "./parse-flags.ts";

export interface Candidate {
  text: string;
  /** What it is or does. */
  about: string;
}

export interface Completion {
  candidates: Candidate[];
  /** Files fit as well. */
  files: boolean;
}

/** What of the store has names that fit. */
type NameKind = "containers" | "images";

/** Names of the store that the flags of a line name. */
export type ListNames = (kind: NameKind, globals: string[]) => Promise<Candidate[]>;

/** A line as far as it goes. */
interface Line {
  command: Command | undefined;
  /** Words that are global flags with their values. */
  globals: string[];
  args: string[];
  /** The flag that the last word is the value of. */
  pending: Flag | undefined;
  /** Nothing that follows is a flag. */
  flagsEnded: boolean;
}

const nothing: Completion = { candidates: [], files: false };

/** Completes the last of the words that stand behind the program's name. Nothing here fails: it gives nothing then. */
export async function complete(words: string[], listNames: ListNames): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const line = await readLine(words.slice(0, -1));
  const found = await fitting(line, current, listNames);
  return { ...found, candidates: found.candidates.filter(({ text }) => text.startsWith(current)) };
}

/** As the scripts read it: `TEXT<tab>ABOUT` on each line, and `:files` or `:done` on the last. */
export function completionLines({ candidates, files }: Completion): string {
  const oneLine = (text: string) => plainText(text).replace(/[\t\n]/g, " ");
  const lines = candidates.map(({ text, about }) => `${oneLine(text)}\t${oneLine(about)}\n`);
  return `${lines.join("")}${files ? ":files" : ":done"}\n`;
}

async function readLine(words: string[]): Promise<Line> {
  const line: Line = { command: undefined, globals: [], args: [], pending: undefined, flagsEnded: false };
  for (const word of words) {
    if (line.pending !== undefined) {
      if (isGlobal(line.pending)) line.globals.push(word);
      line.pending = undefined;
    } else if (line.flagsEnded || word === "-" || !word.startsWith("-")) await readArgument(line, word);
    else if (word === "--") line.flagsEnded = true;
    else readFlag(line, word);
  }
  return line;
}

async function readArgument(line: Line, word: string): Promise<void> {
  const { command } = line;
  if (command === undefined) line.command = (await loadCommand(word)) ?? UNKNOWN;
  else if (command.subcommands !== undefined)
    line.command = (await command.subcommands[word]?.())?.command ?? UNKNOWN;
  else {
    line.args.push(word);
    line.flagsEnded = true;
  }
}

/** For which there is nothing to say but files. */
const UNKNOWN: Command = {
  name: "",
  summary: "",
  usage: "FILE…",
  flags: {},
  examples: [],
  run: () => undefined,
};

function readFlag(line: Line, word: string): void {
  const [name] = word.split("=", 1) as [string];
  const flag = flagOf(line, name);
  if (flag === undefined) return;
  if (isGlobal(flag)) line.globals.push(word);
  if (takesValue(flag) && name === word) line.pending = flag;
}

/** By `--name`, or by the last of `-xyz`. */
function flagOf({ command }: Line, name: string): Flag | undefined {
  const all: FlagTable = { ...GLOBAL_FLAGS, ...command?.flags };
  const long = name.slice(2);
  if (name.startsWith("--")) return Object.hasOwn(all, long) ? all[long] : undefined;
  return Object.values(all).find(({ short }) => short === name.at(-1));
}

const isGlobal = (flag: Flag) => Object.values<Flag>(GLOBAL_FLAGS).includes(flag);
const takesValue = ({ type, bare }: Flag) => type !== "bool" && bare === undefined;

async function fitting(line: Line, current: string, listNames: ListNames): Promise<Completion> {
  const { command, pending, flagsEnded } = line;
  if (pending !== undefined) return await valuesOf(pending, line, "", listNames);
  if (current.startsWith("-") && !flagsEnded) {
    const [name] = current.split("=", 1) as [string];
    const flag = name === current ? undefined : flagOf(line, name);
    if (flag !== undefined) return await valuesOf(flag, line, `${name}=`, listNames);
    return { candidates: flagCandidates(command, current), files: false };
  }
  if (command === undefined) return { candidates: await commandCandidates(), files: false };
  if (command.subcommands !== undefined) {
    const members = await Promise.all(
      Object.entries(command.subcommands).map(async ([text, load]) => ({
        text,
        about: (await load()).command.summary,
      })),
    );
    return { candidates: members, files: false };
  }
  return await argumentFits(line, listNames);
}

function flagCandidates(command: Command | undefined, current: string): Candidate[] {
  const all: FlagTable = { ...GLOBAL_FLAGS, ...command?.flags };
  const flags = shownFlags(all).flatMap(([name, { short, help: about }]) => [
    { text: `--${name}`, about },
    // Offered for a dash alone.
    ...(short === undefined || current.length > 2 ? [] : [{ text: `-${short}`, about }]),
  ]);
  const version = { text: "--version", about: "show the version" };
  return [...flags, { text: "--help", about: "show this help" }, ...(command === undefined ? [version] : [])];
}

async function commandCandidates(): Promise<Candidate[]> {
  const commands = (await loadAllCommands()).flatMap(({ name, aliases = [], summary: about }) =>
    [name, ...aliases].map((text) => ({ text, about })),
  );
  return [...commands, { text: "help", about: "show the help" }];
}

/** Placeholders of values that are names of the store, or files. */
const VALUE_KINDS: [placeholder: RegExp, kinds: NameKind[], files: boolean][] = [
  [/^(?:image|list)$/, ["images"], false],
  [/^container\|image$/, ["containers", "images"], false],
  [/\]container$/, ["containers"], false],
  [/file|dir|^path|place|host:container/, [], true],
];

async function valuesOf(flag: Flag, line: Line, before: string, listNames: ListNames): Promise<Completion> {
  const { type, placeholder = "" } = flag;
  const literal = (text: string) => ({ text: `${before}${text}`, about: "" });
  if (type === "bool") return { candidates: ["true", "false"].map(literal), files: false };
  const [, kinds, files] = VALUE_KINDS.find(([pattern]) => pattern.test(placeholder)) ?? [];
  if (kinds === undefined) return { candidates: alternatives(placeholder).map(literal), files: false };
  const names = await Promise.all(kinds.map((kind) => listNames(kind, line.globals)));
  const candidates = names.flat().map(({ text, about }) => ({ text: before + text, about }));
  return { candidates, files: files ?? false };
}

/** Of `a|b|ns:path` those that are no names for something else; none of what is no choice. */
function alternatives(placeholder: string): string[] {
  const all = placeholder.split("|");
  return all.length === 1 ? [] : all.filter((one) => /^[a-z][a-z-]*$/.test(one));
}

/** What an argument is, by the word in the usage line that stands for it. */
const ARGUMENT_FILES = /^(?:CONTEXT|SOURCE|DESTINATION|PATH|FILE|COMMAND|ARG)|\bPATH\b/;

async function argumentFits({ command, args, globals }: Line, listNames: ListNames): Promise<Completion> {
  const { name, usage } = command!;
  const places = usage
    .split(" | ")[0]!
    .split(/[ []+/)
    .map((word) => word.replace(/[\]]+$/, ""));
  const named = places.filter((word) => /\w/.test(word));
  const place = placeAt(named, args.length);
  if (place === undefined) return nothing;
  const choice = alternatives(place);
  if (choice.length > 0) return { candidates: choice.map((text) => ({ text, about: "" })), files: false };
  if (name === "man") return { candidates: await commandCandidates(), files: false };
  const kinds: NameKind[] = [];
  if (/CONTAINER/.test(place)) kinds.push("containers");
  if (/IMAGE|LIST/.test(place)) kinds.push("images");
  const names = (await Promise.all(kinds.map((kind) => listNames(kind, globals)))).flat();
  return {
    candidates: names.filter(({ text }) => !args.includes(text)),
    files: kinds.length === 0 && ARGUMENT_FILES.test(place),
  };
}

/** The word for an argument; one with `…` stands for any number, and so the one behind it may come any time. */
function placeAt(places: string[], at: number): string | undefined {
  const repeated = places.findIndex((word) => word.endsWith("…"));
  return repeated === -1 ? places[at] : places[Math.min(at, repeated)];
}

/** From the store. */
export const listStoreNames: ListNames = async (kind, words) => {
  try {
    const { root, runRoot, driver } = globalValues(parseFlags(words, { flags: GLOBAL_FLAGS }).values);
    const { leaveStore, listContainers, listImages, openStore } = await import("../index.ts");
    const store = await openStore({
      ...(root === undefined ? {} : { root }),
      ...(runRoot === undefined ? {} : { runRoot }),
      ...(driver === undefined ? {} : { driver }),
    });
    try {
      if (kind === "containers") {
        const containers = await listContainers(store);
        return containers.map(({ name, imageName = "scratch" }) => ({
          text: name,
          about: `from ${imageName}`,
        }));
      }
      const images = await listImages(store);
      return images.flatMap(({ id, names, isList }) =>
        names.map((text) => ({ text, about: `${isList ? "list" : "image"} ${id.slice(0, 12)}` })),
      );
    } finally {
      await leaveStore(store);
    }
  } catch {
    return [];
  }
};
