import { randomUUID } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import { startProbe } from './probe.ts';
import { planShop, playShop } from './shop.ts';

/** What the demo reads from the running system; main.ts supplies it. */
export interface DemoDeps {
  readonly clock: Clock;
  readonly captureUrl: string;
  /** Token and id of the team that was made for this run, so that a second run counts its own events only. */
  readonly token: string;
  readonly teamId: number;
  readonly query: <Row>(sql: string, params?: Readonly<Record<string, unknown>>) => Promise<Row[]>;
  readonly personCount: () => Promise<number>;
  /** Totals by outcome since the process started, e.g. 'dropped invalid_token'. */
  readonly outcomes: () => ReadonlyMap<string, number>;
  readonly mergeCount: () => number;
  readonly print: (text: string) => void;
  readonly isTty: boolean;
}

const VISITORS = 200;

interface Check {
  readonly name: string;
  readonly value: number | string;
  /** Undefined: shown, not judged. */
  readonly expected?: number;
}

/** Plays the shop, waits for its rows, prints the table. Resolves to whether every count was right. */
export async function runDemo(deps: DemoDeps): Promise<boolean> {
  const { clock, print } = deps;
  const plan = planShop(VISITORS);
  print(`Playing a small web shop: ${VISITORS} visitors, through the unmodified posthog-node, at ${deps.captureUrl}\n`);
  const startedMs = clock.monotonic();
  const stored = async (): Promise<number> => {
    const [row] = await deps.query<{ n: string }>('SELECT count() AS n FROM events WHERE team_id = {team:Int64}', { team: deps.teamId });
    return Number(row?.n ?? 0);
  };
  const probe = startProbe({
    host: deps.captureUrl,
    token: deps.token,
    clock,
    everyMs: 50,
    newUuid: randomUUID,
    visible: async (uuids) =>
      (
        await deps.query<{ uuid: string }>('SELECT uuid FROM events WHERE team_id = {team:Int64} AND uuid IN {uuids:Array(UUID)}', {
          team: deps.teamId,
          uuids,
        })
      ).map((row) => row.uuid),
  });
  let shownMs = 0;
  const { sent, refused } = await playShop({
    host: deps.captureUrl,
    token: deps.token,
    unknownToken: 'phc_nobody_has_this_token',
    visitors: VISITORS,
    progress: (count) => {
      if (!deps.isTty || clock.monotonic() - shownMs < 100) return;
      shownMs = clock.monotonic();
      print(`\r  sent ${count} events …`);
    },
  });
  const probes = await probe.finish(60_000);
  const expectedRows = plan.accepted + probes.sent;
  const deadline = clock.monotonic() + 60_000;
  let rows = await stored();
  while (rows < expectedRows && clock.monotonic() < deadline) {
    await new Promise<void>((resolve) => void clock.after(50, resolve));
    rows = await stored();
  }
  const elapsedS = (clock.monotonic() - startedMs) / 1000;
  if (deps.isTty) print('\r                                  \r');

  const [duplicates] = await deps.query<{ n: string }>('SELECT count() - uniqExact(uuid) AS n FROM events WHERE team_id = {team:Int64}', {
    team: deps.teamId,
  });
  const [disorder] = await deps.query<{ n: string }>(
    `SELECT countIf(seq < before) AS n FROM (
       SELECT JSONExtractInt(properties, 'seq') AS seq,
              lagInFrame(seq, 1, -1) OVER (PARTITION BY distinct_id ORDER BY _partition, _offset ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before
       FROM events WHERE team_id = {team:Int64} AND JSONHas(properties, 'seq'))`,
    { team: deps.teamId },
  );
  const outcomes = deps.outcomes();
  const deadLettered = [...outcomes].filter(([name]) => name.startsWith('dead-lettered')).reduce((sum, [, count]) => sum + count, 0);
  const checks: Check[] = [
    { name: 'sent', value: sent + probes.sent },
    { name: 'stored', value: rows, expected: expectedRows },
    { name: 'refused by capture (broken uuid)', value: refused, expected: plan.brokenUuid },
    { name: 'dropped (invalid_token)', value: outcomes.get('dropped invalid_token') ?? 0, expected: plan.unknownToken },
    { name: 'dead-lettered', value: deadLettered, expected: 0 },
    { name: 'persons', value: await deps.personCount(), expected: plan.persons + 1 },
    { name: 'merges of two persons', value: deps.mergeCount(), expected: plan.merges },
    { name: 'duplicates', value: Number(duplicates?.n ?? -1), expected: 0 },
    { name: 'out of order', value: Number(disorder?.n ?? -1), expected: 0 },
    { name: 'events/s (one SDK client, not a limit)', value: Math.round((sent + probes.sent) / elapsedS) },
    { name: `HTTP to visible row, ${probes.sent} probes`, value: `p50 ${probes.p50Ms} ms, p99 ${probes.p99Ms} ms` },
  ];
  print(tableOf(checks));
  await showQueries(deps);
  return checks.every(isRight);
}

