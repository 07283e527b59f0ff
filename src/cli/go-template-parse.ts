/** Go templates (text/template): text → a tree. */
import { CooperError } from "../base/errors.ts";

interface Block<K extends string> {
  kind: K;
  pipe: Pipe;
  body: Node[];
  otherwise: Node[];
}

export type Node =
  | { kind: "text"; text: string }
  | { kind: "action"; pipe: Pipe }
  | Block<"if">
  | Block<"with">
  | Block<"range">
  | { kind: "break" }
  | { kind: "continue" };

/** `$a, $b := command | command`. */
export interface Pipe {
  variables: string[];
  /** `=` sets a variable that exists. */
  assigns: boolean;
  commands: Operand[][];
}

export type Operand =
  | { kind: "literal"; value: string | number | boolean | null }
  | { kind: "dot" }
  | { kind: "field"; of?: Operand; path: string[] }
  | { kind: "variable"; name: string; path: string[] }
  | { kind: "function"; name: string }
  | { kind: "pipe"; pipe: Pipe; path: string[] };

/** Throws `usage` with what is wrong and where. */
export function parseTemplate(source: string): Node[] {
  const pieces = splitActions(source);
  const reader = { pieces, at: 0, loops: 0 };
  const nodes = parseNodes(reader, false);
  if (reader.at < pieces.length) throw templateError(`unexpected {{${pieces[reader.at]!.text}}}`);
  return nodes;
}

export function templateError(why: string): CooperError {
  return new CooperError("usage", `Cannot use the template: ${why}`, {
    hint: "templates are Go's: https://pkg.go.dev/text/template",
  });
}

interface Piece {
  action: boolean;
  text: string;
}

/** Cuts at {{ and }}, drops comments, and trims text beside `{{- ` and ` -}}`. */
function splitActions(source: string): Piece[] {
  const pieces: Piece[] = [];
  let trimNext = false;
  for (let at = 0; at < source.length; ) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open === -1 ? undefined : open);
    if (trimNext) text = text.trimStart();
    const trimBefore = open !== -1 && /^-\s/.test(source.slice(open + 2, open + 4));
    if (trimBefore) text = text.trimEnd();
    if (text !== "") pieces.push({ action: false, text });
    if (open === -1) break;
    const start = open + (trimBefore ? 3 : 2);
    const end = endOfAction(source, start);
    let inner = source.slice(start, end);
    trimNext = /\s-$/.test(inner);
    if (trimNext) inner = inner.slice(0, -1);
    inner = inner.trim();
    if (!/^\/\*.*\*\/$/s.test(inner)) pieces.push({ action: true, text: inner });
    at = end + 2;
  }
  return pieces;
}

/** Where the action's }} is, past strings that may hold one. */
function endOfAction(source: string, start: number): number {
  for (let at = start; at < source.length; at++) {
    const char = source[at]!;
    if (char === '"' || char === "`" || char === "'") at = endOfQuoted(source, at);
    else if (source.startsWith("/*", at)) at = Math.max(at, source.indexOf("*/", at));
    else if (source.startsWith("}}", at)) return at;
  }
  throw templateError("an action is not closed with }}");
}

