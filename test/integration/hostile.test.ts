import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { createWitness, type ReadRecord } from '../contract/kafka-log-kit.ts';
import { appendTombstone } from '../contract/kafka-raw.ts';
import { arbitraryRecord } from '../kit/arbitrary-records.ts';
import { HOSTILE_RECORDS, type HostileIds } from '../kit/hostile-records.ts';
import { eventRecord } from '../kit/records.ts';
import { outcomeByRules } from '../kit/rules.ts';
import {
  DEAD_LETTERS,
  drained,
  INPUTS,
  requireSurroundings,
  startSurroundings,
  until,
  type Surroundings,
} from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_hostile';
const ARBITRARY = 300;
const SEED = 20261121;
const LIMIT_MS = 60_000;

const idsOf = (index: number): HostileIds => ({
  uuid: randomUUID(),
  distinctId: `hostile-${index}`,
  token: TOKEN,
  now: new Date().toISOString(),
});
/** Each topic gets an equal share, and a good neighbour of its own. */
const topicOf = (index: number): string => INPUTS[index % INPUTS.length]?.topic ?? '';
/** One line of the hostile table, as it was sent. */
const table = HOSTILE_RECORDS.map((record, index) => {
  const ids = idsOf(index);
  return { ...ids, index, topic: topicOf(index), name: record.name, outcome: record.outcome, value: record.build(ids) };
});
/** Arbitrary JSON: what it must come to is what the rules alone make of it. */
const arbitrary = Array.from({ length: ARBITRARY }, (_, n) => {
  const index = table.length + n;
  const ids = idsOf(index);
  const [value = Buffer.alloc(0)] = fc.sample(arbitraryRecord(ids), { seed: SEED + n, numRuns: 1 });
  return { ...ids, index, topic: topicOf(index), name: `arbitrary JSON ${n}`, outcome: outcomeByRules(value, TOKEN).outcome, value };
});
const sent = [...table, ...arbitrary];
const ofType = (type: string, of = sent): typeof sent => of.filter(({ outcome }) => outcome.type === type);

const here = await requireSurroundings();

