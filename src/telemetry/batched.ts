import { histogramValues, registerSeries, type Labels, type MetricOptions } from './series.ts';

/**
 * A summary and a histogram that take many observations at once. prom-client's take one at a time (a summary sorts them for its
 * quantiles, which costs more than the events that are measured); facts come per batch, with sums and counts.
 */
export interface BatchedSummary<Label extends string> {
  /** `count` observations that together were `sum`. */
  add(labels: Labels<Label>, sum: number, count: number): void;
}

export interface BatchedHistogram<Label extends string> {
  /** `counts[n]`: observations of at most `2 ** n`, and above the bound before it. */
  add(labels: Labels<Label>, counts: readonly number[], sum: number): void;
}

/** `<name>_sum` and `<name>_count` of type summary, without quantiles. */
export function batchedSummary<Label extends string>(options: MetricOptions<Label>): BatchedSummary<Label> {
  const { name } = options;
  const all = registerSeries<Label, { readonly labels: Labels<Label>; sum: number; count: number }>(options, {
    type: 'summary',
    begin: (labels) => ({ labels, sum: 0, count: 0 }),
    valuesOf: ({ labels, sum, count }) => [
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ],
  });
  return {
    add(labels, sum, count) {
      if (count === 0) return;
      const series = all.of(labels);
      series.sum += sum;
      series.count += count;
    },
  };
}

/** Buckets are the powers of two from 1 to `2 ** maxExponent`. */
export function batchedHistogram<Label extends string>(
  options: MetricOptions<Label> & { readonly maxExponent: number },
): BatchedHistogram<Label> {
  const { name, maxExponent } = options;
  const buckets = Array.from({ length: maxExponent + 1 }, (_, exponent) => 2 ** exponent);
  const all = registerSeries<Label, { readonly labels: Labels<Label>; readonly counts: number[]; sum: number }>(options, {
    type: 'histogram',
    begin: (labels) => ({ labels, counts: [], sum: 0 }),
    valuesOf: (series) => histogramValues(name, buckets, series),
  });
  return {
    add(labels, counts, sum) {
      const series = all.of(labels);
      series.sum += sum;
      for (const [exponent, count] of counts.entries()) series.counts[exponent] = (series.counts[exponent] ?? 0) + count;
    },
  };
}
