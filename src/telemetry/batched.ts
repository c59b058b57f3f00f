import type { Registry } from 'prom-client';

/**
 * A summary and a histogram that take many observations at once. prom-client's take one at a time (a summary sorts them for its
 * quantiles, which costs more than the events that are measured); facts come per batch, with sums and counts.
 */
type Labels<Label extends string> = Readonly<Record<Label, string | number>>;

export interface BatchedSummary<Label extends string> {
  /** `count` observations that together were `sum`. */
  add(labels: Labels<Label>, sum: number, count: number): void;
}

export interface BatchedHistogram<Label extends string> {
  /** `counts[n]`: observations of at most `2 ** n`, and above the bound before it. */
  add(labels: Labels<Label>, counts: readonly number[], sum: number): void;
}

interface Options<Label extends string> {
  readonly registry: Registry;
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
}

interface Series<Label extends string> {
  readonly labels: Labels<Label>;
  sum: number;
  count: number;
  readonly counts: number[];
}

/** `<name>_sum` and `<name>_count` of type summary, without quantiles. */
export function batchedSummary<Label extends string>(options: Options<Label>): BatchedSummary<Label> {
  const { name } = options;
  const find = register('summary', options, ({ labels, sum, count }) => [
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]);
  return {
    add(labels, sum, count) {
      if (count === 0) return;
      const series = find(labels);
      series.sum += sum;
      series.count += count;
    },
  };
}

/** Buckets are the powers of two from 1 to `2 ** maxExponent`. */
export function batchedHistogram<Label extends string>(
  options: Options<Label> & { readonly maxExponent: number },
): BatchedHistogram<Label> {
  const { name, maxExponent } = options;
  const find = register('histogram', options, ({ labels, sum, count, counts }) => {
    let below = 0;
    const buckets = Array.from({ length: maxExponent + 1 }, (_, exponent) => {
      below += counts[exponent] ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: 2 ** exponent }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
  return {
    add(labels, counts, sum) {
      const series = find(labels);
      series.sum += sum;
      for (const [exponent, count] of counts.entries()) {
        series.count += count;
        series.counts[exponent] = (series.counts[exponent] ?? 0) + count;
      }
    },
  };
}

/** Puts a metric of ours among prom-client's: it asks each for its values when somebody scrapes. */
function register<Label extends string>(
  type: 'summary' | 'histogram',
  { registry, name, help, labelNames }: Options<Label>,
  valuesOf: (series: Series<Label>) => readonly { readonly metricName: string; readonly labels: object; readonly value: number }[],
): (labels: Labels<Label>) => Series<Label> {
  const all = new Map<string, Series<Label>>();
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    labelNames,
    get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: [...all.values()].flatMap(valuesOf) }),
    reset: () => all.clear(),
  };
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  return (labels) => {
    const key = labelNames.map((label) => labels[label]).join('\n');
    let series = all.get(key);
    if (series === undefined) all.set(key, (series = { labels: { ...labels }, sum: 0, count: 0, counts: [] }));
    return series;
  };
}
