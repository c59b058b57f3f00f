/**
 * Bugs to be caught, one at a time: a check that cannot fail is worth nothing. Each is planted from outside, in a port or a
 * setting of every process, as close as possible to the mistake that a careless change would make.
 */
import type { Block, ClickHouse } from '../../../src/clickhouse/port.ts';
import { ClickHouseError } from '../../../src/clickhouse/port.ts';
import type { Ledger } from '../../../src/kafka/ledger.ts';
import type { RecordConsumer, RecordProducer } from '../../../src/kafka/port.ts';
import { Cell } from '../../../src/runtime/cell.ts';
import { EntityCell } from '../../../src/runtime/entities.ts';
import type { PersonStore } from '../../../src/postgres/port.ts';
import type { KafkaOutput } from '../../../supervisors/output.ts';
import type { TroupeDeps } from '../../../supervisors/deps.ts';
import type { Invariant } from './checks.ts';
import type { Trouble } from './network.ts';
import { OUTPUT_TOPICS } from './output-reader.ts';
import type { Plant } from './simulated-process.ts';
import type { OutputKind } from './systems.ts';
import type { SentRecord } from './workload.ts';

export interface PlantedBug {
  readonly name: string;
  /** What a person would have done wrong. */
  readonly mistake: string;
  readonly plant: Plant;
  /** What is changed for all processes; the answer undoes it. */
  readonly during?: () => () => void;
  /** By which key clients' records are spread over partitions. @defaultValue their own */
  readonly keyOf?: (record: SentRecord) => Buffer | null;
  /** Where rows go. @defaultValue 'clickhouse' */
  readonly output?: OutputKind;
  /** Of the kind that the bug is about, so that it does not take a hundred seeds to meet it. @defaultValue what each seed chooses */
  readonly trouble?: Partial<Trouble>;
  readonly freezeRatio?: number;
  /** Invariants of which at least one must be broken. */
  readonly caughtBy: readonly Invariant[];
  /** Seeds, from 1, within which it must be caught. */
  readonly withinSeeds: number;
}

type Insert = ClickHouse['insert'];

const withKafkaOutput = (deps: TroupeDeps, change: (output: KafkaOutput) => Partial<KafkaOutput>): TroupeDeps => {
  if (deps.output.type !== 'kafka') throw new Error('this bug is planted in the output to Kafka');
  return { ...deps, output: { ...deps.output, ...change(deps.output) } };
};
const withOutputProducer = (deps: TroupeDeps, make: (send: RecordProducer['send']) => RecordProducer['send']): TroupeDeps =>
  withKafkaOutput(deps, ({ producer }) => ({ producer: { ...producer, send: make((topic, records) => producer.send(topic, records)) } }));
/** Answers when the records have left. */
const unacknowledged =
  (send: RecordProducer['send'], isMeant: (topic: string) => boolean): RecordProducer['send'] =>
  (topic, records) => {
    const sent = send(topic, records);
    if (!isMeant(topic)) return sent;
    sent.catch(() => undefined);
    return Promise.resolve();
  };

const withClickHouse = (deps: TroupeDeps, change: (clickhouse: ClickHouse) => Partial<ClickHouse>): TroupeDeps => ({
  ...deps,
  output: { ...deps.output, type: 'clickhouse', clickhouse: { ...clickhouseOf(deps), ...change(clickhouseOf(deps)) } },
});
const clickhouseOf = ({ output }: TroupeDeps): ClickHouse => {
  if (output.type !== 'clickhouse') throw new Error('this bug is planted in ClickHouse');
  return output.clickhouse;
};
const withInsert = (deps: TroupeDeps, make: (insert: Insert) => Insert): TroupeDeps =>
  withClickHouse(deps, (clickhouse) => ({ insert: make((block) => clickhouse.insert(block)) }));
