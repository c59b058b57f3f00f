/** The outside of all processes of a seed, and each process's ports to it. */
import { KEEP } from '../../../actors/router/index.ts';
import { EMPTY_DROP_LIST } from '../../../src/domain/token.ts';
import { ClickHouseError, type ClickHouse } from '../../../src/clickhouse/port.ts';
import { TEAM_DEFAULTS, type Team } from '../../../src/domain/team.ts';
import { teamId } from '../../../src/domain/ids.ts';
import { ProduceError } from '../../../src/kafka/port.ts';
import { PostgresError, type GroupStore, type PluginConfigStore, type TeamStore } from '../../../src/postgres/port.ts';
import { StateStoreError, type StateStore } from '../../../src/redis/port.ts';
import { SandboxError, type Sandbox } from '../../../src/sandbox/port.ts';
import type { Accounts } from '../../../src/telemetry/account.ts';
import type { KafkaOutput } from '../../../supervisors/output.ts';
import type { TroupeDeps } from '../../../supervisors/deps.ts';
import {
  createFakeClickHouse,
  createFakeClickHouseServer,
  type ClickHouseFate,
  type FakeClickHouseServer,
  type InsertCall,
} from '../../kit/fake-clickhouse.ts';
import { createFakeKafka, type FakeKafka } from '../../kit/fake-kafka.ts';
import {
  createFakeGroupStore,
  createFakePersonDatabase,
  createFakePersonStore,
  createFakePluginConfigStore,
  createFakeTeamStore,
  type FakePersonDatabase,
} from '../../kit/fake-person-store.ts';
import type { Call, Host } from './host.ts';
import type { Network, System } from './network.ts';
import {
  DEAD_LETTERS,
  GROUP,
  HEARTBEAT_INTERVAL_MS,
  PARTITIONS_COUNT,
  REBALANCE_TIMEOUT_MS,
  SESSION_TIMEOUT_MS,
  SETTINGS,
  TOPIC,
} from './settings.ts';
import { OUTPUT_TOPICS } from './output-reader.ts';
import { BAD_PERSON, BAD_ROW, type Workload } from './workload.ts';

export type OutputKind = TroupeDeps['output']['type'];

export interface Systems {
  /** Where the processes of this seed send their rows. */
  readonly output: OutputKind;
  readonly kafka: FakeKafka;
  readonly clickhouse: FakeClickHouseServer;
  readonly persons: FakePersonDatabase;
  readonly groups: GroupStore;
  readonly teams: readonly Team[];
  readonly debounced: Set<string>;
}

export function createSystems(network: Network, workload: Pick<Workload, 'teams'>, output: OutputKind = 'clickhouse'): Systems {
  const kafka = createFakeKafka({ clock: network.clock, sessionTimeoutMs: SESSION_TIMEOUT_MS, rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS });
  kafka.createTopic(TOPIC, PARTITIONS_COUNT);
  kafka.createTopic(DEAD_LETTERS, 1);
  for (const topic of Object.values(OUTPUT_TOPICS)) kafka.createTopic(topic, PARTITIONS_COUNT);
  return {
    output,
    kafka,
    clickhouse: createFakeClickHouseServer(),
    persons: createFakePersonDatabase(),
    groups: createFakeGroupStore(),
    teams: workload.teams.map(({ id, token }) => ({ ...TEAM_DEFAULTS, id: teamId(id), token, name: token, ingestedEvent: true })),
    debounced: new Set(),
  };
}

/** Everything a process takes from outside, over its host's links. */
export function portsOf(host: Host, systems: Systems, network: Network, accounts: Accounts, onFatal: (error: Error) => void): TroupeDeps {
  let memberCount = 0;
  const createConsumer = () =>
    systems.kafka.consumer({
      groupId: GROUP,
      topics: [TOPIC],
      memberId: `${host.name}-${++memberCount}`,
      clock: host.clock,
      link: host.link('kafka'),
      heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      handlerLimitMs: REBALANCE_TIMEOUT_MS,
      maxBatchCount: () => 1 + network.random.below(30),
      redeliver: { random: network.random, ratio: 0.05, upToCount: 8 },
    });
  const postgresAway = (): Error => new PostgresError('unavailable', 'the connection was cut');
  return {
    clock: host.clock,
    random: network.random,
    output:
      systems.output === 'kafka'
        ? kafkaOutputOf(host, systems)
        : { type: 'clickhouse', clickhouse: clickhouseOf(host, systems, network), endOffset: endOffsetOf(host, systems) },
    persons: personsOf(host, systems, postgresAway),
    groups: over<GroupStore>(host, 'postgres', systems.groups, postgresAway),
    teams: over<TeamStore>(host, 'postgres', createFakeTeamStore(systems.teams), postgresAway),
    pluginConfigs: over<PluginConfigStore>(host, 'postgres', createFakePluginConfigStore([PLUGIN]), postgresAway),
    sandbox: sandboxOf(host),
    stateStore: stateStoreOf(host, systems.debounced),
    producer: systems.kafka.producer({ link: host.link('producer') }),
    intakes: [{ name: 'main', createConsumer, overflow: KEEP }],
    dropList: EMPTY_DROP_LIST,
    accounts,
    settings: SETTINGS,
    onFatal,
  };
}

