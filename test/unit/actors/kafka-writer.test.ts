import { afterEach, describe, expect, it } from 'vitest';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import { createKafkaWriter, type KafkaWriterOptions } from '../../../actors/kafka-writer/index.ts';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import type { Warning } from '../../../actors/redis-buffer/messages.ts';
import { dropped } from '../../../src/domain/outcome.ts';
import { offset as toOffset } from '../../../src/domain/ids.ts';
import { outputTopics } from '../../../src/domain/output-topics.ts';
import type { EventRow, SideRow } from '../../../src/domain/rows.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../src/kafka/port.ts';
import { observe } from '../../../src/observe/facts.ts';
import { pass, probe, settle, testSystem } from '../../kit/actors.ts';
import { eventRow, testSettlement, uuidOf } from '../../kit/event-rows.ts';

const TOPICS = outputTopics({ prefix: '' });

interface Call {
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
}
/** What becomes of one call; 'written' first, so that a failure may have written. */
type Fate = (call: Call, number: number) => Promise<void> | void;

const away = (): ProduceError => new ProduceError('unavailable', 'the brokers are away');
const tooLarge = (): ProduceError => new ProduceError('too-large', 'this is too large');

/** A producer whose every answer the test decides; what it does not refuse is in the log. */
function setUp(fate: Fate = () => undefined, options: Partial<KafkaWriterOptions> = {}) {
  const { system, clock } = testSystem();
  const calls: Call[] = [];
  const log: { readonly topic: string; readonly value: Record<string, unknown>; readonly record: OutgoingRecord }[] = [];
  const producer: RecordProducer = {
    async send(topic, records) {
      const call = { topic, records };
      calls.push(call);
      await fate(call, calls.length);
      for (const record of records) log.push({ topic, record, value: JSON.parse(record.value.toString()) as Record<string, unknown> });
    },
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  };
  const deadLetters = probe<DeadLetterMessage>('dead-letter');
  const warnings: Warning[] = [];
  const settlement = testSettlement();
  const control = { mayWrite: true };
  const escalated: unknown[] = [];
  const writer = system.spawn(
    createKafkaWriter({
      producer,
      topics: TOPICS,
      clock,
      deadLetter: deadLetters,
      warn: (warning) => void warnings.push(warning),
      mayWrite: () => control.mayWrite,
      options: { maxRowsCount: 4, maxBytes: 100_000, maxAgeMs: 20, mailboxCapacityCount: 1_000, ...options },
      strategy: { directive: 'escalate' },
    }),
    'kafka-writer',
    undefined,
    (_ref, error) => escalated.push(error),
  );
  const rows = (...offsets: number[]): EventRow[] => offsets.map((offset) => eventRow(settlement, offset));
  return {
    system,
    clock,
    writer,
    calls,
    log,
    deadLetters,
    warnings,
    settlement,
    control,
    escalated,
    rows,
    tell: (message: RowWriterMessage): void => {
      expect(writer.tell(message)).toBe('accepted');
    },
    store: (...offsets: number[]): void => void writer.tell({ type: 'store-events', rows: rows(...offsets) }),
    settle: () => settle(system),
    pass: async (ms: number, stepMs = 20) => {
      await settle(system);
      await pass(system, clock, ms, stepMs);
    },
    /** Offsets of the event rows in the log, in order. */
    sent: (): number[] => log.filter(({ topic }) => topic === TOPICS.events).map(({ value }) => offsetIn(value)),
    settled: (): string[] =>
      [...settlement.outcomes]
        .sort(([a], [b]) => a - b)
        .map(([offset, outcome]) => `${offset}:${outcome.type === 'dropped' ? outcome.reason : outcome.type}`),
    callsTo: (topic: string): number[] => calls.filter((call) => call.topic === topic).map((call) => call.records.length),
  };
}

const offsetIn = (value: Record<string, unknown>): number => parseInt(String(value['uuid']).slice(-12), 16);
const person = (version: number): SideRow => ({
  table: 'person',
  id: uuidOf('person', 0, 1),
  teamId: 2,
  createdAtMs: 0,
  properties: '{}',
  isIdentified: false,
  isDeleted: false,
  version,
});
const group = (version: number, groupKey = 'acme'): SideRow => ({
  table: 'groups',
  teamId: 2,
  groupTypeIndex: 0,
  groupKey,
  createdAtMs: 0,
  properties: '{}',
  version,
});