const withPersons = (deps: TroupeDeps, change: (persons: PersonStore) => Partial<PersonStore>): TroupeDeps => ({
  ...deps,
  persons: { ...deps.persons, ...change(deps.persons) },
});
const withConsumer = (deps: TroupeDeps, change: (consumer: RecordConsumer) => Partial<RecordConsumer>): TroupeDeps => ({
  ...deps,
  intakes: deps.intakes.map((spec) => ({
    ...spec,
    createConsumer: () => {
      const consumer = spec.createConsumer();
      return { ...consumer, ...change(consumer) };
    },
  })),
});
/** The ledger that each router, lane and supervisor of the process works with is made in the tree; its handle is reached where it is opened. */
const withLedger = (deps: TroupeDeps, change: (ledger: Ledger) => void): TroupeDeps => ({
  ...deps,
  accounts: {
    open(topic, ledger) {
      change(ledger);
      deps.accounts.open(topic, ledger);
    },
    close: (ledger) => deps.accounts.close(ledger),
  },
});

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'acknowledged before it is stored',
    mistake: 'an event insert answers as soon as it is sent',
    plant: (deps) =>
      withInsert(deps, (insert) => async (block) => {
        if (block.table !== 'events') return insert(block);
        insert(copied(block)).catch(() => undefined);
      }),
    caughtBy: ['early-commit', 'one-outcome'],
    withinSeeds: 10,
  },
  {
    name: 'blind retry with the same token',
    mistake: 'an insert with an unknown end is sent again under its token until it is answered 200, and nobody asks what is stored',
    plant: (deps) => withInsert(deps, retryingBlindly),
    trouble: { lostRatio: 0.2 },
    caughtBy: ['early-commit', 'one-outcome'],
    withinSeeds: 40,
  },
  {
    name: 'blind retry with a new token',
    mistake: 'an insert with an unknown end is sent again under a new token, while the first one may have stored its rows',
    plant: (deps) => withInsert(deps, (insert) => retryingBlindly((block) => insert({ ...block, deduplicationToken: undefined }))),
    caughtBy: ['duplicate'],
    withinSeeds: 30,
  },
  {
    name: 'ledger without generations',
    mistake: 'a process that gets a partition back goes on with the ledger it had before',
    plant: oneLedgerForAllGenerations,
    caughtBy: ['early-commit', 'one-outcome', 'duplicate', 'order', 'stuck', 'account'],
    withinSeeds: 60,
  },
  {
    name: 'takeover without asking',
    mistake: 'a new owner does not ask ClickHouse which offsets above the watermark are stored',
    plant: (deps) => withClickHouse(deps, () => ({ storedOffsets: () => Promise.resolve([]) })),
    caughtBy: ['duplicate'],
    withinSeeds: 20,
  },
  {
    name: 'takeover without waiting for zombies',
    mistake: 'a new owner asks what is stored while an insert of the old one may still be on its way',
    plant: (deps) =>
      withClickHouse(deps, (clickhouse) => ({
        // Only the prefix of a whole partition: the writer's own look after a failed insert stays.
        killInserts: (prefix) => (prefix.endsWith(':') ? Promise.resolve() : clickhouse.killInserts(prefix)),
      })),
    trouble: { slowRatio: 0.08, slowMs: 4_000, awayRatio: 0, lostRatio: 0, crashRatio: 0 },
    freezeRatio: 0.5,
    caughtBy: ['duplicate', 'order'],
    withinSeeds: 60,
  },
  {
    name: 'zombie writes on',
    mistake: 'a process that has not heard of its group for long goes on inserting and writing',
    plant: (deps) => withConsumer(deps, () => ({ sinceHeartbeatMs: () => 0 })),
    freezeRatio: 0.6,
    caughtBy: ['duplicate', 'order', 'row-before-person'],
    withinSeeds: 60,
  },
  {
    name: 'a refold skips a conflict',
    mistake: "a person update that met another version is taken for done: 'conflict' reads as 'updated'",
    plant: (deps) =>
      withPersons(deps, (persons) => ({
        update: async (writes) =>
          (await persons.update(writes)).map((result, index) =>
            result.type === 'conflict' ? { type: 'updated', version: (writes[index]?.version ?? 0) + 1 } : result,
          ),
      })),
    caughtBy: ['persons', 'row-before-person', 'person-rows'],
    withinSeeds: 20,
  },
  {
    name: 'row before person',
    mistake: 'person updates are acknowledged when they are sent',
    plant: (deps) =>
      withPersons(deps, (persons) => ({
        update(writes) {
          persons.update(writes).catch(() => undefined);
          return Promise.resolve(writes.map(({ version }) => ({ type: 'updated', version: version + 1 })));
        },
      })),
    caughtBy: ['row-before-person', 'persons'],
    withinSeeds: 10,
  },
  {
    name: 'row before side rows',
    mistake: "ClickHouse's person and mapping rows are acknowledged when they are sent",
    plant: (deps) =>
      withInsert(deps, (insert) => async (block) => {
        if (block.table === 'events') return insert(block);
        insert(copied(block)).catch(() => undefined);
      }),
    caughtBy: ['row-before-person', 'resolve', 'person-rows'],
    withinSeeds: 10,
  },
  {
    name: 'a send that spans partitions',
    mistake: 'a producer spreads the records of one distinct_id over partitions',
    plant: (deps) => deps,
    keyOf: () => null,
    caughtBy: ['order', 'persons', 'row-before-person'],
    withinSeeds: 10,
  },
  {
    name: 'passivation drops a message',
    mistake: 'what is told to a distinct_id actor at the moment of its passivation is accepted and thrown away',
    plant: (deps) => deps,
    during: losingMessagesOfIdleActors,
    caughtBy: ['stuck'],
    withinSeeds: 20,
  },
  {
    name: 'a settled record is settled again',
    mistake: 'two rooms settle the same record',
    plant: (deps) =>
      withLedger(deps, (ledger) => {
        const { settlement } = ledger;
        const settle = settlement.settle.bind(settlement);
        (settlement as { settle: typeof settle }).settle = (offset, outcome) => {
          settle(offset, outcome);
          if (offset % 7 === 3) settle(offset, outcome);
        };
      }),
    caughtBy: ['account'],
    withinSeeds: 10,
  },
  {
    name: 'dead letter without an acknowledgement',
    mistake: 'a poison record is settled when its copy is sent',
    plant: (deps) => ({
      ...deps,
      producer: {
        ...deps.producer,
        send(topic, records) {
          deps.producer.send(topic, records).catch(() => undefined);
          return Promise.resolve();
        },
      },
    }),
    // Few deaths: a process that dies before its commit hides the bug, since its records come again.
    trouble: { awayRatio: 0.08, lostRatio: 0, crashRatio: 0 },
    caughtBy: ['early-commit', 'one-outcome'],
    withinSeeds: 40,
  },
  {
    name: 'output kafka: settled when sent',
    mistake: 'an event row is settled before its record is acknowledged',
    output: 'kafka',
    plant: (deps) => withOutputProducer(deps, (send) => unacknowledged(send, (topic) => topic === OUTPUT_TOPICS.events)),
    trouble: { awayRatio: 0.1 },
    caughtBy: ['early-commit', 'one-outcome'],
    withinSeeds: 20,
  },
  {
    name: 'output kafka: side rows are not waited for',
    mistake: 'event rows are sent while the person rows before them are not acknowledged',
    output: 'kafka',
    plant: (deps) => withOutputProducer(deps, (send) => unacknowledged(send, (topic) => topic !== OUTPUT_TOPICS.events)),
    trouble: { awayRatio: 0.1 },
    caughtBy: ['row-before-person', 'resolve', 'person-rows'],
    withinSeeds: 20,
  },
  {
    name: 'nothing is taken for replayed',
    mistake: 'a new owner takes every partition for empty, and tells ClickHouse nothing again that a former one wrote to PostgreSQL alone',
    plant: (deps) => ({ ...deps, output: { ...deps.output, endOffset: () => Promise.resolve(0) } }),
    trouble: { crashRatio: 0.004 },
    caughtBy: ['row-before-person', 'resolve', 'person-rows'],
    withinSeeds: 40,
  },
  {
    name: 'output kafka: nothing is taken for replayed',
    mistake: 'a new owner does not tell ClickHouse again what a former one may have written to PostgreSQL alone',
    output: 'kafka',
    plant: (deps) => withKafkaOutput(deps, () => ({ endOffset: () => Promise.resolve(0) })),
    trouble: { crashRatio: 0.004 },
    caughtBy: ['row-before-person', 'resolve', 'person-rows'],
    withinSeeds: 40,
  },
];

