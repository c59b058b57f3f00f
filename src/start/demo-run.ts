import type { ClickHouse } from '../clickhouse/port.ts';
import { runDemo } from '../demo/demo.ts';
import { GEOIP_PLUGIN } from '../demo/geoip-plugin.ts';
import { observe } from '../observe/facts.ts';
import type { PostgresClient } from '../postgres/client.ts';
import { seedPlugin, seedTeam } from '../postgres/seed.ts';
import type { Clock } from '../runtime/clock.ts';

/** The demo's own team. */
export interface DemoTeam {
  readonly token: string;
  readonly teamId: number;
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