describe.skipIf(!here.available)('hostile records among good neighbours, through real Kafka, on every input topic', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  let team: number;
  let rows: { readonly uuid: string; readonly distinctId: string; readonly seq: number; readonly at: string }[];
  let letters: readonly ReadRecord[];

  beforeAll(async () => {
    surroundings = await startSurroundings();
    team = await seedTeam(surroundings.sql, { token: TOKEN });
    troupe = await startTroupe({ env: { ...surroundings.env, TZ: 'Pacific/Auckland' } });
    for (const { index, topic, distinctId, value } of sent) {
      const key = Buffer.from(`${TOKEN}:${distinctId}`);
      if (value === null) await appendTombstone({ brokers: surroundings.kafka.brokers(), clientId: 'test' }, topic, key);
      else
        await surroundings.producer.send(topic, [{ key, value, headers: { hostile: String(index), bytes: Buffer.from([0, 255, 128]) } }]);
      const seq = Math.floor(index / INPUTS.length);
      const good = eventRecord({
        token: TOKEN,
        distinctId: `good-${index % INPUTS.length}`,
        event: 'good',
        properties: { seq, $set: { seq } },
      });
      await surroundings.producer.send(topic, [good]);
    }
    await drained(surroundings, LIMIT_MS, INPUTS);
    rows = await surroundings.rows.query(
      `SELECT toString(uuid) AS uuid, distinct_id AS distinctId, JSONExtractInt(properties, 'seq') AS seq, toString(timestamp) AS at
       FROM events WHERE team_id = {team:Int64} ORDER BY distinct_id, _offset`,
      { team },
    );
    letters = await deadLetters();
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  async function deadLetters(): Promise<readonly ReadRecord[]> {
    const witness = createWitness();
    const consumer = createKafkaConsumer({
      connection: { brokers: surroundings.kafka.brokers(), clientId: 'test' },
      clock: systemClock,
      groupId: 'dead-letter-readers',
      topics: [DEAD_LETTERS],
    });
    await consumer.start(witness.handlers);
    try {
      await until(() => witness.records.length >= ofType('dead-lettered').length, 'all dead letters are read', LIMIT_MS);
      return witness.records;
    } finally {
      await consumer.stop();
    }
  }
  /** A tombstone cannot bring headers. */
  const letterOf = ({ index, distinctId }: { readonly index: number; readonly distinctId: string }): ReadRecord[] =>
    letters.filter(
      ({ headers, key }) => headers?.['hostile']?.toString() === String(index) || key?.toString() === `${TOKEN}:${distinctId}`,
    );

  test.each(ofType('stored', table))('stored as one row: $name', ({ uuid }) => {
    expect(rows.filter((row) => row.uuid === uuid)).toHaveLength(1);
  });

  test.each(ofType('dead-lettered', table))('dead-lettered with its bytes, headers and reason: $name', (record) => {
    const [letter, ...more] = letterOf(record);
    expect(more).toEqual([]);
    expect(letter?.headers?.['dlq_reason']?.toString()).toBe('reason' in record.outcome ? record.outcome.reason : undefined);
    expect(letter?.value?.equals(record.value ?? Buffer.alloc(0))).toBe(true);
    expect(letter?.headers?.['dlq_topic']?.toString()).toBe(record.topic);
    if (record.value !== null) expect(letter?.headers?.['bytes']).toEqual(Buffer.from([0, 255, 128]));
    expect(rows.filter((row) => row.uuid === record.uuid)).toEqual([]);
  });

  test('TS-3: a time without a zone is UTC, whatever zone the machine is in', () => {
    const sentWithoutZone = table.find(({ name }) => name === 'timestamp without a zone');
    expect(rows.find(({ uuid }) => uuid === sentWithoutZone?.uuid)?.at).toBe('2024-05-01 12:00:00.000000');
  });

  test(`${ARBITRARY} records of arbitrary JSON end as the rules say, each with its row or its dead letter`, () => {
    const count = new Map<string, number>();
    for (const { uuid } of rows) count.set(uuid, (count.get(uuid) ?? 0) + 1);
    const ended = arbitrary.map((record) => ({
      name: record.name,
      rows: count.get(record.uuid) ?? 0,
      letters: letterOf(record).map((letter) => letter.headers?.['dlq_reason']?.toString()),
    }));
    expect(ended).toEqual(
      arbitrary.map(({ name, outcome }) => ({
        name,
        rows: outcome.type === 'stored' ? 1 : 0,
        letters: outcome.type === 'dead-lettered' ? [outcome.reason] : [],
      })),
    );
  });

  test('dropped ones are counted under their reasons, and leave neither row nor dead letter', async () => {
    const reasons = new Map<string, number>();
    for (const record of ofType('dropped')) {
      const reason = 'reason' in record.outcome ? record.outcome.reason : '';
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      expect(letterOf(record), record.name).toEqual([]);
      expect(
        rows.filter((row) => row.uuid === record.uuid),
        record.name,
      ).toEqual([]);
    }
    for (const [reason, count] of reasons) {
      expect([reason, await troupe.metric('troupe_outcome_total', `outcome="dropped",reason="${reason}"`)]).toEqual([reason, count]);
    }
  });

  test('every good neighbour is stored, in order, and nothing else is', () => {
    const good = rows.filter(({ distinctId }) => distinctId.startsWith('good-'));
    expect(good).toHaveLength(sent.length);
    for (let n = 0; n < INPUTS.length; n++) {
      const own = good.filter(({ distinctId }) => distinctId === `good-${n}`).map(({ seq }) => seq);
      expect(own).toEqual(own.map((_, i) => i));
    }
    expect(rows).toHaveLength(sent.length + ofType('stored').length);
  });

  test('the process lives, no actor crashed, and the account of records adds up', async () => {
    expect(await troupe.isReady()).toBe(true);
    expect(await troupe.metric('troupe_runtime_actor_crashed_total')).toBeNaN();
    expect(await troupe.metric('troupe_records_read_total')).toBe(sent.length * 2);
    expect(await troupe.metric('troupe_outcome_total')).toBe(sent.length * 2);
    expect(await troupe.metric('troupe_in_flight')).toBe(0);
  });
});
