import type { Troupe } from '../../supervisors/root.ts';
import { personKey } from '../../supervisors/teams.ts';
import type { ClickHouse } from '../clickhouse/port.ts';
import { teamId } from '../domain/ids.ts';
import { partitionOfKey } from '../domain/murmur2.ts';
import type { DeadEvent, InspectionSource } from '../http/inspection.ts';
import type { TopicAdmin } from '../kafka/port.ts';
import { observe, type Facts } from '../observe/facts.ts';
import type { PersonStore, TeamStore } from '../postgres/port.ts';
import type { Clock } from '../runtime/clock.ts';

const RECENT_COUNT = 10_000;
const RECENT_DEAD_COUNT = 100;

/** What the inspector reads: the runtime as it is, the ledgers, the stores, and the last events that made no row. */
export interface InspectionParts {
  readonly troupe: () => Troupe | undefined;
  /** Undefined with output kafka. */
  readonly clickhouse: Pick<ClickHouse, 'query'> | undefined;
  readonly persons: PersonStore;
  readonly teams: TeamStore;
  readonly admin: TopicAdmin;
  readonly inputTopic: string;
  readonly clock: Clock;
}

/** Remembers the few events that end without a row; the many that are stored are found by their row. */
export function createInspectionSource(parts: InspectionParts): InspectionSource & { stop(): void } {
  const ended = new Map<string, Facts['event-ended']>();
  const deadEvents: DeadEvent[] = [];
  const deadCounts: Record<string, number> = {};
  const stopEnded = observe('event-ended', (fact) => {
    if (ended.size >= RECENT_COUNT) {
      const oldest = ended.keys().next().value;
      if (oldest !== undefined) ended.delete(oldest);
    }
    ended.set(fact.uuid.toLowerCase(), fact);
  });
  // Not from 'event-ended': who finds poison that has no uuid, or a row that is refused, states no such fact.
  const stopDead = observe('dead-letter-produced', ({ reason, count, places }) => {
    deadCounts[reason] = (deadCounts[reason] ?? 0) + count;
    const atMs = parts.clock.now();
    for (const place of places) deadEvents.unshift({ reason, ...place, atMs });
    deadEvents.length = Math.min(deadEvents.length, RECENT_DEAD_COUNT);
  });
  const inspect = () => parts.troupe()?.tree().system.inspect;

  return {
    stop() {
      stopEnded();
      stopDead();
    },
    tree: (childLimitCount) => inspect()?.tree(childLimitCount) ?? { path: '/', actor: undefined, children: [], childCount: 0 },
    actors: (filter) => inspect()?.list(filter) ?? [],
    actor: (path) => inspect()?.one(path),
    ledgers: () => Promise.resolve([...(parts.troupe()?.tree().intakes.ledgers() ?? [])]),
    async person({ teamId: team, distinctId }) {
      const [[found], [row], counts] = await Promise.all([
        parts.persons.load([{ teamId: teamId(team), distinctId }]),
        parts.teams.byId([team]),
        parts.admin.describeTopics([parts.inputTopic]),
      ]);
      const path = parts.troupe()?.tree().teams.people.pathOf(personKey(team, distinctId));
      const actor = path === undefined ? undefined : inspect()?.one(path);
      const partitions = counts.get(parts.inputTopic);
      const partition =
        row === undefined || partitions === undefined ? undefined : partitionOfKey(Buffer.from(`${row.token}:${distinctId}`), partitions);
      const ledger = parts
        .troupe()
        ?.tree()
        .intakes.ledgers()
        .find((one) => one.topic === parts.inputTopic && one.partition === partition);
      if (found === undefined && actor === undefined) return undefined;
      return {
        person:
          found === undefined
            ? null
            : {
                id: found.person.id,
                version: found.person.version,
                isIdentified: found.person.isIdentified,
                mappingVersion: found.mappingVersion,
              },
        topic: parts.inputTopic,
        partition: partition ?? null,
        ownedHere: ledger !== undefined,
        actor: actor ?? null,
      };
    },
    async event(uuid) {
      const end = ended.get(uuid);
      if (end !== undefined) return { ...end, uuid };
      if (parts.clickhouse === undefined) {
        return {
          outcome: 'unknown',
          uuid,
          detail: 'Rows go to Kafka (TROUPE_OUTPUT=kafka): whether this one is stored, ClickHouse knows.',
        };
      }
      const [row] = await parts.clickhouse.query<Record<string, unknown>>(
        `SELECT 'stored' AS outcome, toString(e.uuid) AS uuid, event, team_id, toString(e.timestamp) AS timestamp, toString(e.person_id) AS person_id,
                _topic AS topic, _partition AS partition, _offset AS offset
         FROM events AS e WHERE e.uuid = {uuid:UUID} LIMIT 1`,
        { uuid },
      );
      return row;
    },
    deadLetters: () => {
      const letters = parts.troupe()?.tree().system.deadLetters;
      return Promise.resolve({
        messages: { counts: letters?.counts() ?? {}, recent: letters?.recent() ?? [] },
        events: { counts: deadCounts, recent: deadEvents },
      });
    },
  };
}
