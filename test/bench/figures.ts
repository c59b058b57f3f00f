/**
 * What a part of the benchmark hands back: figures, each with its baseline of the same run and its goal, if it has one.
 *
 * A figure is judged by its first goal only, and never rounded before it is judged.
 */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The baseline, measured in the same run. */
  readonly beside?: { readonly what: string; readonly value: number };
  /** What must hold. Without one the figure is only printed. */
  readonly goal?: Bound;
  /** What is hoped for: named in the table, not judged. */
  readonly hope?: Bound;
  /** Spread of the rounds, or what else a reader has to know. */
  readonly note?: string;
}
export type Bound = { readonly atMost: number } | { readonly atLeast: number };

export interface Part {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly date: string;
  readonly seconds: number;
  /** Load average over one minute, before and after; the benchmark itself is part of the second. */
  readonly load: readonly [number, number];
  readonly commit: string;
}

export function verdictOf({ value, goal }: Figure): 'met' | 'missed' | 'printed' {
  if (goal === undefined) return 'printed';
  return ('atMost' in goal ? value <= goal.atMost : value >= goal.atLeast) ? 'met' : 'missed';
}

/** Prints the figures; below bench.ts also hands them to it, and resolves when it has them. */
export async function deliver(figures: readonly Figure[]): Promise<void> {
  for (const figure of figures) {
    const cells = cellsOf(figure);
    console.log(
      `  ${cells.what.padEnd(66)} ${cells.value.padStart(16)}  ${cells.beside.padEnd(30)} ${cells.goal.padEnd(14)} ${cells.verdict}`,
    );
    if (cells.note !== '') console.log(`      ${cells.note}`);
  }
  if (process.send === undefined) return;
  await new Promise<void>((resolve, reject) => {
    process.send?.(figures, undefined, undefined, (error) => (error === null ? resolve() : reject(error)));
  });
}

export function cellsOf(figure: Figure): Readonly<Record<'what' | 'value' | 'beside' | 'goal' | 'verdict' | 'note', string>> {
  const { what, value, unit, beside, goal, hope, note = '' } = figure;
  return {
    what,
    value: `${amount(value)} ${unit}`,
    beside: beside === undefined ? '' : `${beside.what} ${amount(beside.value)}`,
    goal: [goal && bound(goal), hope && `(${bound(hope)})`].filter((text) => text !== undefined).join(' '),
    verdict: verdictOf(figure),
    note,
  };
}

const bound = (goal: Bound): string => ('atMost' in goal ? `≤ ${amount(goal.atMost)}` : `≥ ${amount(goal.atLeast)}`);

/** Three digits that mean something. */
export function amount(value: number): string {
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** `12.1 … 13.4`, the least and the greatest of the rounds. */
export function spread(values: readonly number[]): string {
  return `${amount(Math.min(...values))} … ${amount(Math.max(...values))} in ${values.length} rounds`;
}

/** Shared by the parts: `--quick` shrinks every sample to see that the benchmark runs, not what it says. */
export const isQuick = process.argv.includes('--quick');