/** What is sent is the bytes of now: the caller fills its buffer again. */
const copied = (block: Block): Block => ({ ...block, body: Buffer.from(block.body) });

function retryingBlindly(insert: Insert): Insert {
  return async (block) => {
    for (;;) {
      try {
        return await insert(block);
      } catch (error) {
        if (block.table !== 'events' || !(error instanceof ClickHouseError) || error.kind !== 'unknown') throw error;
      }
    }
  };
}

function oneLedgerForAllGenerations(deps: TroupeDeps): TroupeDeps {
  const first = new Map<string, Ledger>();
  return withLedger(deps, (ledger) => {
    const { topic, partition, generation } = ledger.settlement;
    const kept = first.get(`${topic}/${partition}`);
    if (kept === undefined) {
      first.set(`${topic}/${partition}`, ledger);
      ledger.close = () => undefined;
      return;
    }
    Object.defineProperty(kept.settlement, 'generation', { value: generation, configurable: true });
    Object.assign(ledger, kept);
  });
}

/** Every 30th message that finds an actor which has worked before and is idle now. */
function losingMessagesOfIdleActors(): () => void {
  // `accept` is the cell's own business; a bug in it is planted where it would be made.
  const entity = EntityCell.prototype as unknown as { accept: Accept };
  const whole = (Cell.prototype as unknown as { accept: Accept }).accept;
  let count = 0;
  entity.accept = function (message, trace) {
    const isIdle = this.phase === 'idle' && this.handledCount > 0;
    if (isIdle && message.type === 'group' && ++count % 30 === 0) return 'accepted';
    return whole.call(this, message, trace);
  };
  return () => {
    Reflect.deleteProperty(entity, 'accept');
  };
}

type Accept = (this: EntityCell, message: { readonly type: string }, trace: unknown) => 'accepted' | 'full' | 'stopped';
