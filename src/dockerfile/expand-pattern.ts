/**
 * The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` and `?` only, no brackets (BuildKit's subset of POSIX 2.13).
 * They are matched by hand: a backtracking regular expression can take for ever with a few `*`.
 */
import { CooperError } from "../base/errors.ts";

/** One character, any character, or any number of them; neither of the latter matches a line feed. */
type Unit = { literal: string } | "any" | "many";

function parsePattern(pattern: string): Unit[] {
  const units: Unit[] = [];
  const chars = [...pattern];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i]!;
    if (char === "*") units.push("many");
    else if (char === "?") units.push("any");
    else if (char !== "\\") units.push({ literal: char });
    else {
      const next = chars[++i];
      // } and / are escaped for the sake of ${}, the others for that of the pattern.
      if (next === undefined || !"}/*?\\".includes(next)) {
        const why = `invalid pattern (${pattern}) in substitution: invalid escape "\\${next ?? ""}"`;
        throw new CooperError("invalid", why);
      }
      units.push({ literal: next });
    }
  }
  return units;
}

/** Where a match that begins at `start` ends: as far away as possible, or as near. */
function matchEnd(units: Unit[], text: string[], start: number, longest: boolean): number | undefined {
  let ends = [start];
  for (const unit of units) {
    ends =
      unit === "many"
        ? afterMany(text, ends)
        : ends.filter((at) => matchesAt(text, at, unit)).map((at) => at + 1);
    if (ends.length === 0) return undefined;
  }
  return longest ? ends.at(-1) : ends[0];
}

function matchesAt(text: string[], at: number, unit: Exclude<Unit, "many">): boolean {
  const char = text[at];
  return unit === "any" ? char !== undefined && char !== "\n" : char === unit.literal;
}

/** Every place that `*` reaches from one of some ascending places. */
function afterMany(text: string[], starts: number[]): number[] {
  const ends: number[] = [];
  let next = 0;
  for (const start of starts) {
    for (let at = Math.max(start, next); at <= text.length; at++) {
      ends.push(at);
      next = at + 1;
      if (text[at] === "\n") break;
    }
  }
  return ends;
}

/** `${value#pattern}`; with `longest`, `${value##pattern}`. */
export function trimPrefix(value: string, pattern: string, longest: boolean): string {
  const text = [...value];
  const end = matchEnd(parsePattern(pattern), text, 0, longest);
  return end === undefined ? value : text.slice(end).join("");
}

/** `${value%pattern}`; with `longest`, `${value%%pattern}`: the prefix rule on everything turned round. */
export function trimSuffix(value: string, pattern: string, longest: boolean): string {
  const text = [...value].reverse();
  const end = matchEnd(parsePattern(pattern).reverse(), text, 0, longest);
  return end === undefined ? value : text.slice(end).reverse().join("");
}

/** `${value/pattern/replacement}`; with `all`, `${value//pattern/replacement}`. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const units = parsePattern(pattern);
  const text = [...value];
  const out: string[] = [];
  for (let at = 0, last = -1; at <= text.length; ) {
    const end = matchEnd(units, text, at, true);
    // As in Go, an empty match right behind another match does not count.
    if (end !== undefined && !(end === at && at === last)) {
      const match = text.slice(at, end).join("");
      out.push(all ? fillTemplate(replacement, match) : replacement);
      if (!all) return [...out, ...text.slice(end)].join("");
      last = end;
      if (end > at) {
        at = end;
        continue;
      }
    }
    if (at < text.length) out.push(text[at]!);
    at++;
  }
  return out.join("");
}

/** Go's ReplaceAllString reads `$name`, `${name}` and `$$` in the replacement; there are no groups but `$0`. */
function fillTemplate(template: string, match: string): string {
  return template.replace(/\$(?:\$|(\w+)|\{(\w+)\})/g, (_, plain?: string, braced?: string) => {
    const name = plain ?? braced;
    if (name === undefined) return "$";
    return name === "0" ? match : "";
  });
}
