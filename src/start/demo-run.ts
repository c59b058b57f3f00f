import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { ClickHouse } from '../clickhouse/port.ts';
import type { Config } from '../config/schema.ts';
import { runDemo } from '../demo/demo.ts';
import { GEOIP_PLUGIN } from '../demo/geoip-plugin.ts';
import { SHOP_ROWS, shopPage, type ShopRow } from '../demo/shop-page.ts';
import { listen } from '../http/listen.ts';
import { observe } from '../observe/facts.ts';
import type { PostgresClient } from '../postgres/client.ts';
import { seedPlugin, seedTeam } from '../postgres/seed.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

/** The demo's own team. */
export interface DemoTeam {
  readonly token: string;
  readonly teamId: number;
}

/** The operator's settings; where they name no scripts of posthog-js, the demo brings them, and has its visitors recorded. */
export function demoConfig(config: Config): Config {
  if (config.capture.staticDir !== undefined) return config;
  const staticDir = dirname(createRequire(import.meta.url).resolve('posthog-js/dist/array.js'));
  return { ...config, capture: { ...config.capture, staticDir, recordings: true } };
}

/** Makes a team with a GeoIP plugin: before the tree stands, so that its plugins are loaded with it. */
export async function seedDemo(postgres: PostgresClient, clock: Clock): Promise<DemoTeam> {
  const token = `phc_demo_${clock.now().toString(36)}`;
  const teamId = await seedTeam(postgres, { token, name: 'Demo shop' });
  await seedPlugin(postgres, { teamId, name: 'GeoIP', files: GEOIP_PLUGIN });
  return { token, teamId };
}

export interface DemoRunOptions {
  readonly clock: Clock;
  readonly clickhouse: ClickHouse;
  readonly postgres: PostgresClient;
  readonly team: DemoTeam;
  readonly captureUrl: string;
  readonly outcomes: () => ReadonlyMap<string, number>;
  readonly write: (text: string) => void;
  readonly isTty: boolean;
}

/** Sends the demo's events as its team, and looks at the rows. Resolves with whether every count was right. */
export async function runDemoRound({
  clock,
  clickhouse,
  postgres,
  team,
  captureUrl,
  outcomes,
  write,
  isTty,
}: DemoRunOptions): Promise<boolean> {
  const { token, teamId } = team;
  let merges = 0;
  const stopCounting = observe('person-flushed', (fact) => (merges += fact.merged));
  try {
    return await runDemo({
      clock,
      captureUrl,
      token,
      teamId,
      query: (sql, params) => clickhouse.query(sql, params),
      async personCount() {
        const rows = await postgres.run<{ n: string }>(
          { name: 'demo-count-persons', text: 'SELECT count(*)::text AS n FROM posthog_person WHERE team_id = $1' },
          [teamId],
        );
        return Number(rows[0]?.n ?? -1);
      },
      outcomes,
      mergeCount: () => merges,
      print: write,
      isTty,
    });
  } finally {
    stopCounting();
  }
}

export interface ShopOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly clickhouse: ClickHouse;
  readonly team: DemoTeam;
  readonly captureUrl: string;
}

/** Opens the demo's web shop for this machine's browsers alone. Resolves to its address. */
export async function openShop({ config, clock, closers, clickhouse, team, captureUrl }: ShopOptions): Promise<string> {
  const handle = shopPage({
    captureUrl,
    token: team.token,
    recordings: config.capture.recordings,
    async rowsOf(uuids) {
      const rows = await clickhouse.query<Omit<ShopRow, 'properties'> & { properties: string }>(SHOP_ROWS, { team: team.teamId, uuids });
      return rows.map((row) => ({ ...row, properties: JSON.parse(row.properties) as ShopRow['properties'] }));
    },
  });
  const server = await listen({
    handle,
    host: '127.0.0.1',
    port: config.server.demoPort,
    clock,
    name: "the demo's shop",
    hostSetting: 'TROUPE_DEMO_PORT',
    portSetting: 'TROUPE_DEMO_PORT',
  });
  closers.push("the demo's shop", () => server.close(0));
  return server.url;
}
