/** docs/reference/: a page for each command, made from the tables that parsing, help and manual pages use. */
import type { Command, FlagTable } from "../src/cli/command.ts";
import { loadAllCommands } from "../src/cli/catalog.ts";
import { flagHelp, flagValue, shownFlags } from "../src/cli/flag-syntax.ts";
import { GLOBAL_FLAGS } from "../src/cli/global-flags.ts";

const NOTE = "<!-- Made by `npm run docs` from the command's table in src/cli; do not edit. -->";

const fileName = (command: string) => `${command.replaceAll(" ", "-")}.md`;

/** Text in a cell or paragraph: what is meant as a character is not markup. */
function cell(text: string): string {
  return text
    .split("`")
    .map((part, i) =>
      i % 2 === 0 ? part.replace(/[|<>*_[\]]/g, "\\$&") : `\`${part.replaceAll("|", "\\|")}\``,
    )
    .join("");
}

function flagTable(flags: FlagTable): string {
  const rows = shownFlags(flags).map(([name, flag]) => {
    const short = flag.short === undefined ? "" : `\`-${flag.short}\`, `;
    return `| ${short}\`--${name}${flagValue(flag).replaceAll("|", "\\|")}\` | ${cell(flagHelp(flag))} |`;
  });
  return ["| flag | |", "| --- | --- |", ...rows].join("\n");
}

function commandList(commands: readonly Command[]): string {
  return commands
    .map(({ name, summary }) => `- [\`${name}\`](${fileName(name)}): ${cell(summary)}`)
    .join("\n");
}

function commandPage(command: Command, members: readonly Command[]): string {
  const { name, aliases = [], summary, usage, details = [], examples, flags } = command;
  const parts = [
    NOTE,
    `# cooper ${name}`,
    `${cell(summary)}.`,
    ...details.map(cell),
    `    cooper ${name} [FLAGS] ${usage}`.trimEnd(),
    ...(aliases.length === 0 ? [] : [`Other names: ${aliases.map((alias) => `\`${alias}\``).join(", ")}.`]),
    ...(members.length === 0 ? [] : [`## Commands\n\n${commandList(members)}`]),
    `## Examples\n\n${examples.map((line) => `    ${line}`).join("\n")}`,
    ...(shownFlags(flags).length === 0 ? [] : [`## Flags\n\n${flagTable(flags)}`]),
    "[Flags that every command takes](README.md#flags-of-every-command)",
  ];
  return `${parts.join("\n\n")}\n`;
}

function indexPage(commands: readonly Command[]): string {
  const parts = [
    NOTE,
    "# Commands",
    commandList(commands),
    `## Flags of every command\n\nBefore a command's name or after it.\n\n${flagTable(GLOBAL_FLAGS)}`,
    "## Exit status\n\n0 when everything was done; 125 when it was not, and standard error says why; the status of a command that failed in a container; 128 and the signal's number when a signal ended the program.",
  ];
  return `${parts.join("\n\n")}\n`;
}

/** Every page by its path below docs/. */
export async function referencePages(): Promise<Map<string, string>> {
  const commands = await loadAllCommands();
  const pages = new Map([["reference/README.md", indexPage(commands)]]);
  for (const command of commands) {
    const loads = Object.values(command.subcommands ?? {});
    const members = await Promise.all(loads.map(async (load) => (await load()).command));
    pages.set(`reference/${fileName(command.name)}`, commandPage(command, members));
    for (const member of members) pages.set(`reference/${fileName(member.name)}`, commandPage(member, []));
  }
  return pages;
}
