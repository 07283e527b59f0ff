/** Values of the library as JSON: what JSON has not (bytes, functions, handles) is an object with one key that begins with `$`. */
import type { Container, Store } from "../index.ts";

/** What stands for something else in a request. */
export interface CallScope {
  store: Store | undefined;
  signal: AbortSignal;
  /** Receives what a callback of the caller's is called with. */
  event(callback: number, args: unknown[]): void;
}

/** A request's value as the library takes it. Unknown marks are left as they are. */
export function decodeValue(value: unknown, scope: CallScope): unknown {
  if (Array.isArray(value)) return value.map((one) => decodeValue(one, scope));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [mark, content] = entries.length === 1 ? entries[0]! : [];
  if (mark === "$bytes" && typeof content === "string") return new Uint8Array(Buffer.from(content, "base64"));
  if (mark === "$store") return scope.store;
  if (mark === "$signal") return scope.signal;
  if (mark === "$callback" && typeof content === "number")
    return (...args: unknown[]) => scope.event(content, args);
  return Object.fromEntries(entries.map(([key, one]) => [key, decodeValue(one, scope)]));
}

/** What the library gave, as JSON. A container is its id and name. */
export function encodeValue(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(encodeValue);
  if (typeof value !== "object" || value === null) return value;
  if (isContainer(value)) return { $container: { id: value.id, name: value.name } };
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, encodeValue(one)]));
}

function isContainer(value: object): value is Container {
  return "commit" in value && typeof value.commit === "function";
}
