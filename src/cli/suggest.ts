/** The nearest of some names to a mistyped one. */

/** Number of edits (insert, delete, replace, swap of neighbours) between two words. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, previous[j]! + 1, row[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The name that was probably meant: a prefix's only completion, or at most a third of the letters away. */
export function nearestName(word: string, names: Iterable<string>): string | undefined {
  const all = [...names];
  const completions = all.filter((name) => name.startsWith(word));
  if (completions.length === 1) return completions[0];
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const name of all) {
    const edits = editDistance(word, name);
    if (edits < distance) {
      best = name;
      distance = edits;
    }
  }
  return best;
}
