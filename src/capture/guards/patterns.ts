/** The keys that lead to a property, its own included, in lower case; undefined where they are more than any pattern has. */
export type Way = readonly string[] | undefined;

/** Tells for a property whether one of the patterns names it. */
export interface PropertyPatterns {
  matches(key: string, way: Way): boolean;
  /** Steps of the longest path; 0 when no pattern is a path, and no way is looked at. */
  readonly stepCount: number;
}

/**
 * Compiles patterns of names. A pattern without a dot is a name, wherever it stands: `password`, `*_token`. One with dots is a path from the
 * top, `address.street`, `user.*.email`, and the same for a key that has the dots in it. `*` stands for any letters: of a path, within one step.
 * The case of letters does not count: who asks for `email` to be left out does not want `Email` either.
 *
 * No regular expressions: keys are chosen by strangers, and one of many letters against one of many stars would take its time.
 */
export function compilePatterns(patterns: readonly string[]): PropertyPatterns {
  const lower = patterns.map((pattern) => pattern.toLowerCase());
  const exact = new Set(lower.filter((pattern) => !pattern.includes('.') && !pattern.includes('*')));
  const globs = lower.filter((pattern) => !pattern.includes('.') && pattern.includes('*')).map(globOf);
  const paths = lower.filter((pattern) => pattern.includes('.')).map((pattern) => pattern.split('.').map(globOf));
  return {
    matches(key, way) {
      const name = key.toLowerCase();
      if (exact.has(name) || globs.some((glob) => glob(name))) return true;
      if (way === undefined) return false;
      return paths.some((steps) => steps.length === way.length && steps.every((glob, index) => glob(way[index] ?? '')));
    },
    stepCount: Math.max(0, ...paths.map((steps) => steps.length)),
  };
}

/** The way to a key of the object that `way` leads to. */
export function wayTo(way: Way, key: string, stepCount: number): Way {
  if (way === undefined) return undefined;
  const further = [...way, ...key.toLowerCase().split('.')];
  return further.length > stepCount ? undefined : further;
}

/** Whether a text is the pattern: the parts between the stars one after the other, the first at the beginning and the last at the end. */
function globOf(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (parts.length === 1) return (text) => text === first;
  const middle = parts.slice(1, -1);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= text.length - last.length;
  };
}
