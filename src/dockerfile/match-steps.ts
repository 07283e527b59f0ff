/**
 * Patterns with several wildcards, matched in time that grows with the text and the pattern only. JavaScript's regular
 * expressions try every division of the text among the wildcards, which for a pattern made to be slow never ends; Go's,
 * which these patterns are written for, do not.
 */

/** A part of a pattern, and how it reads as a regular expression. */
export type MatchStep =
  | { kind: "one"; test: (char: string) => boolean }
  | { kind: "star" } // [^/]*
  | { kind: "rest" } // .*
  | { kind: "directories" }; // (.*/)?

/** How many wildcards a regular expression may have before it can become slow. */
export const FEW_WILDCARDS = 2;

/** Adds a part; a wildcard behind the same one says nothing more. */
export function addStep(steps: MatchStep[], step: MatchStep): void {
  if (step.kind === "one" || steps.at(-1)?.kind !== step.kind) steps.push(step);
}

/** Whether the parts match the whole of a text, all ways at once. */
export function matchSteps(steps: readonly MatchStep[], text: string): boolean {
  // Place 2i is in front of part i, place 2i + 1 within its directories.
  let places = new Set<number>();
  enter(steps, places, 0);
  for (const char of text) {
    const next = new Set<number>();
    for (const place of places) advance(steps, next, place, char);
    if (next.size === 0) return false;
    places = next;
  }
  return places.has(2 * steps.length);
}

/** The place in front of a part, and behind it where it may be empty. */
function enter(steps: readonly MatchStep[], places: Set<number>, index: number): void {
  for (let at = index; ; at++) {
    places.add(2 * at);
    if (at === steps.length || steps[at]!.kind === "one") return;
  }
}

function advance(steps: readonly MatchStep[], next: Set<number>, place: number, char: string): void {
  const index = place >> 1;
  const step = steps[index];
  if (step === undefined) return;
  if (step.kind === "one") {
    if (step.test(char)) enter(steps, next, index + 1);
  } else if (step.kind === "star") {
    if (char !== "/") enter(steps, next, index);
  } else if (char !== "\n") {
    if (step.kind === "rest") enter(steps, next, index);
    else {
      next.add(2 * index + 1);
      if (char === "/") enter(steps, next, index + 1);
    }
  }
}