/** A broker that finds a row too large where the fake ClickHouse refuses it. */
function kafkaOutputOf(host: Host, systems: Systems): KafkaOutput {
  const producer = systems.kafka.producer({ link: host.link('producer') });
  return {
    type: 'kafka',
    topics: OUTPUT_TOPICS,
    producer: {
      ...producer,
      send: (topic, records) =>
        topic === OUTPUT_TOPICS.events && records.some(({ value }) => value.includes(BAD_ROW))
          ? Promise.reject(new ProduceError('too-large', 'a record is too large'))
          : producer.send(topic, records),
    },
    endOffset: endOffsetOf(host, systems),
  };
}

function endOffsetOf(host: Host, { kafka }: Systems): TroupeDeps['output']['endOffset'] {
  const admin = kafka.admin();
  const away = (): Error => new ProduceError('unavailable', 'the brokers cannot be reached');
  const endOf = async (topic: string, partition: number): Promise<number> =>
    (await admin.endOffsets(topic)).find((one) => one.partition === partition)?.offset ?? 0;
  return ({ topic, partition }) => host.link('kafka').call('end-offset', () => endOf(topic, partition), { away, lost: away });
}

/** Every method of a port over the link: slow both ways, and away or unheard with the port's own error. */
function over<Port extends object>(host: Host, system: System, port: Port, error: () => Error): Port {
  const link = host.link(system);
  return Object.fromEntries(
    Object.entries(port).map(([name, method]: [string, unknown]) => [
      name,
      (...args: unknown[]) =>
        link.call(name, () => (method as (...given: unknown[]) => Promise<unknown>)(...args), { away: error, lost: error }),
    ]),
  ) as Port;
}

function personsOf(host: Host, { persons }: Systems, away: () => Error): TroupeDeps['persons'] {
  const ways = new WeakMap<object, Call>();
  return createFakePersonStore(persons, {
    async arrive(call) {
      const way = host.call('postgres', `${call.operation} ${idsIn(call.input)}`);
      ways.set(call, way);
      await way.outward(away);
      if (JSON.stringify(call.input).includes(BAD_PERSON)) await way.fail(new PostgresError('refused', 'this value is refused'));
    },
    answer: (call) => ways.get(call)?.homeward(away),
  });
}

/** The distinct_ids that a call names, for the trace. */
function idsIn(input: unknown): string {
  const ids = JSON.stringify(input).matchAll(/"(?:distinctId|[^"]*\/seq)":(?:"([^"]*)"|(\d+))/g);
  return [...ids].map(([whole, id]) => id ?? whole.replaceAll('"', '')).join(' ');
}

/** Deadline of an insert, as the real client has one; the insert itself goes on. */
const INSERT_TIMEOUT_MS = 5_000;

