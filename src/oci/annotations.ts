/** Annotations as command lines give them. */
import { CooperError } from "../base/errors.ts";

/** `KEY=VALUE` texts as a map; the last of equal keys counts. Throws `usage`. */
export function parseMapping(texts: readonly string[], what: string): Record<string, string> {
  const pairs = texts.map((text): [string, string] => {
    const at = text.indexOf("=");
    if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
    throw new CooperError("usage", `The ${what} ${JSON.stringify(text)} is not KEY=VALUE`);
  });
  return Object.fromEntries(pairs);
}
