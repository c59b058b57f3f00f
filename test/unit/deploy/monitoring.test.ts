import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { state } from '../../../src/observe/facts.ts';
import { createAccounts } from '../../../src/telemetry/account.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { read as readExpression } from '../../kit/promql.ts';

const ROOT = join(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Series {
  readonly type: string;
  readonly labels: readonly string[];
}

/** Every series that /metrics can have: a histogram is three, a summary that is fed by batches two. */
const series = ((): ReadonlyMap<string, Series> => {
  const metrics = createMetrics({ account: createAccounts().read });
  metrics.stop();
  return new Map(
    metrics.catalogue().flatMap(({ name, type, labels }): [string, Series][] => {
      if (type !== 'histogram' && type !== 'summary') return [[name, { type, labels }]];
      const parts: [string, Series][] = ['_sum', '_count'].map((end) => [name + end, { type: 'counter', labels }]);
      return type === 'summary' ? parts : [...parts, [`${name}_bucket`, { type: 'counter', labels: [...labels, 'le'] }]];
    }),
  );
})();
/** Prometheus' own, on every series. */
const TARGET = ['instance', 'job'];
const OF_COUNTERS = new Set(['rate', 'irate', 'increase']);

/** What is wrong with an expression; nothing when it can have an answer. */
function problemsOf(promql: string): string[] {
  const { asked, grouped } = readExpression(promql.replaceAll('$__rate_interval', '5m'));
  if (asked.length === 0) return ['asks for no metric'];
  const labelsOf = (metric: string): readonly string[] => [...TARGET, ...(series.get(metric)?.labels ?? [])];
  return [
    ...asked.flatMap(({ metric, labels, within = '' }) => {
      const one = series.get(metric);
      if (one === undefined) return [`/metrics has no ${metric}`];
      return [
        ...labels.filter((label) => !labelsOf(metric).includes(label)).map((label) => `${metric} has no label ${label}`),
        ...(one.type !== 'counter' && OF_COUNTERS.has(within) ? [`${metric} is a ${one.type}, and has no ${within}`] : []),
        ...(one.type === 'counter' && !OF_COUNTERS.has(within) ? [`${metric} is a counter: its value says nothing`] : []),
      ];
    }),
    ...grouped
      .filter((label) => asked.some(({ metric }) => !labelsOf(metric).includes(label)))
      .map((label) => `not all have the label ${label}`),
  ];
}

/** Routes that an expression names by its matchers of `path`. */
const pathsIn = (promql: string): string[] =>
  [...promql.matchAll(/path=~"([^"]*)"/g)].flatMap(([, pattern = '']) => {
    const [, inner] = /^\/\((.*)\)$/.exec(pattern) ?? [];
    return inner === undefined ? pattern.split('|') : inner.split('|').map((path) => `/${path}`);
  });

describe('what the checks of this file find', () => {
  it.each([
    ['rate(http_request_total[5m])', '/metrics has no http_request_total'],
    ['sum by (route) (rate(http_requests_total[5m]))', 'not all have the label route'],
    ['sum(rate(http_requests_total{code="200"}[5m]))', 'http_requests_total has no label code'],
    ['rate(troupe_in_flight[5m])', 'troupe_in_flight is a gauge, and has no rate'],
    ['http_requests_total > 0', 'http_requests_total is a counter: its value says nothing'],
    ['time()', 'asks for no metric'],
  ])('%s', (promql, problem) => expect(problemsOf(promql)).toEqual([problem]));

  it('brackets that stay open', () => expect(() => problemsOf('sum(rate(http_requests_total[5m])')).toThrow('stays open'));
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}
interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
}

