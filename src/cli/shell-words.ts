/** Command lines as words, as a shell without expansions reads them; and argument lists given as JSON or as words. */
import { CooperError } from "../base/errors.ts";

/**
 * Splits at blanks; quotes and backslashes as in POSIX sh (2.2 Quoting). Nothing is expanded, and `;`, `|`, `<`… are
 * ordinary characters: the words are an argument list, not a script. Throws `usage` for a quote that stays open.
 */
export function splitWords(text: string, shown: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'") {
      const end = text.indexOf("'", at + 1);
      if (end === -1) throw unbalanced(text, shown);
      word = (word ?? "") + text.slice(at + 1, end);
      at = end;
    } else if (char === '"') {
      const quoted = doubleQuoted(text, at, shown);
      word = (word ?? "") + quoted.value;
      at = quoted.end;
    } else if (char === "\\") {
      if (at + 1 >= text.length) throw unbalanced(text, shown);
      word = (word ?? "") + text[++at]!;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function doubleQuoted(text: string, start: number, shown: string): { value: string; end: number } {
  let value = "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '"') return { value, end: at };
    const escaped = text[at] === "\\" && /["\\$`]/.test(text[at + 1] ?? "");
    value += escaped ? text[++at]! : text[at]!;
  }
  throw unbalanced(text, shown);
}

function unbalanced(text: string, shown: string): CooperError {
  return new CooperError(
    "usage",
    `Cannot read ${shown} ${JSON.stringify(text)}: a quote or backslash is left open`,
  );
}

/** A JSON array of strings, or undefined when the text is anything else. */
export function jsonWords(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((word) => typeof word === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}
