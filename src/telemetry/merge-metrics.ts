/**
 * Metrics texts of several processes in one: each series gets the label `worker` of the process it is of, so that nothing is added up that
 * must not be (gauges, ages) and Prometheus' `sum` and `max` say which is meant. Families stay together, as the format wants it.
 */
export function mergeMetrics(texts: ReadonlyMap<string, string>): string {
  const families = new Map<string, { readonly head: readonly string[]; readonly series: string[] }>();
  for (const [worker, text] of texts) {
    let series: string[] = [];
    let head: string[] = [];
    for (const line of text.split('\n')) {
      if (line === '') continue;
      if (!line.startsWith('#')) {
        series.push(labelled(line, worker));
        continue;
      }
      if (line.startsWith('# HELP ')) head = [];
      head.push(line);
      const name = line.split(' ', 3)[2] ?? '';
      const family = families.get(name) ?? { head, series: [] };
      families.set(name, family);
      series = family.series;
    }
  }
  return [...families.values()].map(({ head, series }) => `${[...head, ...series].join('\n')}\n`).join('\n');
}

function labelled(line: string, worker: string): string {
  const brace = line.indexOf('{');
  const blank = line.indexOf(' ');
  if (brace >= 0 && brace < blank) return `${line.slice(0, brace)}{worker="${worker}",${line.slice(brace + 1)}`;
  return `${line.slice(0, blank)}{worker="${worker}"}${line.slice(blank)}`;
}
