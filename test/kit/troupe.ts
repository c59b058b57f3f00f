import { KEEP } from '../../actors/router/index.ts';
import type { PluginSource, Sandbox } from '../../src/sandbox/port.ts';
import { EMPTY_DROP_LIST } from '../../src/domain/token.ts';
import type { TopicPartition } from '../../src/domain/ids.ts';
import type { ConsumerHandlers, KafkaRecord, OutgoingRecord, RecordConsumer, RecordProducer } from '../../src/kafka/port.ts';
import type { PluginConfigRow } from '../../src/postgres/port.ts';
import type { StateStore } from '../../src/redis/port.ts';
import { createAccounts } from '../../src/telemetry/account.ts';
import type { TroupeDeps } from '../../supervisors/deps.ts';
import type { TreeSettings } from '../../supervisors/settings.ts';
import { manualClock, seededRandom, type ManualClock } from './clock.ts';
import { createFakeClickHouse, createFakeClickHouseServer, type ClickHouseFate } from './fake-clickhouse.ts';
import {
  createFakeGroupStore,
  createFakePersonDatabase,
  createFakePersonStore,
  createFakeTeamStore,
  type PersonStoreFate,
} from './fake-person-store.ts';
import { aBatch, aTeam } from './pipeline.ts';

/** Numbers small enough that a test of ten records meets them. */
export const TREE_SETTINGS: TreeSettings = {
  name: 'test',
  router: {
    creditCount: 100,
    creditBytes: 1_000_000,
    teamCreditCount: 100,
    distinctIdCreditCount: 100,
    gapCount: 1_000,
    sliceCount: 50,
    trustTeamId: false,
    traceSampleRatio: 0,
  },
  teamCache: { tokenTtlMs: 60_000, idTtlMs: 60_000, capacityCount: 100 },
  commitEveryMs: 100,
  revokeDrainMs: 1_000,
  heartbeatMarginMs: 5_000,
  writerMailboxCount: 10_000,
  clickhouseWriter: { maxRowsCount: 100, maxBytes: 1_000_000, maxAgeMs: 20 },
  kafkaWriter: { maxRowsCount: 100, maxBytes: 1_000_000, maxAgeMs: 20 },
  personWriter: { flushRowsCount: 100, lingerMs: 2, personlessCacheCount: 100 },
  definitions: { knownCount: 1_000, flushEveryMs: 50, maxPendingCount: 1_000 },
  redisBuffer: { flushEveryMs: 50, maxPendingCount: 100 },
  deadLetter: { topic: 'dead-letters' },
  pluginJournal: {
    flushEveryMs: 50,
    maxKeysCount: 100,
    defaultLogLevel: 0,
    linesPerSecondCount: 100,
    errorsPerSecondCount: 10,
    mailboxCapacityCount: 1_000,
  },
  plugins: { deadlineMs: 1_000, batchCount: 10, lingerMs: 1, reloadEveryMs: 10_000 },
  people: { idleMs: 1_000, activeCount: 100, inFlightCount: 100, sweepEveryMs: 500, mailboxCount: 100, prefetchCount: 100 },
  teams: { idleMs: 1_000, activeCount: 100, mailboxCount: 100 },
  shutdown: { drainMs: 2_000, flushMs: 1_000, stopMs: 1_000 },
};

export interface Commit {
  readonly generation: number;
  readonly watermarks: readonly (TopicPartition & { readonly offset: number })[];
}

/** A consumer whose coordinator is the test: it says who is assigned what, and hands over batches. */
export function handConsumer() {
  const control = {
    startError: undefined as Error | undefined,
    stopError: undefined as Error | undefined,
    commitError: undefined as Error | undefined,
    isStale: false,
    heartbeatMs: 0,
    pollMs: 0,
    stops: 0,
  };
  const commits: Commit[] = [];
  const paused: TopicPartition[] = [];
  let handlers: ConsumerHandlers | undefined;
  let generation: number | undefined;
  const to = (): ConsumerHandlers => {
    if (handlers === undefined) throw new Error('the consumer was not started');
    return handlers;
  };
  const consumer: RecordConsumer = {
    start(given) {
      if (control.startError !== undefined) return Promise.reject(control.startError);
      handlers = given;
      return Promise.resolve();
    },
    commit(under, watermarks) {
      if (control.commitError !== undefined) return Promise.reject(control.commitError);
      if (control.isStale || under !== generation) return Promise.resolve('stale');
      commits.push({ generation: under, watermarks });
      return Promise.resolve('committed');
    },
    sinceHeartbeatMs: () => control.heartbeatMs,
    sincePollMs: () => control.pollMs,
    pause: (partitions) => void paused.push(...partitions),
    resume: () => undefined,
    async stop() {
      control.stops++;
      if (control.stopError !== undefined) throw control.stopError;
      if (handlers !== undefined && generation !== undefined) await handlers.revoked(generation);
      generation = undefined;
    },
  };
  return {
    consumer,
    control,
    commits,
    paused,
    isStarted: () => handlers !== undefined,
    assign: (number: number, partitions: readonly (TopicPartition & { readonly committed: number | undefined })[]): Promise<void> => {
      generation = number;
      return to().assigned({ generation: number, memberId: 'me', partitions });
    },
    revoke: async (number: number): Promise<void> => {
      await to().revoked(number);
      if (generation === number) generation = undefined;
    },
    hand: (
      records: readonly KafkaRecord[],
      parts: { readonly topic?: string; readonly partition?: number; readonly generation?: number } = {},
    ): Promise<void> => to().batch(aBatch(records, { generation: generation ?? 0, ...parts })),
    crash: (error: Error): void => to().crashed(error),
  };
}
export type HandConsumer = ReturnType<typeof handConsumer>;