const ears: (() => void)[] = [];
afterEach(() => {
  for (const end of ears.splice(0)) end();
});
const hear = (): string[] => {
  const lines: string[] = [];
  ears.push(observe('log-written', ({ level, message }) => void lines.push(`${level} ${message}`)));
  return lines;
};

describe('the Kafka writer sends', () => {
  it('4.1: an event row with its uuid as the key, and settles it stored', async () => {
    const { store, pass, log, settled } = setUp();
    store(1);
    await pass(20);
    expect(log).toHaveLength(1);
    expect(log[0]?.topic).toBe('clickhouse_events_json');
    expect(log[0]?.record.key?.toString()).toBe(uuidOf('events', 0, 1));
    expect(log[0]?.value).toMatchObject({ uuid: uuidOf('events', 0, 1), event: '$pageview', team_id: 2, person_mode: 'full' });
    expect(settled()).toEqual(['1:stored']);
  });

  it('when a row is as old as it may get, and not before', async () => {
    const { store, pass, calls } = setUp();
    store(1);
    await pass(19, 19);
    expect(calls).toHaveLength(0);
    await pass(1, 1);
    expect(calls).toHaveLength(1);
  });

  it('at once when enough rows or bytes wait', async () => {
    const byRows = setUp();
    byRows.store(1, 2, 3, 4);
    await byRows.settle();
    expect(byRows.sent()).toEqual([1, 2, 3, 4]);
    const byBytes = setUp(undefined, { maxBytes: 500 });
    byBytes.store(1, 2);
    await byBytes.settle();
    expect(byBytes.sent()).toEqual([1, 2]);
  });

  it('what does not fit into a flight right behind it', async () => {
    const { store, settle: settled, callsTo, sent } = setUp();
    store(1, 2, 3, 4, 5, 6);
    await settled();
    expect(callsTo(TOPICS.events)).toEqual([4, 2]);
    expect(sent()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('V1: one flight at a time', async () => {
    const answer = Promise.withResolvers<void>();
    const { store, pass, calls, sent } = setUp((_call, number) => (number === 1 ? answer.promise : undefined));
    store(1);
    await pass(20);
    store(2);
    await pass(200);
    expect(calls).toHaveLength(1);
    answer.resolve();
    await pass(20);
    expect(sent()).toEqual([1, 2]);
  });

  it('V1, sharp edge 21: rows of one group go to one partition, in the order told, and have no key', async () => {
    const { tell, pass, log } = setUp();
    tell({ type: 'store-side-rows', rows: [group(1), group(1, 'other'), group(2)] });
    tell({ type: 'store-side-rows', rows: [group(3)] });
    await pass(20);
    const acme = log.filter(({ value }) => value['group_key'] === 'acme');
    expect(acme.map(({ value }) => value['version'])).toEqual([1, 2, 3]);
    expect(new Set(acme.map(({ record }) => record.partitionBy?.toString())).size).toBe(1);
    expect(log.every(({ record }) => record.key === null)).toBe(true);
  });

  it('V1: after a failure in the middle all group rows of the flight come again, so that the newest is the last one', async () => {
    const { tell, pass, log, callsTo } = setUp((_call, number) => {
      if (number <= 2) throw away();
    });
    tell({ type: 'store-side-rows', rows: [group(1), group(2)] });
    await pass(1_000);
    expect(callsTo(TOPICS.groups)).toEqual([2, 2, 2]);
    expect(log.map(({ value }) => value['version'])).toEqual([1, 2]);
  });
});

describe('V2: side rows come first', () => {
  it('an event row told after them is sent only when they are acknowledged', async () => {
    const answer = Promise.withResolvers<void>();
    const { tell, store, pass, calls, sent } = setUp(({ topic }) => (topic === TOPICS.person ? answer.promise : undefined));
    tell({ type: 'store-side-rows', rows: [person(1), group(1)] });
    store(1);
    await pass(200);
    expect(calls.map(({ topic }) => topic).sort()).toEqual([TOPICS.groups, TOPICS.person]);
    answer.resolve();
    await pass(20);
    expect(sent()).toEqual([1]);
  });

  it('also those that are told while a flight is under way, and however many events wait', async () => {
    const { tell, store, pass, log } = setUp(undefined, { maxRowsCount: 2 });
    store(1, 2, 3);
    tell({ type: 'store-side-rows', rows: [person(7)] });
    store(4);
    await pass(100);
    const topics = log.map(({ topic, value }) => (topic === TOPICS.events ? offsetIn(value) : 'person'));
    expect(topics.indexOf('person')).toBeLessThan(topics.indexOf(4));
    expect(topics.filter((one) => one !== 'person')).toEqual([1, 2, 3, 4]);
  });

  it('a failure of one topic sends again that one alone', async () => {
    let failures = 1;
    const { tell, store, pass, callsTo, sent } = setUp(({ topic }) => {
      if (topic === TOPICS.person && failures-- > 0) throw away();
    });
    tell({ type: 'store-side-rows', rows: [person(1), group(1)] });
    store(1);
    await pass(1_000);
    expect(callsTo(TOPICS.person)).toEqual([1, 1]);
    expect(callsTo(TOPICS.groups)).toEqual([1]);
    expect(sent()).toEqual([1]);
  });

  it('many of them go in several calls, none larger than the producer takes', async () => {
    const { tell, pass, callsTo } = setUp(undefined, { maxBytes: 400 });
    tell({ type: 'store-side-rows', rows: Array.from({ length: 9 }, (_, version) => person(version)) });
    await pass(20);
    const sizes = callsTo(TOPICS.person);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(9);
    expect(Math.max(...sizes)).toBeLessThan(4);
  });

  it('one that is too large is left out, with an error in the log; its event goes on', async () => {
    const lines = hear();
    const { tell, store, pass, sent, log } = setUp(undefined, { maxRecordBytes: 2_000 });
    tell({ type: 'store-side-rows', rows: [{ ...person(1), properties: JSON.stringify({ a: 'x'.repeat(3_000) }) } as SideRow, person(2)] });
    store(1);
    await pass(20);
    expect(sent()).toEqual([1]);
    expect(log.filter(({ topic }) => topic === TOPICS.person).map(({ value }) => value['version'])).toEqual([2]);
    expect(lines).toEqual(['error A side row is too large for its topic; it is left out.']);
  });
});

describe('V3: settled is acknowledged', () => {
  it('nothing is settled while the answer is out', async () => {
    const answer = Promise.withResolvers<void>();
    const { store, pass, settled } = setUp(() => answer.promise);
    store(1);
    await pass(10_000, 500);
    expect(settled()).toEqual([]);
    answer.resolve();
    await pass(20);
    expect(settled()).toEqual(['1:stored']);
  });

  it('of a flight that failed, each row is settled when its own record is acknowledged', async () => {
    const { store, pass, settled } = setUp((call, number) => {
      if (number === 1 || (number < 6 && offsetIn(JSON.parse(String(call.records[0]?.value)) as Record<string, unknown>) === 2))
        throw away();
    });
    store(1, 2, 3);
    await pass(140, 10);
    expect(settled()).toEqual(['1:stored', '3:stored']);
    await pass(5_000, 100);
    expect(settled()).toEqual(['1:stored', '2:stored', '3:stored']);
  });
});

describe('V4: equal rows', () => {
  it('the first is sent, the second dropped as a duplicate', async () => {
    const { tell, pass, settlement, settled, sent } = setUp();
    const first = eventRow(settlement, 1);
    tell({ type: 'store-events', rows: [first, { ...eventRow(settlement, 2), uuid: first.uuid, distinctId: first.distinctId }] });
    await pass(20);
    expect(sent()).toEqual([1]);
    expect(settled()).toEqual(['1:stored', '2:duplicate']);
    expect(settlement.outcomes.get(2)).toBe(dropped('duplicate'));
  });

  it('sharp edge 39: with another event or day both are sent', async () => {
    const { tell, pass, settlement, settled, log } = setUp();
    const first = eventRow(settlement, 1);
    const same = { uuid: first.uuid, distinctId: first.distinctId };
    tell({
      type: 'store-events',
      rows: [first, eventRow(settlement, 2, { ...same, event: 'other' }), eventRow(settlement, 3, { ...same, timestampMs: 0 })],
    });
    await pass(20);
    expect(log).toHaveLength(3);
    expect(settled()).toEqual(['1:stored', '2:stored', '3:stored']);
  });
});

describe('V5: a partition that was lost', () => {
  it('its rows are not sent, whether told before or after', async () => {
    const { tell, pass, rows, settlement, settled, calls } = setUp();
    tell({ type: 'store-events', rows: rows(1) });
    await pass(10, 10);
    settlement.active = false;
    tell({ type: 'store-events', rows: rows(2) });
    await pass(100);
    expect(calls).toHaveLength(0);
    expect(settled()).toEqual([]);
  });

  it('its rows are not sent again after a failure, nor settled by an answer that comes late', async () => {
    const { store, pass, settlement, settled, callsTo } = setUp((_call, number) => {
      if (number === 1) throw away();
    });
    store(1);
    await pass(20);
    settlement.active = false;
    await pass(1_000);
    expect(callsTo(TOPICS.events)).toEqual([1]);
    const late = Promise.withResolvers<void>();
    const other = setUp(() => late.promise);
    other.store(1);
    await other.pass(20);
    other.settlement.active = false;
    late.resolve();
    await other.pass(20);
    expect([...settled(), ...other.settled()]).toEqual([]);
  });
});

describe('V6: membership', () => {
  it('no event row is sent while the heartbeat is too old; then they go', async () => {
    const { store, pass, control, sent } = setUp();
    control.mayWrite = false;
    store(1);
    await pass(1_000, 50);
    expect(sent()).toEqual([]);
    control.mayWrite = true;
    await pass(100, 50);
    expect(sent()).toEqual([1]);
  });
});

describe('V7: Kafka away', () => {
  it('the same records wait and are sent again, and nothing is said to be lost', async () => {
    const lines = hear();
    let isAway = true;
    const { store, pass, sent, settled, deadLetters } = setUp(() => {
      if (isAway) throw away();
    });
    store(1, 2, 3);
    await pass(60_000, 500);
    expect(settled()).toEqual([]);
    isAway = false;
    await pass(6_000, 500);
    expect(sent()).toEqual([1, 2, 3]);
    expect(settled()).toEqual(['1:stored', '2:stored', '3:stored']);
    expect(deadLetters.messages).toEqual([]);
    expect(new Set(lines)).toEqual(new Set(['warn Rows cannot be produced now; they wait.']));
  });

  it('a queue that is full took nothing: the same call is made again', async () => {
    const { store, pass, callsTo } = setUp((_call, number) => {
      if (number === 1) throw new ProduceError('queue-full', 'full');
    });
    store(1, 2, 3);
    await pass(1_000);
    expect(callsTo(TOPICS.events)).toEqual([3, 3]);
  });

  it('after an unknown end records go one by one, and what was acknowledged is not sent again', async () => {
    const { store, pass, callsTo, sent } = setUp((_call, number) => {
      if (number === 1 || number === 3) throw away();
    });
    store(1, 2, 3);
    await pass(2_000);
    expect(callsTo(TOPICS.events)).toEqual([3, 1, 1, 1, 1]);
    expect(sent()).toEqual([1, 3, 2]);
  });

  it('a topic that is gone is an error in the log, and waited for', async () => {
    const lines = hear();
    const { store, pass, sent } = setUp((_call, number) => {
      if (number === 1) throw new ProduceError('unknown-topic', 'gone');
    });
    store(1);
    await pass(1_000);
    expect(lines).toEqual(['error Rows cannot be produced now; they wait.']);
    expect(sent()).toEqual([1]);
  });

  it('an error that is none of Kafka’s is a bug: it escalates', async () => {
    const { store, pass, escalated } = setUp(() => {
      throw new TypeError('a bug');
    });
    store(1);
    await pass(20);
    expect(escalated).toMatchObject([{ message: 'a bug' }]);
  });
});

describe('V8, O-4: a row that is too large', () => {
  const large = { properties: JSON.stringify({ a: 'x'.repeat(3_000) }) };

  it('is dead-lettered with its bytes and its team is warned, before it is ever sent', async () => {
    const { tell, pass, settlement, sent, deadLetters, warnings, calls } = setUp(undefined, { maxRecordBytes: 2_000 });
    tell({ type: 'store-events', rows: [eventRow(settlement, 1), eventRow(settlement, 2, large), eventRow(settlement, 3)] });
    await pass(20);
    expect(sent()).toEqual([1, 3]);
    expect(calls).toHaveLength(1);
    expect(deadLetters.messages).toMatchObject([
      { type: 'dead-letter', records: [{ offset: 2, reason: 'row_too_large', origin: 'kafka-writer', value: Buffer.from('raw 2') }] },
    ]);
    expect(warnings).toMatchObject([
      {
        teamId: 2,
        type: 'message_size_too_large',
        debounceKey: '',
        alwaysSend: false,
        details: { eventUuid: uuidOf('events', 0, 2), distinctId: 'user-2' },
      },
    ]);
    // the dead-letter actor settles it, when the copy is acknowledged
    expect(settlement.outcomes.has(2)).toBe(false);
  });

  it('costs itself alone when the broker refuses it: its neighbours are sent', async () => {
    const { tell, pass, settlement, sent, settled, deadLetters, warnings } = setUp(({ records }) => {
      if (records.some(({ value }) => value.length > 2_000)) throw tooLarge();
    });
    tell({ type: 'store-events', rows: [eventRow(settlement, 1), eventRow(settlement, 2, large), eventRow(settlement, 3)] });
    await pass(20);
    expect(sent()).toEqual([1, 3]);
    expect(settled()).toEqual(['1:stored', '3:stored']);
    expect(deadLetters.messages).toHaveLength(1);
    expect(warnings).toHaveLength(1);
  });

  it('a row that ClickHouse could not read is dead-lettered as refused', async () => {
    const { tell, pass, settlement, deadLetters, warnings, calls } = setUp();
    tell({ type: 'store-events', rows: [eventRow(settlement, 1, { timestampMs: Number.NaN })] });
    await pass(20);
    expect(calls).toHaveLength(0);
    expect(deadLetters.messages).toMatchObject([{ records: [{ reason: 'row_refused' }] }]);
    expect(warnings).toEqual([]);
  });
});

describe('V9: an event without a row', () => {
  const heatmap = (settlement: ReturnType<typeof testSettlement>, offset: number) =>
    ({ settlement, offset: toOffset(offset), outcome: dropped('heatmap') }) as const;

  it('is settled when the side rows before it are acknowledged, not before', async () => {
    const answer = Promise.withResolvers<void>();
    const { tell, pass, settlement, settled } = setUp(() => answer.promise);
    tell({ type: 'store-side-rows', rows: [person(1)] });
    tell({ type: 'settle-after-side-rows', events: [heatmap(settlement, 5)] });
    await pass(500);
    expect(settled()).toEqual([]);
    answer.resolve();
    await pass(20);
    expect(settled()).toEqual(['5:heatmap']);
  });

  it('is settled although no other row comes, and not when its partition was lost', async () => {
    const { tell, pass, settlement, settled } = setUp();
    tell({ type: 'settle-after-side-rows', events: [heatmap(settlement, 5)] });
    await pass(20);
    settlement.active = false;
    tell({ type: 'settle-after-side-rows', events: [heatmap(settlement, 6)] });
    await pass(20);
    expect(settled()).toEqual(['5:heatmap']);
  });
});

describe('at the end', () => {
  it('drain: what waits is sent at once, and the asker is told when it is acknowledged', async () => {
    const answer = Promise.withResolvers<void>();
    const { tell, store, settle: settled, sent } = setUp(() => answer.promise);
    const asker = probe<{ readonly type: 'drained' }>();
    store(1);
    tell({ type: 'drain', replyTo: asker });
    await settled();
    expect(asker.messages).toEqual([]);
    answer.resolve();
    await settled();
    expect(sent()).toEqual([1]);
    expect(asker.messages).toEqual([{ type: 'drained' }]);
  });

  it('drain: with nothing to do the answer comes at once', async () => {
    const { tell, settle: settled } = setUp();
    const asker = probe<{ readonly type: 'drained' }>();
    tell({ type: 'drain', replyTo: asker });
    await settled();
    expect(asker.messages).toEqual([{ type: 'drained' }]);
  });

  it('a stop sends what is left, through a failure too', async () => {
    const { store, system, writer, pass, sent, settled } = setUp((_call, number) => {
      if (number === 1) throw away();
    });
    store(1, 2);
    await pass(0, 1);
    const stopped = system.stop(writer);
    await pass(1_000, 50);
    await stopped;
    expect(sent()).toEqual([1, 2]);
    expect(settled()).toEqual(['1:stored', '2:stored']);
  });

  it('a stop gives up after its limit: what is left is not settled, and comes again', async () => {
    const { store, system, writer, pass, settled } = setUp(
      () => {
        throw away();
      },
      { stopFlushMs: 300 },
    );
    store(1);
    await pass(0, 1);
    const stopped = system.stop(writer);
    await pass(2_000, 50);
    await stopped;
    expect(settled()).toEqual([]);
  });
});
