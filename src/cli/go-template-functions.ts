/** Functions of Go's text/template, and those that Docker's and Podman's --format add. */
import { goQuote, goSprintf } from "./go-format.ts";
import { templateError } from "./go-template-parse.ts";
import { type GoValue, goJson, goString, isStruct, isTrue } from "./go-value.ts";

export type TemplateFunction = (...args: GoValue[]) => GoValue;

export const FUNCTIONS: Record<string, TemplateFunction> = {
  not: (value) => !isTrue(value),
  len: (value) => lengthOf(value),
  index: (value, ...keys) => keys.reduce(indexInto, value),
  slice: (value, from, to) => sliceOf(value, from, to),
  print: (...values) => printed(values),
  println: (...values) => `${values.map(goString).join(" ")}\n`,
  printf: (format, ...values) => goSprintf(text(format), values),
  html: (...values) =>
    printed(values).replace(/[&<>"']/g, (char) => MARKUP_ESCAPES[char] ?? `&#${char.charCodeAt(0)};`),
  js: (...values) =>
    printed(values).replace(
      /[\\'"<>&=\n\r\t\u2028\u2029]/g,
      (char) => SCRIPT_ESCAPES[char] ?? unicodeEscape(char),
    ),
  urlquery: (...values) => encodeURIComponent(printed(values)).replaceAll("%20", "+"),
  eq: (first, ...others) => others.some((other) => compare(first, other) === 0),
  ne: (a, b) => compare(a, b) !== 0,
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  json: (value) => goJson(value),
  quote: (value) => goQuote(goString(value)),
  join: (list, separator) =>
    Array.isArray(list) ? list.map(goString).join(text(separator)) : goString(list),
  split: (value, separator) => text(value).split(text(separator)),
  upper: (value) => text(value).toUpperCase(),
  lower: (value) => text(value).toLowerCase(),
  title: (value) =>
    text(value).replace(/(^|\s)(\S)/g, (_all, space: string, letter: string) => space + letter.toUpperCase()),
  trim: (value) => text(value).trim(),
  pad: (value, before, after) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, length) => [...text(value)].slice(0, Number(length)).join(""),
};

const MARKUP_ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

const SCRIPT_ESCAPES: Record<string, string> = { "\\": "\\\\", "'": "\\'", '"': '\\"' };

const unicodeEscape = (char: string) =>
  `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Go puts a blank between operands when neither is a string. */
function printed(values: GoValue[]): string {
  return values.reduce<string>((out, value, i) => {
    const blank = i > 0 && typeof value !== "string" && typeof values[i - 1] !== "string";
    return out + (blank ? " " : "") + goString(value);
  }, "");
}

function text(value: GoValue): string {
  if (typeof value !== "string") throw templateError(`expected a string, got ${goString(value)}`);
  return value;
}

function lengthOf(value: GoValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  throw templateError(`len of ${goString(value)}`);
}

function indexInto(value: GoValue, key: GoValue): GoValue {
  if (value instanceof Map) return value.get(text(key)) ?? "";
  if (Array.isArray(value) || typeof value === "string") {
    const length = lengthOf(value);
    const at = Number(key);
    if (!Number.isInteger(at) || at < 0 || at >= length)
      throw templateError(`index out of range: ${goString(key)}`);
    return typeof value === "string" ? Buffer.from(value)[at]! : value[at];
  }
  throw templateError(`cannot index ${goString(value)}`);
}

function sliceOf(value: GoValue, from: GoValue = 0, to?: GoValue): GoValue {
  if (typeof value !== "string" && !Array.isArray(value))
    throw templateError(`cannot slice ${goString(value)}`);
  const start = Number(from);
  const end = to === undefined ? lengthOf(value) : Number(to);
  if (!(start >= 0 && start <= end && end <= lengthOf(value))) throw templateError("slice out of range");
  return typeof value === "string"
    ? Buffer.from(value).subarray(start, end).toString()
    : value.slice(start, end);
}

function compare(a: GoValue, b: GoValue): number {
  if (a === b || (a == null && b == null)) return 0;
  const numeric = (value: GoValue) => typeof value === "number" || typeof value === "bigint";
  if (numeric(a) && numeric(b)) return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : 1;
  if (typeof a === "boolean" && typeof b === "boolean") return 1;
  if (a == null || b == null) return 1;
  if (isStruct(a) || isStruct(b) || typeof a === "object" || typeof b === "object")
    throw templateError("cannot compare lists or maps");
  throw templateError("incompatible types for comparison");
}