/** A producer that remembers what it was sent. */
export function rememberingProducer(): RecordProducer & { readonly sent: { readonly topic: string; readonly record: OutgoingRecord }[] } {
  const sent: { topic: string; record: OutgoingRecord }[] = [];
  return {
    sent,
    send(topic, records) {
      sent.push(...records.map((record) => ({ topic, record })));
      return Promise.resolve();
    },
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  };
}

/** A state store that keeps nothing. */
export const EMPTY_STATE: StateStore = {
  ping: () => Promise.resolve(),
  get: () => Promise.resolve(undefined),
  set: () => Promise.resolve(),
  setIfAbsent: (entries) => Promise.resolve(entries.map(() => true)),
  delete: () => Promise.resolve(),
  rankAdd: () => Promise.resolve(),
  rankFrom: () => Promise.resolve([]),
  increment: () => Promise.resolve(1),
  fields: () => Promise.resolve(new Map()),
  setFields: () => Promise.resolve(),
  takeAllowances: (wanted) =>
    Promise.resolve(wanted.map(({ count }) => ({ granted: count, remaining: undefined, endsMs: undefined, isUnreadable: false }))),
  returnAllowances: () => Promise.resolve(),
  takeRates: (wanted) => Promise.resolve(wanted.map(({ count }) => ({ granted: count, waitMs: 0 }))),
  close: () => Promise.resolve(),
};

/** A sandbox in which a plugin adds its name to `properties.path`. */
export function namingSandbox(): Sandbox & { readonly loaded: Map<number, PluginSource>; hold: Promise<void> | undefined } {
  const loaded = new Map<number, PluginSource>();
  const sandbox = {
    loaded,
    hold: undefined as Promise<void> | undefined,
    load(plugin: PluginSource) {
      loaded.set(plugin.isolateId ?? plugin.pluginConfigId, plugin);
      return Promise.resolve({ type: 'loaded' as const, methods: ['processEvent'] });
    },
    async invoke(isolateId: number, events: Parameters<Sandbox['invoke']>[1]) {
      await sandbox.hold;
      const name = JSON.stringify(loaded.get(isolateId)?.config['as'] ?? '').slice(1, -1);
      return events.map((event) => {
        const path = typeof event.properties['path'] === 'string' ? event.properties['path'] : '';
        return { type: 'event' as const, event: { ...event, properties: { ...event.properties, path: path + name } } };
      });
    },
    unload(isolateId: number) {
      loaded.delete(isolateId);
      return Promise.resolve();
    },
    pid: () => undefined,
    close: () => Promise.resolve(),
  };
  return sandbox;
}

/** Everything a tree needs from outside, in memory, with the handles to it. */
export function troupeParts(
  fates: { readonly clickhouse?: ClickHouseFate; readonly persons?: PersonStoreFate; readonly settings?: Partial<TreeSettings> } = {},
) {
  const clock: ManualClock = manualClock();
  const consumers: HandConsumer[] = [];
  const made = { next: (): HandConsumer => handConsumer() };
  const server = createFakeClickHouseServer();
  const database = createFakePersonDatabase();
  const producer = rememberingProducer();
  const plugins: { rows: PluginConfigRow[]; error: Error | undefined } = { rows: [], error: undefined };
  const sandbox = namingSandbox();
  const accounts = createAccounts();
  const fatal: Error[] = [];
  const createConsumer = (): RecordConsumer => {
    const one = made.next();
    consumers.push(one);
    return one.consumer;
  };
  const deps: TroupeDeps = {
    clock,
    random: seededRandom(1),
    output: { type: 'clickhouse', clickhouse: createFakeClickHouse(server, fates.clickhouse), endOffset: () => Promise.resolve(Infinity) },
    persons: createFakePersonStore(database, fates.persons),
    groups: createFakeGroupStore(),
    teams: createFakeTeamStore([aTeam(1), aTeam(2)]),
    pluginConfigs: {
      activePluginConfigs: () => (plugins.error === undefined ? Promise.resolve(plugins.rows) : Promise.reject(plugins.error)),
    },
    sandbox,
    stateStore: EMPTY_STATE,
    producer,
    intakes: [{ name: 'main', createConsumer, overflow: KEEP }],
    dropList: EMPTY_DROP_LIST,
    accounts,
    settings: { ...TREE_SETTINGS, ...fates.settings },
    onFatal: (error) => void fatal.push(error),
  };
  return { deps, clock, consumers, made, server, database, producer, plugins, sandbox, accounts, fatal };
}
