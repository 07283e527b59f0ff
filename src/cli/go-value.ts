/**
 * Values as Go shows them. Here a `Map` is a Go map, a plain object a struct (its fields are known, so a wrong one is an
 * error), an array a slice, null a nil.
 */

export type GoValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | GoTime
  | GoValue[]
  | GoMap
  | GoStruct;
export type GoMap = Map<string, GoValue>;
export interface GoStruct {
  [field: string]: GoValue;
}

/** A time.Time: in JSON as it is written (ISO 8601), else as Go prints it. */
export class GoTime {
  constructor(readonly written: string) {}

  toJSON(): string {
    return this.written;
  }

  /** `2026-11-21 09:26:19.196288796 +0000 UTC`, or with the offset twice. */
  toString(): string {
    const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-]\d\d):(\d\d))$/.exec(this.written);
    if (parts === null) return this.written;
    const [, date, time, fraction = "", hours = "+00", minutes = "00"] = parts;
    const offset = `${hours}${minutes}`;
    return `${date} ${time}${fraction.replace(/\.?0+$/, "")} ${offset} ${offset === "+0000" ? "UTC" : offset}`;
  }
}

/** Go maps print and encode in the order of their keys. */
export function goMap(entries: Record<string, GoValue> | undefined | null): GoMap {
  return new Map(Object.entries(entries ?? {}));
}

export function isStruct(value: GoValue): value is GoStruct {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Map) &&
    !(value instanceof GoTime)
  );
}

export function sortedEntries(map: GoMap): [string, GoValue][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** What `%v` prints: of a struct also the fields that JSON leaves out. */
export function goString(value: GoValue): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goString).join(" ")}]`;
  if (value instanceof Map)
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${goString(item)}`)
      .join(" ")}]`;
  if (isStruct(value))
    return `{${Object.getOwnPropertyNames(value)
      .map((name) => goString(value[name]))
      .join(" ")}}`;
  return String(value);
}

/** JSON as Go's encoder writes it: maps sorted, absent fields left out; `indent` spaces a level, or on one line. */
export function goJson(value: GoValue, indent = 0): string {
  const text = JSON.stringify(plain(value), undefined, indent);
  return text ?? "null";
}

function plain(value: GoValue): unknown {
  if (value instanceof Map)
    return Object.fromEntries(sortedEntries(value).map(([key, item]) => [key, plain(item)]));
  if (Array.isArray(value)) return value.map(plain);
  if (isStruct(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return typeof value === "bigint" ? Number(value) : value;
}

/** Whether `if`, `and`, `or`, `not` take it for true: not the zero value, not empty. */
export function isTrue(value: GoValue): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return isStruct(value) ? true : Boolean(value);
}
