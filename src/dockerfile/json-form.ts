/** The JSON form of arguments: `["a", "b"]`. */
import { CooperError } from "../base/errors.ts";
import { trimStart } from "./spaces.ts";

/**
 * The strings of a JSON array, or undefined when the text is no JSON array at all and therefore in shell form.
 * Throws `invalid` for an array of anything but strings.
 */
export function jsonForm(text: string): string[] | undefined {
  const start = trimStart(text);
  if (!start.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(start);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.map((item: unknown) => {
    if (typeof item === "string") return item.toWellFormed();
    throw new CooperError("invalid", `The JSON form takes strings only, not ${JSON.stringify(item)}`, {
      hint: "Quote it with double quotes",
    });
  });
}
