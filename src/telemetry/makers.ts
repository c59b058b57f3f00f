import { Gauge, Summary, type Registry } from 'prom-client';
import { observe, type FactName, type Facts } from '../observe/facts.ts';
import { createCounter, createHistogram, type Counter, type Histogram } from './series.ts';

/** Seconds, from a cached read to a stuck sink. */
export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Rows or records in one batch. */
export const COUNTS = [1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000];

/** What is done with facts, by their names. */
export type FactListeners = { readonly [Name in FactName]?: (fact: Facts[Name]) => void };

/** Metrics of one registry, in as few words as they need. */
export interface Makers {
  counter<Label extends string>(this: void, name: string, help: string, ...labelNames: Label[]): Counter<Label>;
  gauge<Label extends string>(this: void, name: string, help: string, ...labelNames: Label[]): Gauge<Label>;
  histogram<Label extends string>(
    this: void,
    name: string,
    help: string,
    buckets: readonly number[],
    ...labelNames: Label[]
  ): Histogram<Label>;
  summary(this: void, name: string, help: string): Summary;
}

export function createMakers(registry: Registry): Makers {
  const registers = [registry];
  return {
    counter: (name, help, ...labelNames) => createCounter({ registry, name, help, labelNames }),
    gauge: (name, help, ...labelNames) => new Gauge({ name, help, labelNames, registers }),
    histogram: (name, help, buckets, ...labelNames) => createHistogram({ registry, name, help, buckets, labelNames }),
    summary: (name, help) => new Summary({ name, help, percentiles: [0.5, 0.9, 0.95, 0.99], registers }),
  };
}

/** Returns the function that stops listening. */
export function listenToFacts(listeners: FactListeners): () => void {
  const ends = (Object.keys(listeners) as FactName[]).map((name) => listen(name, listeners));
  return () => {
    for (const end of ends) end();
  };
}

function listen<Name extends FactName>(name: Name, listeners: FactListeners): () => void {
  const listener: ((fact: Facts[Name]) => void) | undefined = listeners[name];
  return listener === undefined ? () => undefined : observe(name, listener);
}
