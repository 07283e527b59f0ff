/**
 * Quotes and variables as BuildKit's shell lexer reads them: a subset of POSIX 2.2 and 2.6 with its own rules for
 * what is an error. The reference is the Dockerfile reference, "Environment replacement", and what BuildKit does.
 */
import { CooperError } from "../base/errors.ts";
import { replacePattern, trimPrefix, trimSuffix } from "./expand-pattern.ts";
import type { EscapeToken } from "./instruction.ts";
import { isSpace } from "./spaces.ts";

/** Value of a variable; undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

export interface ExpandMode {
  escapeToken: EscapeToken;
  /** Quotes are obeyed and stay in the result. */
  keepQuotes?: boolean;
  /** Escapes are obeyed and stay in the result. */
  keepEscapes?: boolean;
  /** References to variables that are not set stay as written. */
  keepUnset?: boolean;
  /** Quotes are ordinary characters: bodies of here-documents. */
  ignoreQuotes?: boolean;
}

/** Expands a text to one word: blanks stay. Throws `invalid`. */
export function expandWord(text: string, lookup: Lookup, mode: ExpandMode): string {
  if (!/[$'"\\`]/.test(text)) return text;
  return expand(text, lookup, mode).text;
}

/** Expands a text and splits the result at blanks that are not quoted; values of variables split, too. Throws `invalid`. */
export function expandWords(text: string, lookup: Lookup, mode: ExpandMode): string[] {
  return expand(text, lookup, mode).words;
}

function expand(text: string, lookup: Lookup, mode: ExpandMode): Expanded {
  try {
    return readUntil({ text, at: 0, lookup, mode, depth: 0 }, undefined, mode.keepEscapes === true);
  } catch (error) {
    if (!(error instanceof CooperError)) throw error;
    throw new CooperError("invalid", `Cannot expand ${quote(text)}: ${error.message}`, { cause: error });
  }
}

function quote(text: string): string {
  return text.length > 200 ? `"${text.slice(0, 200)}…"` : `"${text}"`;
}

interface Expanded {
  text: string;
  words: string[];
}

interface Cursor {
  text: string;
  at: number;
  lookup: Lookup;
  mode: ExpandMode;
  /** Of ${} within ${}. */
  depth: number;
}

const DEEPEST = 200;

function fail(why: string): CooperError {
  return new CooperError("invalid", why);
}

/** Takes one code point; the empty string at the end. */
function take(cursor: Cursor): string {
  const code = cursor.text.codePointAt(cursor.at);
  if (code === undefined) return "";
  const char = code > 0xffff ? String.fromCodePoint(code) : cursor.text[cursor.at]!;
  cursor.at += char.length;
  return char;
}

/** Collects words as characters come in: unquoted blanks end a word, quoted ones are part of it. */
class WordBuilder {
  words: string[] = [];
  #word = "";

  /** Text from outside quotes. */
  split(text: string): void {
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      if (!isSpace(text.charCodeAt(at))) continue;
      this.#word += text.slice(start, at);
      this.end();
      start = at + 1;
    }
    this.#word += text.slice(start);
  }

  /** Text whose blanks are quoted or escaped. */
  append(text: string): void {
    this.#word += text;
  }

  /** An empty word is no word, quoted or not. */
  end(): void {
    if (this.#word !== "") this.words.push(this.#word);
    this.#word = "";
  }
}

/** Reads up to `stop`, which is taken, or to the end of the text. */
function readUntil(cursor: Cursor, stop: string | undefined, keepEscapes: boolean): Expanded {
  const builder = new WordBuilder();
  const { mode } = cursor;
  let text = "";
  while (cursor.at < cursor.text.length) {
    const plain = takePlain(cursor);
    text += plain;
    builder.split(plain);
    const next = cursor.text[cursor.at];
    if (next === undefined) break;
    if (next === stop) {
      cursor.at++;
      builder.end();
      return { text, words: builder.words };
    }
    if (next === "$") {
      const value = readDollar(cursor);
      text += value;
      builder.split(value);
    } else if ((next === "'" || next === '"') && mode.ignoreQuotes !== true) {
      const quoted = next === "'" ? readSingleQuotes(cursor) : readDoubleQuotes(cursor, keepEscapes);
      text += quoted;
      builder.append(quoted);
    } else if (next === "<") {
      const sign = readAngle(cursor);
      text += sign;
      builder.append(sign);
    } else {
      let char = take(cursor);
      if (char === mode.escapeToken) {
        const escaped = take(cursor);
        // An escape at the very end escapes nothing and goes.
        char = keepEscapes ? char + escaped : escaped;
        builder.append(char);
      } else builder.split(char);
      text += char;
    }
  }
  if (stop !== undefined) throw fail(`missing '${stop}' in \${}`);
  builder.end();
  return { text, words: builder.words };
}

/** Everything up to the next character that may mean something, here or in some mode. */
function takePlain(cursor: Cursor): string {
  const start = cursor.at;
  NOT_PLAIN.lastIndex = start;
  cursor.at = NOT_PLAIN.exec(cursor.text)?.index ?? cursor.text.length;
  return cursor.text.slice(start, cursor.at);
}

const NOT_PLAIN = /[$'"<\\`}/]/g;

/** `<<` keeps the blanks behind it, so that `<< EOF` is one word. */
function readAngle(cursor: Cursor): string {
  const start = cursor.at++;
  if (cursor.text[cursor.at] === "<") {
    cursor.at++;
    while (/[\t\r ]/.test(cursor.text[cursor.at] ?? "")) cursor.at++;
  }
  return cursor.text.slice(start, cursor.at);
}

function readSingleQuotes(cursor: Cursor): string {
  const start = cursor.at;
  const end = cursor.text.indexOf("'", start + 1);
  if (end === -1) throw fail("unexpected end while looking for the matching single quote");
  cursor.at = end + 1;
  return cursor.mode.keepQuotes === true
    ? cursor.text.slice(start, end + 1)
    : cursor.text.slice(start + 1, end);
}

function readDoubleQuotes(cursor: Cursor, keepEscapes: boolean): string {
  const { mode, text } = cursor;
  const sign = mode.keepQuotes === true ? '"' : "";
  let out = sign;
  cursor.at++;
  for (;;) {
    const next = text[cursor.at];
    if (next === undefined) throw fail("unexpected end while looking for the matching double quote");
    if (next === '"') {
      cursor.at++;
      return out + sign;
    }
    if (next === "$") out += readDollar(cursor);
    else out += readQuotedChar(cursor, keepEscapes);
  }
}

/** Inside double quotes an escape counts only before a quote, a dollar or itself; elsewhere it is a character. */
function readQuotedChar(cursor: Cursor, keepEscapes: boolean): string {
  const char = take(cursor);
  if (char !== cursor.mode.escapeToken) return char;
  const next = cursor.text[cursor.at];
  const kept = keepEscapes ? char : "";
  if (next === undefined) return kept;
  if (next !== '"' && next !== "$" && next !== cursor.mode.escapeToken) return kept + char;
  cursor.at++;
  return kept + next;
}

const NO_BRACE = `missing '}' in \${}`;
const SPECIAL_PARAMETERS = "@*#?-$!";

/** `[letters digits _]+`, or only the digits when it begins with one, or one special parameter. */
function readName(cursor: Cursor): string {
  const { text, at } = cursor;
  const next = text[at];
  if (next !== undefined && SPECIAL_PARAMETERS.includes(next)) {
    cursor.at++;
    return next;
  }
  const digitsOnly = isDigit(text.charCodeAt(at));
  let end = at;
  while (end < text.length && isNameCode(text.charCodeAt(end), digitsOnly)) end++;
  // Letters beyond ASCII are rare, and the table of them takes milliseconds to load.
  if (end < text.length && text.charCodeAt(end) >= 0x80) end = unicodeNameEnd(text, at);
  cursor.at = end;
  return text.slice(at, end);
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

function isNameCode(code: number, digitsOnly: boolean): boolean {
  if (isDigit(code) || digitsOnly) return isDigit(code);
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || code === 0x5f;
}

function unicodeNameEnd(text: string, at: number): number {
  const name = /\p{Nd}+|[\p{L}_][\p{L}\p{Nd}_]*/uy;
  name.lastIndex = at;
  return at + (name.exec(text)?.[0].length ?? 0);
}

function readDollar(cursor: Cursor): string {
  const start = cursor.at++;
  const { text, mode } = cursor;
  if (text[cursor.at] !== "{") {
    const name = readName(cursor);
    if (name === "") return "$";
    return cursor.lookup(name) ?? (mode.keepUnset === true ? text.slice(start, cursor.at) : "");
  }
  cursor.at++;
  const first = text[cursor.at];
  if (first === undefined) throw fail(NO_BRACE);
  if (first === "{" || first === "}" || first === ":") throw fail("bad substitution");
  if (++cursor.depth > DEEPEST) throw fail(`more than ${DEEPEST} substitutions are nested`);
  const value = readBraces(cursor);
  cursor.depth--;
  return value;
}

function readBraces(cursor: Cursor): string {
  const name = readName(cursor);
  let modifier = take(cursor);
  if (modifier === "") throw fail(NO_BRACE);
  const value = cursor.lookup(name);
  const unsetStays = value === undefined && cursor.mode.keepUnset === true;
  if (modifier === "}") return unsetStays ? `\${${name}}` : (value ?? "");
  if (modifier === "/") return readReplacement(cursor, name, value, unsetStays);
  if (modifier === ":") modifier += take(cursor);
  if (!/^:?[-+?]$|^[#%]$/.test(modifier)) {
    throw fail(`unsupported modifier (${modifier}) in substitution`);
  }
  const raw = modifier === "#" || modifier === "%";
  const { text: word } = readUntil(cursor, "}", raw);
  if (unsetStays) return `\${${name}${modifier}${word}}`;
  return applyModifier(name, value, modifier, word);
}

function applyModifier(name: string, value: string | undefined, modifier: string, word: string): string {
  const missing = value === undefined || (modifier.startsWith(":") && value === "");
  switch (modifier.at(-1)) {
    case "-":
      return missing ? word : value;
    case "+":
      return missing ? "" : word;
    case "?": {
      if (!missing) return value;
      const standard = value === undefined ? "is not allowed to be unset" : "is not allowed to be empty";
      throw fail(`${name}: ${word === "" ? standard : word}`);
    }
    default: {
      const longest = word.startsWith(modifier);
      const trimmer = modifier === "%" ? trimSuffix : trimPrefix;
      return trimmer(value ?? "", longest ? word.slice(1) : word, longest);
    }
  }
}

function readReplacement(
  cursor: Cursor,
  name: string,
  value: string | undefined,
  unsetStays: boolean,
): string {
  const all = cursor.text[cursor.at] === "/";
  if (all) cursor.at++;
  const { text: pattern } = readUntil(cursor, "/", true);
  const { text: replacement } = readUntil(cursor, "}", true);
  if (unsetStays) return `\${${name}/${pattern}/${replacement}}`;
  return replacePattern(value ?? "", pattern, replacement, all);
}
