/** Command lines, read as Go's pflag does: Buildah's rules for flags, values and where flags end. */
import { CooperError } from "../base/errors.ts";
import type { Flag, FlagTable } from "./command.ts";
import { parseCsvLine } from "./csv.ts";
import { flagRefusal } from "./refusals.ts";
import { nearestName } from "./suggest.ts";

export interface ParseRules {
  flags: FlagTable;
  /** Names of flags that exist in Buildah and are refused here, for the reason that refusals.ts tells. */
  unsupported?: readonly string[];
  /** Arguments after the first one are left alone, whatever they look like. */
  stopsAtFirstArgument?: boolean;
  env?: Record<string, string | undefined>;
}

type Value = string | number | boolean | string[];

export interface ParsedLine {
  values: Record<string, Value | undefined>;
  given: Set<string>;
  args: string[];
  help: boolean;
}

/**
 * Splits argv into flags and arguments. Flags end at the first argument and at `--`; after the first argument what
 * looks like a flag is refused, unless `--` came or the command takes the rest as it is. Throws `usage`.
 */
export function parseFlags(argv: readonly string[], rules: ParseRules): ParsedLine {
  const line: ParsedLine = { values: {}, given: new Set(), args: [], help: false };
  const shorts = shortNames(rules.flags);
  let at = 0;
  const next = (): string | undefined => argv[++at];
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") {
      line.args = argv.slice(at + 1);
      break;
    }
    if (word === "-" || !word.startsWith("-")) {
      line.args = argv.slice(at);
      if (!rules.stopsAtFirstArgument) refuseLateFlags(line.args);
      break;
    }
    if (word.startsWith("--")) readLong(word.slice(2), next, rules, line);
    else readShorts(word.slice(1), next, rules, shorts, line);
  }
  fillDefaults(rules, line);
  return line;
}

function shortNames(flags: FlagTable): Map<string, string> {
  const shorts = new Map<string, string>();
  for (const [name, flag] of Object.entries(flags))
    if (flag.short !== undefined) shorts.set(flag.short, name);
  return shorts;
}

function refuseLateFlags(args: string[]): void {
  const end = args.indexOf("--");
  const late = args.slice(0, end === -1 ? undefined : end).find((arg) => arg.startsWith("-") && arg !== "-");
  if (late === undefined) {
    if (end !== -1) args.splice(end, 1);
    return;
  }
  throw new CooperError("usage", `No flag (${late}) can be given after the first argument`, {
    hint: "put flags before the arguments, or `--` before an argument that begins with a dash",
  });
}

type Next = () => string | undefined;

function readLong(text: string, next: Next, rules: ParseRules, line: ParsedLine): void {
  const equals = text.indexOf("=");
  const name = equals === -1 ? text : text.slice(0, equals);
  const inline = equals === -1 ? undefined : text.slice(equals + 1);
  const flag = Object.hasOwn(rules.flags, name) ? rules.flags[name] : undefined;
  if (flag === undefined) {
    if (name === "help") {
      line.help = true;
      return;
    }
    throw unknownFlag(name, rules);
  }
  store(name, flag, inline ?? impliedValue(flag) ?? valueAfter(next, `--${name}`), line);
}

function readShorts(
  text: string,
  next: Next,
  rules: ParseRules,
  shorts: Map<string, string>,
  line: ParsedLine,
): void {
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    const name = shorts.get(letter);
    if (name === undefined) {
      if (letter === "h") {
        line.help = true;
        continue;
      }
      throw new CooperError("usage", `Unknown short flag: '${letter}' in -${text}`);
    }
    const flag = rules.flags[name]!;
    const rest = text.slice(i + 1);
    const implied = impliedValue(flag);
    if (implied !== undefined && !rest.startsWith("=")) {
      store(name, flag, implied, line);
      continue;
    }
    store(name, flag, rest === "" ? valueAfter(next, `-${letter}`) : rest.replace(/^=/, ""), line);
    return;
  }
}

function impliedValue(flag: Flag): string | undefined {
  return flag.type === "bool" ? "true" : flag.bare;
}

function valueAfter(next: Next, shown: string): string {
  const value = next();
  if (value === undefined) throw new CooperError("usage", `Flag needs an argument: ${shown}`);
  return value;
}

function unknownFlag(name: string, rules: ParseRules): CooperError {
  if (rules.unsupported?.includes(name)) {
    return new CooperError("unsupported", `--${name} is not supported: ${flagRefusal(name)}`);
  }
  const near = nearestName(
    name,
    Object.keys(rules.flags).filter((known) => !rules.flags[known]!.hidden),
  );
  return new CooperError(
    "usage",
    `Unknown flag: --${name}`,
    near === undefined ? {} : { hint: `did you mean --${near}?` },
  );
}

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

function store(name: string, flag: Flag, text: string, line: ParsedLine): void {
  const value = convert(`--${name}`, flag, text);
  if (flag.fixed !== undefined && value !== flag.default) {
    throw new CooperError("unsupported", `--${name}=${text} is not supported: ${flag.fixed}`);
  }
  if (Array.isArray(value)) {
    const before = line.given.has(name) ? (line.values[name] as string[]) : [];
    line.values[name] = [...before, ...value];
  } else {
    line.values[name] = value;
  }
  line.given.add(name);
}

function convert(shown: string, flag: Flag, text: string): Value {
  switch (flag.type) {
    case "bool":
      if (TRUE.has(text)) return true;
      if (FALSE.has(text)) return false;
      throw new CooperError(
        "usage",
        `Invalid argument ${JSON.stringify(text)} for ${shown}: expected true or false`,
      );
    case "int":
      if (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
      throw new CooperError(
        "usage",
        `Invalid argument ${JSON.stringify(text)} for ${shown}: expected a whole number`,
      );
    case "list":
      return [text];
    case "commaList":
      return parseCsvLine(text);
    case "string":
      return text;
  }
}

function fillDefaults(rules: ParseRules, line: ParsedLine): void {
  const env = rules.env ?? process.env;
  for (const [name, flag] of Object.entries(rules.flags)) {
    if (line.values[name] !== undefined) continue;
    const variable = flag.env?.find((key) => env[key] !== undefined && env[key] !== "");
    if (variable !== undefined)
      line.values[name] = convert(`the environment variable ${variable}`, flag, env[variable]!);
    else line.values[name] = defaultValue(flag);
  }
}

function defaultValue(flag: Flag): Value | undefined {
  if (flag.default !== undefined) return flag.default;
  if (flag.type === "bool") return false;
  return flag.type === "list" || flag.type === "commaList" ? [] : undefined;
}
