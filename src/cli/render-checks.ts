/** What `build --check` prints: the words of `docker build --check`. */
import { readFileSync } from "node:fs";
import type { CheckWarning } from "../index.ts";
import { plainText } from "./plain-text.ts";

/** Text for standard output, ending in a newline. */
export function renderChecks(warnings: readonly CheckWarning[]): string {
  if (warnings.length === 0) return "Check complete, no warnings found.\n";
  const many = warnings.length === 1 ? "1 warning has" : `${warnings.length} warnings have`;
  return `Check complete, ${many} been found!\n${warnings.map(renderOne).join("")}`;
}

const RULE = "-".repeat(20);
const CONTEXT_LINES = 2;

function renderOne({ rule, message, location }: CheckWarning): string {
  const { file, line, endLine = line } = location;
  const name = file === "-" ? "<stdin>" : file.slice(file.lastIndexOf("/") + 1);
  const head = `\nWARNING: ${rule}${linkOf(rule)}\n${plainText(message)}\n${plainText(name)}:${line}\n`;
  const text = linesOf(file);
  if (text === undefined) return head;
  const first = Math.max(1, line - CONTEXT_LINES);
  const last = Math.min(text.length, endLine + CONTEXT_LINES);
  const rows: string[] = [];
  for (let number = first; number <= last; number++) {
    const mark = number >= line && number <= endLine ? ">>>" : "   ";
    rows.push(`${String(number).padStart(4)} | ${mark} ${printable(text[number - 1] ?? "")}`.trimEnd());
  }
  return `${head}${RULE}\n${rows.join("\n")}\n${RULE}\n`;
}

/** Docker documents every rule under its name in kebab case; one has no page. */
function linkOf(rule: string): string {
  if (rule === "InvalidBaseImagePlatform") return "";
  const page = rule
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1-$2")
    .toLowerCase();
  return ` - https://docs.docker.com/go/dockerfile/rule/${page}/`;
}

function linesOf(file: string): string[] | undefined {
  try {
    return file === "-"
      ? undefined
      : readFileSync(file, "utf8")
          .replace(/\r?\n$/, "")
          .split(/\r?\n/);
  } catch {
    return undefined;
  }
}

/** A Dockerfile may come from anywhere: its control characters do not reach the terminal. */
function printable(text: string): string {
  return plainText(text.replaceAll("\t", "    "));
}
