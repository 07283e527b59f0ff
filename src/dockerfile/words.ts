/** How a logical line falls into instruction, flags and words; quotes and escapes stay for the expansion. */
import { CooperError } from "../base/errors.ts";
import type { EscapeToken, KeyValue } from "./instruction.ts";
import { cutAtSeparator, isSpace, SEPARATOR, trim } from "./spaces.ts";

export interface SplitLine {
  keyword: string;
  /** `--name`, `--name=value`, quotes and escapes resolved. */
  flags: string[];
  /** What follows, trimmed. */
  rest: string;
}

/** Cuts a logical line into its instruction, its flags, and the rest. */
export function splitLine(line: string, escapeToken: EscapeToken): SplitLine {
  const [keyword, args] = cutAtSeparator(trim(line));
  if (args === undefined) return { keyword, flags: [], rest: "" };
  const { flags, rest } = takeFlags(args, escapeToken);
  return { keyword, flags, rest: trim(rest) };
}

/** Words that begin with `--` at the head of the arguments; a lone `--` ends them and goes. */
function takeFlags(text: string, escapeToken: EscapeToken): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && isSpace(text.charCodeAt(at))) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    const { word, end } = takeFlag(text, at, escapeToken);
    at = end;
    if (word === "--") return { flags, rest: text.slice(at) };
    flags.push(word);
  }
}

function takeFlag(text: string, start: number, escapeToken: EscapeToken): { word: string; end: number } {
  let word = "";
  let quote = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at]!;
    if (quote === "" && isSpace(text.charCodeAt(at))) break;
    if (char === quote) quote = "";
    else if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === escapeToken) word += text[++at] ?? "";
    else word += char;
  }
  return { word, end: at };
}

/** Words between blanks outside quotes, with their quotes and escapes: `A="x y"` is one. */
export function quotedWords(text: string, escapeToken: EscapeToken): string[] {
  if (/^[\x21\x23-\x26\x28-\x5b\x5d-\x5f\x61-\x7e ]*$/.test(text))
    return text.split(" ").filter((word) => word !== "");
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (quote === "" && isSpace(text.charCodeAt(at))) {
      if (word !== "") words.push(word);
      word = "";
    } else if (char === escapeToken && quote !== "'") {
      // At the very end it is dropped; otherwise it keeps its neighbour from being special.
      if (at + 1 === text.length) break;
      word += char + text[++at]!;
    } else {
      if (char === quote) quote = "";
      else if (quote === "" && (char === "'" || char === '"')) quote = char;
      word += char;
    }
  }
  if (word !== "") words.push(word);
  return words;
}

/** Arguments between ASCII blanks, quotes having no meaning. */
export function plainWords(text: string): string[] {
  return text === "" ? [] : text.split(SEPARATOR);
}

/** The pairs of ENV and LABEL: `a=1 b="2 3"`, or `a everything after it`. Throws `invalid`. */
export function keyValues(text: string, escapeToken: EscapeToken, keyword: string): KeyValue[] {
  const words = quotedWords(text, escapeToken);
  const first = words[0];
  if (first === undefined) throw new CooperError("invalid", `${keyword} requires at least one argument`);
  if (!first.includes("=")) {
    const [name, value] = cutAtSeparator(text);
    if (value === undefined) {
      throw new CooperError("invalid", `${keyword} must have two arguments: "${name}" has no value`, {
        hint: `Write ${keyword} ${name}=value`,
      });
    }
    return [pair(name, value, true, keyword)];
  }
  return words.map((word) => {
    const sign = word.indexOf("=");
    if (sign === -1) {
      throw new CooperError("invalid", `Cannot find = in "${word}": ${keyword} takes name=value`, {
        hint: "Quote values that contain blanks, or write one instruction for each",
      });
    }
    return pair(word.slice(0, sign), word.slice(sign + 1), false, keyword);
  });
}

function pair(name: string, value: string, legacy: boolean, keyword: string): KeyValue {
  if (name === "") throw new CooperError("invalid", `${keyword} names cannot be blank`);
  return { name, value, legacy };
}
