import type { Registry } from 'prom-client';

/**
 * Metrics of ours among prom-client's. Its own sort and join the names and values of all labels at every call and keep the buckets of a
 * histogram under their bounds as texts: several facts for each request made that a noticeable part of what capture costs
 * (test/bench/README.md). Here a series is found by its values alone, in the order of the label names.
 */
export type Labels<Label extends string> = Readonly<Partial<Record<Label, string | number>>>;

export interface Counter<Label extends string> {
  inc(count?: number): void;
  inc(labels: Labels<Label>, count?: number): void;
  /** Back to none. */
  reset(): void;
}

export interface Histogram<Label extends string> {
  observe(value: number): void;
  observe(labels: Labels<Label>, value: number): void;
}

export interface MetricOptions<Label extends string> {
  readonly registry: Registry;
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
}

/** One value of a scrape. */
interface Value {
  readonly metricName?: string;
  readonly labels: object;
  readonly value: number;
}

interface Kind<Label extends string, Series> {
  readonly type: 'counter' | 'histogram' | 'summary';
  /** With the labels that have a value. */
  readonly begin: (labels: Labels<Label>) => Series;
  readonly valuesOf: (series: Series) => readonly Value[];
}

interface AllSeries<Label extends string, Series> {
  /** The series of these labels, from now on scraped. */
  of(labels: Labels<Label>): Series;
  reset(): void;
}

/** prom-client asks each metric for its values when somebody scrapes. One without labels has its series from the start. */
export function registerSeries<Label extends string, Series>(
  { registry, name, help, labelNames }: MetricOptions<Label>,
  { type, begin, valuesOf }: Kind<Label, Series>,
): AllSeries<Label, Series> {
  const all = new Map<string, Series>();
  const of = (labels: Labels<Label>): Series => {
    let key = '';
    for (const label of labelNames) key += `${labels[label]}\n`;
    let series = all.get(key);
    if (series === undefined) {
      const named = labelNames.filter((label) => labels[label] !== undefined).map((label) => [label, labels[label]]);
      all.set(key, (series = begin(Object.fromEntries(named) as Labels<Label>)));
    }
    return series;
  };
  const reset = (): void => {
    all.clear();
    if (labelNames.length === 0) of(NONE);
  };
  reset();
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    labelNames,
    get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: [...all.values()].flatMap(valuesOf) }),
    reset,
  };
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  return { of, reset };
}

export function createCounter<Label extends string>(options: MetricOptions<Label>): Counter<Label> {
  const series = registerSeries<Label, { readonly labels: Labels<Label>; value: number }>(options, {
    type: 'counter',
    begin: (labels) => ({ labels, value: 0 }),
    valuesOf: ({ labels, value }) => [{ labels, value }],
  });
  function inc(labels: Labels<Label> | number = NONE, count = 1): void {
    const by: number = typeof labels === 'number' ? labels : count;
    if (!(by >= 0 && by < Infinity)) throw new RangeError(`${options.name} cannot grow by ${by}`);
    series.of(typeof labels === 'number' ? NONE : labels).value += by;
  }
  return { inc, reset: () => series.reset() };
}

interface Distribution<Label extends string> {
  readonly labels: Labels<Label>;
  /** Of each bucket alone; the last is for what is above all bounds. */
  readonly counts: number[];
  sum: number;
}

export function createHistogram<Label extends string>(
  options: MetricOptions<Label> & { /** Ascending. */ readonly buckets: readonly number[] },
): Histogram<Label> {
  const { name, buckets } = options;
  const series = registerSeries<Label, Distribution<Label>>(options, {
    type: 'histogram',
    begin: (labels) => ({ labels, counts: new Array<number>(buckets.length + 1).fill(0), sum: 0 }),
    valuesOf: (distribution) => histogramValues(name, buckets, distribution),
  });
  function observe(labels: Labels<Label> | number, value = 0): void {
    const observed: number = typeof labels === 'number' ? labels : value;
    if (!Number.isFinite(observed)) throw new RangeError(`${name} cannot observe ${observed}`);
    const distribution = series.of(typeof labels === 'number' ? NONE : labels);
    let at = 0;
    while (at < buckets.length && observed > (buckets[at] ?? Infinity)) at++;
    distribution.counts[at] = (distribution.counts[at] ?? 0) + 1;
    distribution.sum += observed;
  }
  return { observe };
}

/** What a histogram is in a scrape: for each bound what is not above it, then sum and count. */
export function histogramValues(
  name: string,
  buckets: readonly number[],
  { labels, counts, sum }: { readonly labels: object; readonly counts: readonly number[]; readonly sum: number },
): readonly Value[] {
  let below = 0;
  const bounded = buckets.map((le, at) => {
    below += counts[at] ?? 0;
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below };
  });
  const count = counts.reduce((total, one) => total + one, 0);
  return [
    ...bounded,
    { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

const NONE: Labels<never> = Object.freeze({});