function clickhouseOf(host: Host, { clickhouse: server }: Systems, network: Network): ClickHouse {
  const { random } = network;
  const ways = new Map<string, Call>();
  const away = (): Error => new ClickHouseError('unavailable', 'the connection was refused');
  const lost = (): Error => new ClickHouseError('unknown', 'the connection was cut');
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => void network.clock.after(ms, resolve));
  const fate: ClickHouseFate = {
    arrive: (call: InsertCall) => ways.get(call.block.queryId)?.outward(away),
    refuses: (row, table) => (table === 'events' && String(row['properties']).includes(BAD_ROW) ? 'this row is refused' : undefined),
    async part(call, index) {
      const { lostRatio, slowRatio, slowMs } = network.trouble;
      // An insert may go on for long after its caller has lost patience, its partitions, or its life.
      await sleep(random.next() < slowRatio * 3 ? random.next() * slowMs * 3 : random.next() * 5);
      const chance = random.next();
      if (chance < lostRatio / 3) {
        network.note(`engine dies at part ${index} of ${call.block.table}`);
        // Its own insert ends by the loss; the token is in the engine's log by then.
        for (const running of server.running) running.isKilled ||= running.id !== call.block.queryId;
        return 'lost';
      }
      if (chance < (lostRatio / 3) * 2) throw new ClickHouseError('unavailable', 'Code: 252. Too many parts', 252);
      if (chance < lostRatio) throw new ClickHouseError('unknown', 'Code: 209. Timeout', 209);
      return undefined;
    },
  };
  const inner = createFakeClickHouse(server, fate);
  const link = host.link('clickhouse');
  return {
    ...inner,
    // The insert ends on the server whether or not anybody is left to hear of it.
    insert(block) {
      const way = host.call('clickhouse', `insert ${block.table} ${block.rowCount}`);
      ways.set(block.queryId, way);
      const answered = inner.insert(block).then(
        () => way.homeward(lost),
        (error: unknown) => way.fail(error),
      );
      answered.catch(() => undefined); // heard by nobody after the deadline
      const late = new Promise<never>((_resolve, reject) => {
        host.clock.after(INSERT_TIMEOUT_MS, () => reject(new ClickHouseError('unknown', 'no answer in time')));
      });
      return Promise.race([answered, late]);
    },
    storedOffsets: (...args) => link.call('stored-offsets', () => inner.storedOffsets(...args), { away, lost }),
    storedAmong: (...args) => link.call('stored-among', () => inner.storedAmong(...args), { away, lost }),
    killInserts: (...args) => link.call('kill-inserts', () => inner.killInserts(...args), { away, lost }),
  };
}

/** The plugin of team 1: marks every event, and drops those that ask for it. */
const PLUGIN = {
  pluginConfigId: 1,
  teamId: teamId(1),
  pluginId: 1,
  pluginName: 'marker',
  order: 1,
  config: {},
  files: {},
  fingerprint: '1',
};

/** Its child dies now and then, and has forgotten all plugins when the next one starts. */
function sandboxOf(host: Host): Sandbox {
  const link = host.link('sandbox');
  let isLoaded = false;
  const died = (): Error => {
    isLoaded = false;
    return new SandboxError('died', 'the child died');
  };
  return {
    load: () =>
      link.call(
        'load',
        () => {
          isLoaded = true;
          return { type: 'loaded', methods: ['processEvent'] };
        },
        { away: died, lost: died },
      ),
    invoke: (_isolate, events) =>
      link.call(
        'invoke',
        () => {
          if (!isLoaded) throw new SandboxError('not-loaded', 'the plugin is not loaded');
          return events.map((event) => {
            if (event.event === 'drop me') return { type: 'dropped' };
            return { type: 'event', event: { ...event, properties: { ...event.properties, marked: true } } };
          });
        },
        { away: died, lost: died },
      ),
    unload: () => Promise.resolve(),
    pid: () => 1,
    close: () => Promise.resolve(),
  };
}

const unasked = (): Promise<never> => Promise.reject(new Error('only capture asks this, and it is not simulated'));
const ONLY_CAPTURE_ASKS = { fields: unasked, setFields: unasked, takeAllowances: unasked, returnAllowances: unasked, takeRates: unasked };

function stateStoreOf(host: Host, debounced: Set<string>): StateStore {
  const link = host.link('state-store');
  const error = (): Error => new StateStoreError('the store is away');
  const call = <Answer>(what: string, apply: () => Answer | Promise<Answer>): Promise<Answer> =>
    link.call(what, apply, { away: error, lost: error });
  return {
    ping: () => call('ping', () => undefined),
    get: () => call('get', () => undefined),
    set: () => call('set', () => undefined),
    setIfAbsent: (entries) =>
      call('set-if-absent', () =>
        entries.map(({ key }) => {
          const isFirst = !debounced.has(key);
          debounced.add(key);
          return isFirst;
        }),
      ),
    delete: () => call('delete', () => undefined),
    rankAdd: () => call('rank-add', () => undefined),
    rankFrom: () => call('rank-from', () => []),
    increment: () => call('increment', () => 1),
    ...ONLY_CAPTURE_ASKS,
    close: () => Promise.resolve(),
  };
}
