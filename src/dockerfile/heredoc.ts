/** Here-documents: where a line announces them (Dockerfile reference, "Here-Documents"). */
import { expandWords } from "./expand.ts";
import type { Heredoc } from "./instruction.ts";

const HEREDOC_WORD = /^(\d*)<<(-?)[\t\n\f\r ]*([^<]*)$/;

/** A here-document whose body has not been read yet. */
export type HeredocStart = Omit<Heredoc, "content">;

const nothingSet = () => undefined;

/** What a word announces, if it is `<<NAME`, `<<-NAME`, `<<"NAME"`, `3<<NAME`; the escape character is always `\`. */
export function heredocOfWord(word: string): HeredocStart | undefined {
  const match = HEREDOC_WORD.exec(word);
  const rest = match?.[3];
  if (match === null || rest === undefined || rest === "") return undefined;
  const plain = expandWords(rest, nothingSet, { escapeToken: "\\", keepUnset: true });
  if (plain.length !== 1) return undefined;
  const quoted = expandWords(rest, nothingSet, { escapeToken: "\\", keepUnset: true, keepQuotes: true });
  const name = plain[0]!;
  return { name, expand: countQuotes(name) === countQuotes(quoted[0] ?? ""), stripTabs: match[2] === "-" };
}

/** The same, with a word that is broken inside counting as none. */
export function heredocOrUndefined(word: string): HeredocStart | undefined {
  try {
    return heredocOfWord(word);
  } catch {
    return undefined;
  }
}

function countQuotes(word: string): number {
  return word.replace(/[^'"]/g, "").length;
}

/** The here-documents that a logical line announces, in order; none when its quotes do not match. */
export function heredocsOfLine(line: string): HeredocStart[] {
  let words: string[];
  try {
    words = expandWords(line, nothingSet, {
      escapeToken: "\\",
      keepQuotes: true,
      keepEscapes: true,
      keepUnset: true,
    });
  } catch {
    return [];
  }
  return words.map(heredocOfWord).filter((heredoc) => heredoc !== undefined);
}

/** The body as `<<-` means it. */
export function stripLeadingTabs(content: string): string {
  return content.replace(/(^|\n)\t+/g, "$1");
}
