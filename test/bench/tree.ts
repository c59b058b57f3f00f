/**
 * The actors alone: the whole tree (supervisors/root.ts) with the real rules, encoders and settings, between stores in memory that
 * answer after the time a real one takes. What one event costs Troupe's own code and the garbage collector, without clients and sockets:
 * a change there shows in seconds, and on a machine that others use as well.
 *
 *     node test/bench/tree.ts [--root /work/main] [--events 60000] [--rounds 4] [--profile]
 *     node --max-semi-space-size=256 test/bench/tree.ts
 *
 * Each round is `events` of the mix, all of them in the log when it begins. Printed for each: CPU microseconds an event, all threads, and
 * how much of it the collector took on the main thread. `--root`: the tree of another checkout, to compare with.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { TroupeDeps } from '../../supervisors/deps.ts';
import type { Troupe } from '../../supervisors/root.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import type { Json } from '../../src/domain/event.ts';
import { partitionOfKey } from '../../src/domain/murmur2.ts';
import type { Person } from '../../src/domain/person.ts';
import { TEAM_DEFAULTS, type Team } from '../../src/domain/team.ts';
import { parseDropList } from '../../src/domain/token.ts';
import { personId, teamId } from '../../src/domain/ids.ts';
import type { ConsumerHandlers, KafkaRecord, RecordConsumer } from '../../src/kafka/port.ts';
import type { PersonStore } from '../../src/postgres/port.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { EMPTY_STATE } from '../kit/troupe.ts';
import { amount, median } from './figures.ts';
import { knownProperties, recordOf, tokenOf } from './mix.ts';

const { values } = parseArgs({
  options: {
    root: { type: 'string', default: join(import.meta.dirname, '../..') },
    events: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '4' },
  },
});
const root = resolve(values.root);
const from = <T>(path: string): Promise<T> => import(pathToFileURL(join(root, path)).href) as Promise<T>;
const { startTroupe } = await from<typeof import('../../supervisors/root.ts')>('supervisors/root.ts');
const { treeSettings } = await from<typeof import('../../src/start/tree-settings.ts')>('src/start/tree-settings.ts');
const { loadConfig } = await from<typeof import('../../src/config/load.ts')>('src/config/load.ts');
const { createEventBlock, createSideBlocks } =
  await from<typeof import('../../src/clickhouse/block-builder.ts')>('src/clickhouse/block-builder.ts');

const TEAMS = 5;
const PARTITIONS = 4;
const KNOWN = 10_000;
/** As kafkajs hands them over: a megabyte of a partition. */
const BATCH_RECORDS = 1_400;
const TOPIC = 'events_plugin_ingestion';
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

// ── stores that take the time of real ones ───────────────────────────────────────────────────────────────────────────

interface StoredPerson extends Omit<Person, 'properties'> {
  readonly text: string;
}

