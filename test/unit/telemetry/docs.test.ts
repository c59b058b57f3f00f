import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAccounts } from '../../../src/telemetry/account.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';

const read = (path: string): string => readFileSync(join(import.meta.dirname, '../../..', path), 'utf8');
const page = read('docs/instrumentation.md');

describe('docs/instrumentation.md', () => {
  it('has a row for each fact', () => {
    const files = ['facts', 'capture-facts', 'config-facts', 'guard-facts'].map((file) => read(`src/observe/${file}.ts`));
    const names = [...files.join('').matchAll(/^ {2}'([a-z-]+)':/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([]);
  });

  it('names each metric', async () => {
    const metrics = createMetrics({ processMetrics: false, account: createAccounts().read });
    metrics.stop();
    const names = [...(await metrics.text()).matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('otel-collector.yaml', () => {
  const collector = read('otel-collector.yaml').replaceAll(/^\s*#.*$/gm, '');

  it('limits memory before anything else, in every pipeline', () => {
    const pipelines = [...collector.matchAll(/processors: \[(\w+)/g)].map(([, first]) => first);
    expect(pipelines).toEqual(['memory_limiter', 'memory_limiter']);
  });

  it('has no part that the collector gave up', () => {
    expect(collector).not.toMatch(/^\s*(logging|batch|opencensus|jaeger):/m);
    expect(collector).not.toMatch(/^\s*address:/m);
  });
});
