import fc from 'fast-check';
import { Counter, Histogram, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { createCounter, createHistogram } from '../../../src/telemetry/series.ts';

const METHODS = ['GET', 'POST', 'a "quoted"\\ one\n'] as const;
const BUCKETS = [0.005, 0.1, 1, 2.5, 10];
const labelNames = ['method', 'status'] as const;
const named = { name: 'n', help: 'What it is.' };

const labels = fc.record({ method: fc.constantFrom(...METHODS), status: fc.constantFrom(200, 503) });
const values = fc.oneof(fc.constantFrom(...BUCKETS), fc.integer({ min: 0, max: 20 }), fc.float({ min: 0, max: 20, noNaN: true }));

describe('counters and histograms of ours print what those of prom-client do', () => {
  test('a counter, without labels', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const counters = [createCounter({ registry: ours, ...named, labelNames: [] }), new Counter({ ...named, registers: [theirs] })];
    expect(await ours.metrics()).toBe(await theirs.metrics()); // it is there before it counts
    for (const counter of counters) {
      counter.inc();
      counter.inc(41);
    }
    expect(await ours.metrics()).toBe(await theirs.metrics());
    for (const counter of counters) counter.reset();
    expect(await ours.metrics()).toBe(await theirs.metrics());
  });

  test('a counter, whatever is counted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(labels, values)), async (counted) => {
        const [ours, theirs] = [new Registry(), new Registry()];
        const counter = createCounter({ registry: ours, ...named, labelNames });
        const reference = new Counter({ ...named, labelNames, registers: [theirs] });
        for (const [of, by] of counted) {
          counter.inc(of, by);
          reference.inc(of, by);
        }
        expect(await ours.metrics()).toBe(await theirs.metrics());
      }),
    );
  });

  test('a histogram, without labels and with, whatever is observed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(labels, values)), async (observed) => {
        const [ours, theirs] = [new Registry(), new Registry()];
        const plain = [
          createHistogram({ registry: ours, ...named, buckets: BUCKETS, labelNames: [] }),
          new Histogram({ ...named, buckets: BUCKETS, registers: [theirs] }),
        ];
        const labelled = [
          createHistogram({ registry: ours, name: 'l', help: 'With labels.', buckets: BUCKETS, labelNames }),
          new Histogram({ name: 'l', help: 'With labels.', buckets: BUCKETS, labelNames, registers: [theirs] }),
        ];
        for (const [of, value] of observed) {
          for (const histogram of plain) histogram.observe(value);
          for (const histogram of labelled) histogram.observe(of, value);
        }
        expect(await ours.metrics()).toBe(await theirs.metrics());
      }),
    );
  });

  test('a label that has no value is left out', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    createCounter({ registry: ours, ...named, labelNames }).inc({ method: 'GET' });
    new Counter({ ...named, labelNames, registers: [theirs] }).inc({ method: 'GET' });
    expect(await ours.metrics()).toBe(await theirs.metrics());
  });

  test.for([-1, Number.NaN, Infinity])('a counter cannot grow by %s, and a bug that would have it so is heard of', (by) => {
    const counter = createCounter({ registry: new Registry(), ...named, labelNames: [] });
    expect(() => counter.inc(by)).toThrow(RangeError);
  });

  test('a histogram cannot observe what is no number', () => {
    const histogram = createHistogram({ registry: new Registry(), ...named, buckets: BUCKETS, labelNames: [] });
    expect(() => histogram.observe(Number.NaN)).toThrow(RangeError);
  });
});
