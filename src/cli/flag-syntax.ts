/** How a flag is written and what is to be known of it, for all that is made of the flag tables. */
import type { Flag, FlagTable } from "./command.ts";

const VALUES = { bool: "", string: "string", int: "number", list: "string", commaList: "string,…" };

/** What follows a flag's name: ` dir`, `[=policy]`, or nothing. */
export function flagValue(flag: Flag): string {
  const placeholder = flag.placeholder ?? VALUES[flag.type];
  if (placeholder === "") return "";
  return flag.bare === undefined ? ` ${placeholder}` : `[=${placeholder}]`;
}

/** `default "x"`, `repeatable`, `environment: X`. */
export function flagNotes(flag: Flag): string[] {
  const notes: string[] = [];
  if (flag.default !== undefined && flag.default !== false)
    notes.push(`default ${JSON.stringify(flag.default)}`);
  if (flag.type === "list" || flag.type === "commaList") notes.push("repeatable");
  if (flag.env !== undefined) notes.push(`environment: ${flag.env.join(", ")}`);
  return notes;
}

/** What a flag does, its notes in brackets behind it. */
export function flagHelp(flag: Flag): string {
  const notes = flagNotes(flag);
  return notes.length === 0 ? flag.help : `${flag.help} (${notes.join("; ")})`;
}

/** Flags that are shown, by name. */
export function shownFlags(flags: FlagTable): [string, Flag][] {
  return Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
