import { describe } from 'vitest';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import { POSTHOG_CLICKHOUSE } from '../kit/posthog-clickhouse.ts';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse } from '../services/clickhouse.ts';
import { describeClickHouse, type StoredEvent } from './clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

/** @param tables our own, or those of a PostHog that were migrated */
function describeEngine(name: string, tables: 'ours' | 'of a PostHog'): void {
  describeClickHouse(name, async () => {
    const server = await startClickHouse({ tables: false });
    const clickhouse = server.client();
    if (tables === 'of a PostHog') for (const statement of POSTHOG_CLICKHOUSE.values()) await clickhouse.command(statement);
    await ensureClickHouseSchema(clickhouse, { database: 'default', migrate: tables === 'of a PostHog' });
    return {
      clickhouse,
      events: (topic) =>
        clickhouse.query<StoredEvent>(
          `SELECT toString(uuid) AS uuid, event, distinct_id AS distinctId, elements_chain AS elementsChain, properties,
             toInt64(toUnixTimestamp64Milli(timestamp)) AS timestampMs, team_id AS teamId, toString(person_id) AS personId,
             person_mode AS personMode, _offset AS offset
           FROM events WHERE _topic = {topic:String} ORDER BY _partition, _offset`,
          { topic },
        ),
      count: async (table) => Number((await clickhouse.query<{ n: number }>(`SELECT count() AS n FROM ${table}`))[0]?.n),
      close: () => server.stop(),
    };
  });
}

describe.skipIf(!engine.available)('the real engine', () => {
  describeEngine('engine over HTTP', 'ours');
  describeEngine('engine over HTTP, on the tables of a PostHog', 'of a PostHog');
});