const isRight = (check: Check): boolean => check.expected === undefined || check.expected === check.value;

function tableOf(checks: readonly Check[]): string {
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines = checks.map((check) => {
    const verdict = check.expected === undefined ? '' : isRight(check) ? '  ✓' : `  ✗ expected ${check.expected}`;
    return `  ${check.name.padEnd(width)}  ${String(check.value).padStart(8)}${verdict}`;
  });
  return `\n${lines.join('\n')}\n`;
}

const QUERIES: readonly { readonly title: string; readonly sql: string }[] = [
  {
    title: 'What people did',
    sql: 'SELECT event, count() AS events, uniq(person_id) AS persons FROM events WHERE team_id = {team:Int64} GROUP BY event ORDER BY events DESC LIMIT 6',
  },
  {
    title: 'Where from (a GeoIP plugin in the sandbox; IP Geolocation by DB-IP, https://db-ip.com)',
    sql: `SELECT JSONExtractString(properties, '$geoip_country_name') AS country, uniq(distinct_id) AS visitors
          FROM events WHERE team_id = {team:Int64} AND event = '$pageview' GROUP BY country ORDER BY visitors DESC, country LIMIT 6`,
  },
  {
    title: 'From first page to order, by person',
    sql: `SELECT countIf(pages > 0) AS saw_a_page, countIf(pages > 0 AND carts > 0) AS filled_a_cart, countIf(pages > 0 AND orders > 0) AS ordered
          FROM (SELECT coalesce(nullIf(o.person, toUUID('00000000-0000-0000-0000-000000000000')), e.person_id) AS person,
                       countIf(event = '$pageview') AS pages, countIf(event = 'added to cart') AS carts, countIf(event = 'order placed') AS orders
                FROM events AS e
                LEFT JOIN (SELECT distinct_id, argMax(person_id, version) AS person FROM person_distinct_id_overrides WHERE team_id = {team:Int64} GROUP BY distinct_id) AS o
                  ON e.distinct_id = o.distinct_id
                WHERE e.team_id = {team:Int64} GROUP BY person)`,
  },
  {
    title: 'Turnover by company',
    sql: `SELECT JSONExtractString(properties, '$group_0') AS company, count() AS orders, sum(JSONExtractInt(properties, 'price')) AS turnover
          FROM events WHERE team_id = {team:Int64} AND event = 'order placed' GROUP BY company ORDER BY turnover DESC LIMIT 3`,
  },
];

async function showQueries(deps: DemoDeps): Promise<void> {
  for (const { title, sql } of QUERIES) {
    const rows = await deps.query<Record<string, unknown>>(sql, { team: deps.teamId });
    deps.print(`\n${title}\n`);
    for (const row of rows) {
      deps.print(
        `  ${Object.entries(row)
          .map(([name, value]) => `${name} ${String(value)}`)
          .join('   ')}\n`,
      );
    }
  }
}
