/** The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` and `?` only, no brackets (BuildKit's subset of POSIX 2.13). */
import { CooperError } from "../base/errors.ts";

const SPECIAL = new Set("[]{}.+()|^$/-");

/** A pattern as a regular expression over code points. */
function toRegExp(pattern: string, greedy: boolean, anchored: boolean): RegExp {
  let source = anchored ? "^" : "";
  const chars = [...pattern];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i]!;
    if (char === "*") source += greedy ? "[^\\n]*" : "[^\\n]*?";
    else if (char === "?") source += "[^\\n]";
    else if (char === "\\") {
      const next = chars[i + 1];
      // } and / are escaped for the sake of ${}, not of the pattern.
      if (next === "}" || next === "/") continue;
      if (next !== "*" && next !== "?" && next !== "\\") {
        throw new CooperError(
          "invalid",
          `invalid pattern (${pattern}) in substitution: invalid escape "\\${next ?? ""}"`,
        );
      }
      source += `\\${next}`;
      i++;
    } else source += SPECIAL.has(char) ? `\\${char}` : char;
  }
  return new RegExp(source, "gu");
}

/** `${value#pattern}`; with `longest`, `${value##pattern}`. */
export function trimPrefix(value: string, pattern: string, longest: boolean): string {
  const match = toRegExp(pattern, longest, true).exec(value);
  return match === null ? value : value.slice(match[0].length);
}

/** `${value%pattern}`; with `longest`, `${value%%pattern}`: the prefix rule on everything turned round. */
export function trimSuffix(value: string, pattern: string, longest: boolean): string {
  return reverse([...trimPrefix(reverse([...value]), reverse(patternUnits(pattern)), longest)]);
}

const reverse = (units: string[]): string => units.toReversed().join("");

/** Characters, an escape together with what it escapes. */
function patternUnits(pattern: string): string[] {
  const chars = [...pattern];
  const units: string[] = [];
  for (let i = 0; i < chars.length; i++) {
    if (chars[i] === "\\" && i + 1 < chars.length) units.push(`\\${chars[++i]}`);
    else units.push(chars[i]!);
  }
  return units;
}

/** `${value/pattern/replacement}`; with `all`, `${value//pattern/replacement}`. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const expression = toRegExp(pattern, true, false);
  let out = "";
  let end = 0;
  for (const match of value.matchAll(expression)) {
    // As in Go, an empty match right behind another match does not count.
    if (match[0] === "" && match.index === end && end > 0) continue;
    out += value.slice(end, match.index) + (all ? fillTemplate(replacement, match[0]) : replacement);
    end = match.index + match[0].length;
    if (!all) break;
  }
  return out + value.slice(end);
}

/** Go's ReplaceAllString reads `$name`, `${name}` and `$$` in the replacement; there are no groups but `$0`. */
function fillTemplate(template: string, match: string): string {
  return template.replace(/\$(?:\$|(\w+)|\{(\w+)\})/g, (_, plain?: string, braced?: string) => {
    const name = plain ?? braced;
    if (name === undefined) return "$";
    return name === "0" ? match : "";
  });
}