function endOfQuoted(source: string, start: number): number {
  const quote = source[start]!;
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\" && quote !== "`") at++;
    else if (source[at] === quote) return at;
  }
  throw templateError("a string is not closed");
}

interface Reader {
  pieces: Piece[];
  at: number;
  /** How many {{range}} are open. */
  loops: number;
}

/** Nodes up to {{else}} or {{end}} (inside a block) or the end of the text. */
function parseNodes(reader: Reader, inside: boolean): Node[] {
  const nodes: Node[] = [];
  while (reader.at < reader.pieces.length) {
    const { action, text } = reader.pieces[reader.at]!;
    const word = action ? /^[a-z]+\b/.exec(text)?.[0] : undefined;
    if (word === "end" || word === "else") {
      if (!inside) throw templateError(`{{${text}}} without a block`);
      return nodes;
    }
    reader.at++;
    if (!action) nodes.push({ kind: "text", text });
    else if (word === "if" || word === "with" || word === "range") nodes.push(parseBlock(word, text, reader));
    else if ((word === "break" || word === "continue") && text === word) {
      if (reader.loops === 0) throw templateError(`{{${word}}} outside {{range}}`);
      nodes.push({ kind: word });
    } else if (word === "define" || word === "template" || word === "block")
      throw templateError(`{{${word}}} is not supported`);
    else nodes.push({ kind: "action", pipe: parsePipe(text) });
  }
  if (inside) throw templateError("a block is not closed with {{end}}");
  return nodes;
}

function parseBlock(kind: "if" | "with" | "range", text: string, reader: Reader): Node {
  const pipe = parsePipe(text.slice(kind.length));
  const loop = kind === "range" ? 1 : 0;
  reader.loops += loop;
  const body = parseNodes(reader, true);
  reader.loops -= loop;
  const end = reader.pieces[reader.at++]!.text;
  if (end === "end") return { kind, pipe, body, otherwise: [] };
  const chained = /^else\s+(if|with)\b/.exec(end)?.[1] as "if" | "with" | undefined;
  if (chained !== undefined) {
    const rest = end.replace(/^else\s+/, "");
    return { kind, pipe, body, otherwise: [parseBlock(chained, rest, reader)] };
  }
  const otherwise = parseNodes(reader, true);
  if (reader.pieces[reader.at]!.text !== "end") throw templateError("a block has two {{else}}");
  reader.at++;
  return { kind, pipe, body, otherwise };
}

// ---- inside an action ----

const TOKEN =
  /\s+|"(?:[^"\\]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)*'|:=|[|(),=]|\$?(?:\.?[\p{L}_][\p{L}\p{N}_]*)(?:\.[\p{L}_][\p{L}\p{N}_]*)*|\$|\.(?!\p{N})|[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/uy;

interface Token {
  text: string;
  /** A blank stands before it: `(x).y` is a field of the pipe, `(x) .y` two operands. */
  spaced: boolean;
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let spaced = true;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) throw templateError(`unexpected ${JSON.stringify(source.slice(from, from + 12))}`);
    if (match[0].trim() === "") spaced = true;
    else {
      tokens.push({ text: match[0], spaced });
      spaced = false;
    }
  }
  return tokens;
}

interface Tokens {
  list: Token[];
  at: number;
}

function parsePipe(source: string): Pipe {
  const tokens = { list: tokenize(source), at: 0 };
  const pipe = readPipe(tokens);
  const extra = tokens.list[tokens.at];
  if (extra !== undefined) throw templateError(`unexpected ${JSON.stringify(extra.text)}`);
  return pipe;
}

function readPipe(tokens: Tokens): Pipe {
  const { variables, assigns } = readVariables(tokens);
  const commands: Operand[][] = [];
  for (;;) {
    const command = readCommand(tokens);
    if (command.length === 0) throw templateError("a command is missing");
    commands.push(command);
    if (tokens.list[tokens.at]?.text !== "|") break;
    tokens.at++;
  }
  return { variables, assigns, commands };
}

const VARIABLE = /^\$[\p{L}_][\p{L}\p{N}_]*$/u;

function readVariables(tokens: Tokens): { variables: string[]; assigns: boolean } {
  const text = (offset: number) => tokens.list[tokens.at + offset]?.text ?? "";
  const count = VARIABLE.test(text(0)) ? (text(1) === "," && VARIABLE.test(text(2)) ? 2 : 1) : 0;
  const operator = text(count === 2 ? 3 : count);
  if (count === 0 || (operator !== ":=" && operator !== "=")) return { variables: [], assigns: false };
  const variables = count === 2 ? [text(0), text(2)] : [text(0)];
  tokens.at += count === 2 ? 4 : 2;
  return { variables, assigns: operator === "=" };
}

function readCommand(tokens: Tokens): Operand[] {
  const operands: Operand[] = [];
  for (;;) {
    const token = tokens.list[tokens.at];
    if (token === undefined || token.text === "|" || token.text === ")") return operands;
    tokens.at++;
    operands.push(token.text === "(" ? readGroup(tokens) : operandOf(token.text));
  }
}

function readGroup(tokens: Tokens): Operand {
  const pipe = readPipe(tokens);
  if (tokens.list[tokens.at++]?.text !== ")") throw templateError("a parenthesis is not closed");
  const after = tokens.list[tokens.at];
  if (after === undefined || after.spaced || !after.text.startsWith("."))
    return { kind: "pipe", pipe, path: [] };
  tokens.at++;
  return { kind: "pipe", pipe, path: after.text.slice(1).split(".") };
}

function operandOf(text: string): Operand {
  if (text === ".") return { kind: "dot" };
  if (text.startsWith("$")) {
    const [name, ...path] = text.split(".");
    return { kind: "variable", name: name!, path };
  }
  if (text.startsWith(".") && !/^\.\d/.test(text)) return { kind: "field", path: text.slice(1).split(".") };
  if (/^["'`]/.test(text)) return { kind: "literal", value: unquote(text) };
  if (/^[+-.\d]/.test(text)) return { kind: "literal", value: Number(text) };
  if (text === "true" || text === "false") return { kind: "literal", value: text === "true" };
  if (text === "nil") return { kind: "literal", value: null };
  if (/^[\p{L}_][\p{L}\p{N}_]*$/u.test(text)) return { kind: "function", name: text };
  throw templateError(`unexpected ${JSON.stringify(text)}`);
}

const ESCAPES: Record<string, string> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

function unquote(text: string): string | number {
  const inner = text.slice(1, -1);
  if (text.startsWith("`")) return inner;
  const value = inner.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/g,
    (_all, x, u, big, octal, char) => {
      if (char === undefined)
        return String.fromCodePoint(Number.parseInt(x ?? u ?? big ?? octal, octal === undefined ? 16 : 8));
      const known = ESCAPES[char];
      if (known === undefined) throw templateError(`unknown escape \\${char}`);
      return known;
    },
  );
  return text.startsWith("'") ? value.codePointAt(0)! : value;
}
