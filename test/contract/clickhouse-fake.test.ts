import { createFakeClickHouse, createFakeClickHouseServer } from '../kit/fake-clickhouse.ts';
import { describeClickHouse } from './clickhouse.ts';

const MODES = ['full', 'propertyless', 'force_upgrade'];

describeClickHouse('in memory', () => {
  const server = createFakeClickHouseServer();
  return Promise.resolve({
    clickhouse: createFakeClickHouse(server),
    events: (topic) =>
      Promise.resolve(
        server
          .events()
          .filter((row) => row['_topic'] === topic)
          .sort((a, b) => Number(a['_offset']) - Number(b['_offset']))
          .map((row) => ({
            uuid: String(row['uuid']),
            event: String(row['event']),
            distinctId: String(row['distinct_id']),
            elementsChain: String(row['elements_chain']),
            properties: String(row['properties']),
            timestampMs: Number(row['timestamp']),
            teamId: Number(row['team_id']),
            personId: String(row['person_id']),
            personMode: MODES[Number(row['person_mode'])] ?? '',
            offset: Number(row['_offset']),
          })),
      ),
    count: (table) => Promise.resolve(server.tables.get(table)?.length ?? 0),
    close: () => Promise.resolve(),
  });
});