/** Persons as texts, so that each load parses as PostgreSQL's answer is parsed. */
function personStore(): PersonStore {
  const persons = new Map<string, StoredPerson>();
  const mappings = new Map<string, { rowId: string; version: number }>();
  const merged = new Set<string>();
  const keyOf = (team: number, distinctId: string): string => `${team}:${distinctId}`;
  const costs = (count: number, usEach: number): Promise<void> => sleep(2 + (count * usEach) / 1_000);
  const loaded = ({ text, ...person }: StoredPerson): Person => ({ ...person, properties: JSON.parse(text) as Json });
  let nextId = 1;

  function insert(person: Omit<Person, 'rowId'>): Person {
    const rowId = String(nextId++);
    const { properties, ...rest } = person;
    persons.set(rowId, { ...rest, rowId, text: JSON.stringify(properties) });
    return { ...person, rowId };
  }

  for (let known = 0; known < KNOWN; known++) {
    const distinctId = `known-${known}`;
    const id = personId(`01890000-0000-7000-9000-${String(known).padStart(12, '0')}`);
    const team = teamId(1 + (known % TEAMS));
    const properties = knownProperties(String(known));
    const { rowId } = insert({ id, teamId: team, createdAtMs: 0, properties, isIdentified: false, version: 0 });
    mappings.set(keyOf(team, distinctId), { rowId, version: 0 });
  }

  return {
    async load(keys) {
      await costs(keys.length, 10);
      return keys.map(({ teamId: team, distinctId }) => {
        const mapping = mappings.get(keyOf(team, distinctId));
        const person = mapping && persons.get(mapping.rowId);
        return person && { person: loaded(person), mappingVersion: mapping.version };
      });
    },
    async create(births) {
      await costs(births.length, 40);
      return births.map((birth) => {
        if (birth.distinctIds.some(({ distinctId }) => mappings.has(keyOf(birth.teamId, distinctId)))) return { type: 'exists' };
        const { teamId: team, id, createdAtMs, properties, isIdentified, distinctIds } = birth;
        const person = insert({ teamId: team, id, createdAtMs, properties, isIdentified, version: 0 });
        for (const { distinctId, version } of distinctIds) mappings.set(keyOf(team, distinctId), { rowId: person.rowId, version });
        return { type: 'created', person };
      });
    },
    async update(writes) {
      await costs(writes.length, 15);
      return writes.map(({ person, version }) => {
        if (persons.get(person.rowId)?.version !== version) return { type: 'conflict' };
        const { properties, ...rest } = person;
        persons.set(person.rowId, { ...rest, version: version + 1, text: JSON.stringify(properties) });
        return { type: 'updated', version: version + 1 };
      });
    },
    async addDistinctIds(adds) {
      await costs(adds.length, 20);
      return adds.map(({ person, distinctId }) => {
        const key = keyOf(person.teamId, distinctId);
        if (mappings.has(key)) return { type: 'exists' };
        mappings.set(key, { rowId: person.rowId, version: 0 });
        return { type: 'added', version: 0 };
      });
    },
    merge: () => Promise.reject(new Error('the mix merges no two persons')),
    movedDistinctIds: (asked) => Promise.resolve(asked.map(() => [])),
    async markPersonless(keys) {
      await costs(keys.length, 10);
      return keys.map(() => ({ isMerged: false }));
    },
    async markMerged(keys) {
      await costs(keys.length, 10);
      return keys.map(({ teamId: team, distinctId }) => {
        const existed = merged.has(keyOf(team, distinctId));
        merged.add(keyOf(team, distinctId));
        return { existed };
      });
    },
  };
}

let storedCount = 0;
/** One insert at a time, as an engine with one core to itself. */
function clickhouse(): ClickHouse {
  let last: Promise<void> = Promise.resolve();
  const no = (): Promise<never> => Promise.reject(new Error('nobody asks for this here'));
  return {
    ping: () => Promise.resolve(),
    eventBlock: createEventBlock,
    sideBlocks: createSideBlocks,
    insert({ table, rowCount }) {
      last = last.then(() => sleep(3 + rowCount * 0.02));
      return last.then(() => void (storedCount += table === 'events' ? rowCount : 0));
    },
    storedOffsets: () => Promise.resolve([]),
    storedAmong: no,
    killInserts: () => Promise.resolve(),
    query: no,
    command: no,
    close: () => Promise.resolve(),
  };
}

/** Four partitions whose records are handed over one batch after the other, each when the one before it is accepted. */
function consumer(log: readonly KafkaRecord[][], produced: () => Promise<void>): RecordConsumer {
  async function feed(to: ConsumerHandlers, partition: number): Promise<void> {
    const unread = log[partition] ?? [];
    for (;;) {
      const records = unread.splice(0, BATCH_RECORDS);
      const highWatermark = (records.at(-1)?.offset ?? 0) + 1 + unread.length;
      if (records.length === 0) await produced();
      else await to.batch({ topic: TOPIC, partition, generation: 1, records, highWatermark });
    }
  }
  return {
    async start(to) {
      const partitions = log.map((_, partition) => ({ topic: TOPIC, partition, committed: 0 }));
      await to.assigned({ generation: 1, memberId: 'bench', partitions });
      for (const { partition } of partitions) void feed(to, partition);
    },
    commit: () => Promise.resolve('committed'),
    sinceHeartbeatMs: () => 0,
    sincePollMs: () => 0,
    pause: () => undefined,
    resume: () => undefined,
    stop: () => Promise.resolve(),
  };
}

// ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const teams = Array.from({ length: TEAMS }, (_, index): Team => ({
  id: teamId(index + 1),
  token: tokenOf(index),
  name: 'bench',
  ...TEAM_DEFAULTS,
  ingestedEvent: true,
}));
/** What was produced and not yet handed over, by partition. */
const log = Array.from({ length: PARTITIONS }, (): KafkaRecord[] => []);
const ends = log.map(() => 0);
let more = Promise.withResolvers<void>();
let produced = 0;

function produce(count: number): void {
  const mix = { teams: TEAMS, knownPersons: KNOWN, run: 'a' };
  for (const end = produced + count; produced < end; produced++) {
    const { key, value } = recordOf(produced, mix);
    const partition = partitionOfKey(key ?? Buffer.alloc(0), PARTITIONS);
    const offset = ends[partition] ?? 0;
    ends[partition] = offset + 1;
    log[partition]?.push({ offset, key, value, headers: undefined, timestampMs: produced });
  }
  more.resolve();
  more = Promise.withResolvers();
}

const { config } = loadConfig({ ...process.env, KAFKA_HOSTS: 'none:9092', DATABASE_URL: 'postgres://none/none', CLICKHOUSE_HOST: 'none' });
const nobody = { byToken: (): Promise<Team[]> => Promise.resolve([]) };
const deps: TroupeDeps = {
  clock: systemClock,
  random: systemRandom,
  output: { type: 'clickhouse', clickhouse: clickhouse(), endOffset: () => Promise.resolve(0) },
  persons: personStore(),
  groups: { groupTypeIndex: () => Promise.resolve(undefined), upsertGroup: () => Promise.reject(new Error('the mix has no groups')) },
  teams: {
    ...nobody,
    byToken: (tokens) => Promise.resolve(tokens.map((token) => teams.find((team) => team.token === token))),
    byId: (ids) => Promise.resolve(ids.map((id) => teams.find((team) => team.id === id))),
  },
  definitions: { write: () => Promise.resolve(), markIngested: () => Promise.resolve() },
  pluginConfigs: { activePluginConfigs: () => Promise.resolve([]) },
  sandbox: {
    load: () => Promise.reject(new Error('the mix has no plugins')),
    invoke: () => Promise.reject(new Error('the mix has no plugins')),
    unload: () => Promise.resolve(),
    pid: () => undefined,
    close: () => Promise.resolve(),
  },
  stateStore: EMPTY_STATE,
  producer: { send: () => Promise.reject(new Error('the mix has no dead letters')) } as unknown as TroupeDeps['producer'],
  intakes: [{ name: 'main', createConsumer: () => consumer(log, () => more.promise), overflow: { type: 'keep' } }],
  dropList: parseDropList({ byToken: '', byTokenDistinctId: '' }),
  accounts: { open: () => undefined, close: () => undefined },
  settings: treeSettings(config),
  onFatal: (error) => {
    throw error;
  },
};

let collectorUs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collectorUs += duration * 1_000;
}).observe({ entryTypes: ['gc'] });

const troupe: Troupe = await startTroupe(deps);
const events = Number(values.events);
const rounds: { us: number; collectorUs: number; seconds: number }[] = [];
for (let round = 0; round <= Number(values.rounds); round++) {
  produce(events);
  await sleep(10);
  const before = { cpu: process.cpuUsage(), collectorUs, ms: performance.now(), stored: storedCount };
  while (storedCount < produced) await sleep(5);
  const { user, system } = process.cpuUsage(before.cpu);
  const count = produced - before.stored;
  const figures = {
    us: (user + system) / count,
    collectorUs: (collectorUs - before.collectorUs) / count,
    seconds: (performance.now() - before.ms) / 1_000,
  };
  if (round > 0) rounds.push(figures);
}
const of = (name: 'us' | 'collectorUs'): string => {
  const all = rounds.map((round) => round[name]);
  return `${amount(median(all))} us/event (${all.map(amount).join(' ')})`;
};
console.log(
  `${root}: CPU ${of('us')}; collector on the main thread ${of('collectorUs')}; ${Math.round(process.memoryUsage.rss() / 1e6)} MB`,
);
await troupe.stop();
process.exit(0);
