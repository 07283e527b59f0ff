/** Manual pages in man(7), made from the tables that parsing and help use. */
import type { Command, FlagTable } from "./command.ts";
import { flagHelp, flagValue, shownFlags } from "./flag-syntax.ts";

export interface ManPageOptions {
  program: string;
  version: string;
  /** `2026-11-21`; without one the page has none. */
  date?: string;
}

/** Text as troff takes it: no character of it is a request, an escape or a hyphen that breaks. */
function text(plain: string): string {
  return plain
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "\\&...")
    .replace(/^(['.])/gm, "\\&$1")
    .replace(
      /[^\x00-\x7f]/gu,
      (character) => `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

/** Prose, where backquotes mark what is typed. */
function prose(plain: string): string {
  return plain
    .split("`")
    .map((part, i) => (i % 2 === 0 ? text(part) : `\\fB${text(part)}\\fP`))
    .join("")
    .replace(/^(['.])/gm, "\\&$1");
}

/** A reference to a page of ours: `cooper-build(1)`. */
function pageReference(program: string, name: string): string {
  return `\\fB${text(manPageName(program, name))}\\fP(1)`;
}

/** `cooper-manifest-add` for `manifest add`. */
export function manPageName(program: string, command: string): string {
  return command === "" ? program : `${program}-${command.replaceAll(" ", "-")}`;
}

function header(name: string, { program, version, date = "" }: ManPageOptions): string {
  const title = program[0]!.toUpperCase() + program.slice(1);
  return `.TH ${name.toUpperCase().replaceAll("-", "\\-")} 1 "${date}" "${title} ${version}" "${title} Manual"\n.ad l\n.nh`;
}

function flagParagraphs(flags: FlagTable): string[] {
  return shownFlags(flags).flatMap(([name, flag]) => {
    const short = flag.short === undefined ? "" : `\\fB\\-${flag.short}\\fP, `;
    const value = flagValue(flag).replace(/[\w./:|-]+(?:…)?/, (word) => `\0${word}\0`);
    const [before, word = "", after = ""] = value.split("\0") as [string, string?, string?];
    const shown = word === "" ? "" : `${text(before)}\\fI${text(word)}\\fP${text(after)}`;
    return [".TP", `${short}\\fB\\-\\-${text(name)}\\fP${shown}`, prose(flagHelp(flag))];
  });
}

function examples(all: string[]): string[] {
  return all.flatMap((line, i) => [...(i === 0 ? [] : [".PP"]), ".nf", ".RS 4", text(line), ".RE", ".fi"]);
}

const EXIT_STATUS = [
  ".SH EXIT STATUS",
  ".TP",
  "0",
  "Everything was done.",
  ".TP",
  "125",
  "It was not, and standard error says why.",
  ".TP",
  "other",
  "The status of a command that failed in a container, or 128 and the number of the signal that ended the program.",
];

/** The page of one command. `members` are a group's. */
export function commandManPage(command: Command, members: Command[], options: ManPageOptions): string {
  const { program } = options;
  const page = manPageName(program, command.name);
  const flags = shownFlags(command.flags).length === 0 ? [] : [" [\\fIFLAGS\\fP]"];
  const usage = command.usage === "" ? "" : ` ${text(command.usage)}`;
  const parent = command.name.includes(" ") ? [command.name.split(" ")[0]!] : [];
  const names = [page, ...(command.aliases ?? []).map((alias) => manPageName(program, alias))];
  return lines([
    header(page, options),
    ".SH NAME",
    `${names.map(text).join(", ")} \\- ${text(command.summary[0]!.toLowerCase() + command.summary.slice(1))}`,
    ".SH SYNOPSIS",
    `\\fB${text(`${program} ${command.name}`)}\\fP${flags.join("")}${usage}`,
    ...(command.aliases ?? []).flatMap((alias) => [
      ".br",
      `\\fB${text(`${program} ${alias}`)}\\fP${flags.join("")}${usage}`,
    ]),
    ".SH DESCRIPTION",
    ...[`${command.summary}.`, ...(command.details ?? [])].flatMap((paragraph, i) => [
      ...(i === 0 ? [] : [".PP"]),
      prose(paragraph),
    ]),
    ...memberParagraphs(members, options),
    ...(flags.length === 0 ? [] : [".SH OPTIONS", ...flagParagraphs(command.flags)]),
    ...(members.length > 0 ? [] : globalNote(program, flags.length > 0)),
    ".SH EXAMPLES",
    ...examples(command.examples),
    ...EXIT_STATUS,
    ".SH SEE ALSO",
    [pageReference(program, ""), ...parent.map((name) => pageReference(program, name))].join(", "),
  ]);
}

function globalNote(program: string, others: boolean): string[] {
  const note = ["Options that every command has are in", `${pageReference(program, "")}.`];
  return others ? [".PP", ...note] : [".SH OPTIONS", ...note];
}

function memberParagraphs(members: Command[], { program }: ManPageOptions): string[] {
  if (members.length === 0) return [];
  const rows = members.flatMap(({ name, summary }) => [
    ".TP",
    pageReference(program, name),
    `${prose(summary)}.`,
  ]);
  return [".SH COMMANDS", ...rows];
}

/** The program's own page. */
export function programManPage(commands: Command[], globals: FlagTable, options: ManPageOptions): string {
  const { program } = options;
  return lines([
    header(program, options),
    ".SH NAME",
    `${program} \\- build OCI images without a daemon and without root`,
    ".SH SYNOPSIS",
    `\\fB${program}\\fP [\\fIFLAGS\\fP] \\fICOMMAND\\fP [\\fIARGUMENTS\\fP]`,
    ".SH DESCRIPTION",
    "Builds images from Dockerfiles, and lets scripts build them with the tools of the host: a working container is",
    "made from an image, mounted or run in, and committed.",
    "The command line is Buildah's; a script moves over by changing one word.",
    ...memberParagraphs(commands, options),
    ".SH OPTIONS",
    "These are taken before a command's name and after it.",
    ...flagParagraphs(globals),
    ...EXIT_STATUS,
    ".SH FILES",
    ".TP",
    text("/var/lib/cooper, ~/.local/share/cooper"),
    "Images and containers, of root and of other users.",
    ".TP",
    text("/etc/containers/registries.conf, policy.json"),
    "Which registries are asked, and what is taken from them.",
    ".TP",
    text("/etc/subuid, /etc/subgid"),
    "Ranges of ids that a user's containers have.",
    ".SH SEE ALSO",
    "\\fBcrun\\fP(1), \\fBnewuidmap\\fP(1), \\fBpasst\\fP(1), \\fBsubuid\\fP(5), \\fBcontainers\\-registries.conf\\fP(5)",
  ]);
}

function lines(all: string[]): string {
  return `${all.join("\n")}\n`;
}
