/** Flags of instructions: `--name`, `--name=value`, each known to its instruction. */
import { CooperError } from "../base/errors.ts";
import { nearHint } from "./suggest.ts";

/** What a flag takes: `bool` nothing or true/false, `text` one value, `list` a value each time it is given. */
export type FlagType = "bool" | "text" | "list";

export type FlagTypes = Record<string, FlagType>;

/** The given flags by name; absent ones are undefined, lists empty. */
export type Flags<T extends FlagTypes> = {
  [K in keyof T]: T[K] extends "bool"
    ? boolean | undefined
    : T[K] extends "text"
      ? string | undefined
      : string[];
};

/** Checks flags against what an instruction takes. Throws `invalid` for unknown, repeated, or valueless ones. */
export function parseFlags<T extends FlagTypes>(given: string[], types: T, keyword: string): Flags<T> {
  const values: Record<string, boolean | string | string[]> = {};
  for (const [name, type] of Object.entries(types)) if (type === "list") values[name] = [];
  for (const flag of given) {
    const sign = flag.indexOf("=");
    const name = flag.slice(2, sign === -1 ? undefined : sign);
    const value = sign === -1 ? undefined : flag.slice(sign + 1);
    const type = Object.hasOwn(types, name) ? types[name] : undefined;
    if (type === undefined) throw unknownFlag(name, types, keyword);
    if (type === "list") (values[name] as string[]).push(required(name, value));
    else if (Object.hasOwn(values, name))
      throw new CooperError("invalid", `Duplicate flag --${name} of ${keyword}`);
    else values[name] = type === "bool" ? parseBool(name, value) : required(name, value);
  }
  return values as Flags<T>;
}

function unknownFlag(name: string, types: FlagTypes, keyword: string): CooperError {
  const names = Object.keys(types);
  const known =
    names.length === 0
      ? `${keyword} takes no flags`
      : `${keyword} takes ${names.map((n) => `--${n}`).join(", ")}`;
  return new CooperError("invalid", `Unknown flag --${name} of ${keyword}`, {
    hint: nearHint(name, names, "--") ?? known,
  });
}

function required(name: string, value: string | undefined): string {
  if (value === undefined)
    throw new CooperError("invalid", `Flag --${name} needs a value`, { hint: `Write --${name}=…` });
  return value;
}

function parseBool(name: string, value: string | undefined): boolean {
  const text = value?.toLowerCase();
  if (text === undefined || text === "true") return true;
  if (text === "false") return false;
  throw new CooperError("invalid", `Flag --${name} takes true or false, not "${value}"`);
}
