/** `# name=value` lines at the head of a Dockerfile (Dockerfile reference, "Parser directives"). */
import { CooperError } from "../base/errors.ts";
import type { Directives, EscapeToken } from "./instruction.ts";
import { trimStart } from "./spaces.ts";

const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/s;

type Name = "escape" | "syntax" | "check";

/**
 * Takes the lines of a file one by one. The first line that is no directive, be it empty or a plain comment, ends
 * them: what follows is a comment, however it looks.
 */
export class DirectiveReader {
  readonly directives: Directives = { escapeToken: "\\", syntax: undefined, check: undefined };
  #seen = new Set<Name>();
  #done = false;

  /** Whether the line (without blanks before it) was a directive. Throws `invalid` for a repeated or impossible one. */
  read(line: string): boolean {
    if (this.#done) return false;
    const match = line.startsWith("#") ? DIRECTIVE.exec(trimStart(line.slice(1))) : null;
    const name = match?.[1]?.toLowerCase();
    if (match === null || (name !== "escape" && name !== "syntax" && name !== "check")) {
      this.#done = true;
      return false;
    }
    if (this.#seen.has(name)) throw new CooperError("invalid", `The directive "${name}" is given twice`);
    this.#seen.add(name);
    this.#set(name, match[2]!);
    return true;
  }

  #set(name: Name, value: string): void {
    if (name === "escape") this.directives.escapeToken = parseEscape(value);
    else this.directives[name] = value;
  }
}

function parseEscape(value: string): EscapeToken {
  if (value === "\\" || value === "`") return value;
  throw new CooperError("invalid", `Invalid escape character "${value}"`, { hint: "It can be \\ or `" });
}

/**
 * `# syntax` and `# check` are also read below a `#!` line, which ends the directives for the parser itself
 * (BuildKit looks for the two separately).
 */
export function readBelowShebang(text: string, directives: Directives): void {
  if (!text.startsWith("#!")) return;
  const reader = new DirectiveReader();
  for (const line of text.split("\n").slice(1, 8)) {
    try {
      if (!reader.read(line.replace(/\r+$/, ""))) break;
    } catch {
      break;
    }
  }
  directives.syntax ??= reader.directives.syntax;
  directives.check ??= reader.directives.check;
}
