/** Help texts, made from the commands' tables. */
import type { Command, Flag, FlagTable } from "./command.ts";
import { flagHelp, flagValue, shownFlags } from "./flag-syntax.ts";

/** Columns of a help text where there is room for them. */
export const WIDTH = 100;

/** Lines of a flag table: `-q, --quiet   help (default x)`. */
export function flagLines(flags: FlagTable, width = WIDTH): string[] {
  const rows = shownFlags(flags).map(([name, flag]) => ({
    left: flagName(name, flag),
    help: flagHelp(flag),
  }));
  rows.push({ left: "  -h, --help", help: "show this help" });
  const column = Math.min(width < WIDTH ? 32 : 44, Math.max(...rows.map((row) => row.left.length))) + 3;
  return rows.flatMap(({ left, help }) => {
    const text = wrap(help, Math.max(30, width - column));
    const first =
      left.length + 3 > column ? [left, " ".repeat(column) + text[0]] : [left.padEnd(column) + text[0]];
    return [...first, ...text.slice(1).map((line) => " ".repeat(column) + line)];
  });
}

function flagName(name: string, flag: Flag): string {
  const short = flag.short === undefined ? "      " : `  -${flag.short}, `;
  return `${short}--${name}${flagValue(flag)}`;
}

/** Breaks a text into lines of at most `width` characters, at spaces. */
export function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1]!;
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

/** `cooper COMMAND --help`. */
export function commandHelp(
  program: string,
  command: Command,
  globals: FlagTable,
  members: Command[] = [],
  width = WIDTH,
): string {
  const usage = [`${program} ${command.name}`, "[FLAGS]", command.usage]
    .filter((part) => part !== "")
    .join(" ");
  const names = [command.name, ...(command.aliases ?? [])];
  const parts = [
    `${command.summary}.`,
    ...(command.details ?? []).map((paragraph) => wrap(paragraph, width).join("\n")),
    `Usage:\n  ${usage}`,
    ...(names.length > 1 ? [`Aliases:\n  ${names.join(", ")}`] : []),
    ...(members.length > 0 ? [`Commands:\n${summaries(members, width).join("\n")}`] : []),
    `Examples:\n${command.examples.map((line) => `  ${line.replace(/^cooper\b/, program)}`).join("\n")}`,
    `Flags:\n${flagLines(command.flags, width).join("\n")}`,
    `Global flags:\n${flagLines(globals, width).slice(0, -1).join("\n")}`,
  ];
  return `${parts.join("\n\n")}\n`;
}

function summaries(commands: Command[], width: number): string[] {
  const column = Math.max(...commands.map((command) => command.name.length)) + 5;
  return commands.flatMap(({ name, summary }) => {
    const [first, ...rest] = wrap(summary, Math.max(30, width - column));
    return [`  ${name}`.padEnd(column) + first, ...rest.map((line) => " ".repeat(column) + line)];
  });
}

/** `cooper --help`. */
export function programHelp(program: string, commands: Command[], globals: FlagTable, width = WIDTH): string {
  const lines = summaries(commands, width);
  return [
    "Builds OCI images without a daemon and without root.",
    "",
    `Usage:\n  ${program} [FLAGS] COMMAND`,
    "",
    `Commands:\n${lines.join("\n")}`,
    "",
    `Flags:\n${flagLines(globals, width).join("\n")}`,
    "",
    `"${program} COMMAND --help" tells more about a command.`,
    "",
  ].join("\n");
}
