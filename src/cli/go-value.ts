/**
 * Values as Go shows them. Here a `Map` is a Go map, a plain object a struct (its fields are known, so a wrong one is an
 * error), an array a slice, null a nil.
 */

export type GoValue = string | number | bigint | boolean | null | undefined | GoValue[] | GoMap | GoStruct;
export type GoMap = Map<string, GoValue>;
export interface GoStruct {
  [field: string]: GoValue;
}

/** Go maps print and encode in the order of their keys. */
export function goMap(entries: Record<string, GoValue> | undefined | null): GoMap {
  return new Map(Object.entries(entries ?? {}));
}

export function isStruct(value: GoValue): value is GoStruct {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

export function sortedEntries(map: GoMap): [string, GoValue][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** What `%v` prints. */
export function goString(value: GoValue): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goString).join(" ")}]`;
  if (value instanceof Map)
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${goString(item)}`)
      .join(" ")}]`;
  if (isStruct(value)) return `{${Object.values(value).map(goString).join(" ")}}`;
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