describe.each(['capture', 'ingestion'])('row 6: deploy/grafana/%s.json', (name) => {
  const dashboard = JSON.parse(read(`deploy/grafana/${name}.json`)) as Dashboard;
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');
  const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [`${title}: ${expr}`, expr] as const));

  it.each(expressions)('%s', (_, expr) => expect(problemsOf(expr)).toEqual([]));

  it('every panel says what it shows, once, and names its lines by labels that they have', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    for (const { title, description, targets = [] } of panels) {
      expect(description, title).toMatch(/\.$/);
      for (const { expr, legendFormat } of targets) {
        const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
        expect(
          named.filter((label) => !readExpression(expr.replaceAll('$__rate_interval', '5m')).grouped.includes(label ?? '')),
          title,
        ).toEqual([]);
      }
    }
  });

  it('no two panels lie on one another', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
  });

  it('asks for the variables that it has, and offers the processes of a metric that there is', () => {
    const names = dashboard.templating.list.map((one) => one.name);
    const used = [...JSON.stringify(dashboard).matchAll(/\$\{?(?!__)([a-z]\w*)/g)].map(([, variable]) => variable);
    expect([...new Set(used)].sort()).toEqual(names.sort());
    const [, metric = ''] = /label_values\((\w+), instance\)/.exec(JSON.stringify(dashboard.templating)) ?? [];
    expect(series.has(metric)).toBe(true);
  });
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

describe('row 6: deploy/prometheus/alerts.yaml', () => {
  const { groups } = parse(read('deploy/prometheus/alerts.yaml')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  const headings = [...read('docs/runbook.md').matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);

  it.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (_, { expr, labels, annotations: { summary, runbook } }) => {
    expect(problemsOf(expr)).toEqual([]);
    expect(['warning', 'critical']).toContain(labels.severity);
    expect(headings).toContain(runbook);
    // What the summary names is there when it fires: after an aggregation only what it is grouped by.
    const { asked, grouped } = readExpression(expr);
    const left =
      /^(sum|max|min) |histogram_quantile/.test(expr) || grouped.length > 0
        ? grouped
        : asked.flatMap(({ metric }) => [...TARGET, ...(series.get(metric)?.labels ?? [])]);
    const named = [...summary.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label ?? '');
    expect(named.filter((label) => !left.includes(label))).toEqual([]);
  });

  it('has what the documents tell to alert on', () => {
    const told = ['docs/capture.md', 'docs/runbook.md'].flatMap((path) =>
      [...read(path).matchAll(/Alert on([^]*?)\.\s/g)].flatMap(([, sentence = '']) =>
        [...sentence.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code),
      ),
    );
    const metrics = told.flatMap((code) => readExpression(code).asked.map(({ metric }) => metric));
    expect(metrics.length).toBeGreaterThan(4);
    const watched = rules.flatMap(({ expr }) => readExpression(expr).asked.map(({ metric }) => metric));
    expect(metrics.filter((metric) => !watched.includes(metric))).toEqual([]);
  });

  it('the paths that are named are labels of requests', async () => {
    const dashboards = ['capture', 'ingestion'].map((name) => JSON.parse(read(`deploy/grafana/${name}.json`)) as Dashboard);
    const panels = dashboards.flatMap((dashboard) => dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)));
    const paths = [...new Set([...rules.map(({ expr }) => expr), ...panels].flatMap(pathsIn))].sort();
    expect(paths.length).toBeGreaterThan(8);
    const metrics = createMetrics({ processMetrics: false });
    const client = { address: undefined, forwardedFor: undefined, userAgent: undefined, referer: undefined };
    for (const path of paths) {
      const answered = {
        method: 'POST',
        path,
        status: 200,
        events: 1,
        bytes: 1,
        sentBytes: 15,
        isLogged: false,
        durationMs: 1,
        reason: undefined,
        requestId: '',
        client,
      };
      state('capture-request-answered', answered);
    }
    const labels = [...(await metrics.text()).matchAll(/^http_requests_total\{method="POST",path="([^"]*)"/gm)].map(([, path]) => path);
    metrics.stop();
    expect(labels.sort()).toEqual(paths);
  });
});
