import { describe } from 'vitest';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse } from '../services/clickhouse.ts';
import { describeClickHouse, type StoredEvent } from './clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

describe.skipIf(!engine.available)('the real engine', () => {
  describeClickHouse('engine over HTTP', async () => {
    const server = await startClickHouse();
    const clickhouse = server.client();
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
});
