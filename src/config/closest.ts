/**
 * The candidate that `name` was most likely meant to be, or undefined when none is near: at most a third of its letters differ.
 * Compared without regard to the order of the words between underscores, because that is what people mix up.
 */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  const sorted = (text: string): string => text.toUpperCase().split('_').sort().join('_');
  let best: string | undefined;
  let bestDistance = Math.floor(name.length / 3) + 1;
  for (const candidate of candidates) {
    const distance = Math.min(editDistance(name.toUpperCase(), candidate), 1 + editDistance(sorted(name), sorted(candidate)));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance: letters to insert, delete or replace. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
