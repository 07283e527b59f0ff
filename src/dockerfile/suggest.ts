/** "Did you mean …": the nearest of the known names for a misspelt one. */

const FARTHEST = 2;

/** The known name at most two edits away from `word`, or undefined. Case matters only when `ignoreCase` is false. */
export function nearName(word: string, known: Iterable<string>, ignoreCase = true): string | undefined {
  const wanted = ignoreCase ? word.toLowerCase() : word;
  let best: string | undefined;
  let least = FARTHEST + 1;
  for (const name of known) {
    const candidate = ignoreCase ? name.toLowerCase() : name;
    if (Math.abs(candidate.length - wanted.length) >= least) continue;
    const distance = editDistance(wanted, candidate, least);
    // A short word is near to everything: at least one letter must be right.
    if (distance < least && distance < Math.max(wanted.length, candidate.length)) {
      best = name;
      least = distance;
    }
  }
  return best;
}

/** The hint "Did you mean X?", or undefined when nothing is near. */
export function nearHint(word: string, known: Iterable<string>, prefix = ""): string | undefined {
  const name = nearName(word, known);
  return name === undefined || name === word ? undefined : `Did you mean ${prefix}${name}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours from `a` to `b`; some number ≥ `limit` when there are more. */
function editDistance(a: string, b: string, limit: number): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least >= limit) return limit;
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
