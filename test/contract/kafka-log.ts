import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ProduceError, type OutgoingRecord, type RecordConsumer, type RecordProducer } from '../../src/kafka/port.ts';
import { MURMUR2_OF_JAVA } from '../kit/murmur2-of-java.ts';
import { createGate, createWitness, owned, until, type RecordLogTraits, type RecordLogUnderTest, type Witness } from './kafka-log-kit.ts';

const record = (key: string | null, value: string): OutgoingRecord => ({
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from(value),
});

/**
 * What every implementation of RecordProducer, RecordConsumer and TopicAdmin owes to the rest of Troupe: the promises
 * of src/kafka/port.ts, one test each. Run on real Kafka and on the embedded log.
 */
export function describeRecordLog(name: string, make: () => Promise<RecordLogUnderTest>, traits: RecordLogTraits): void {
  describe(name, () => {
    let log: RecordLogUnderTest;
    const consumers: RecordConsumer[] = [];
    const producers: RecordProducer[] = [];
    const unique = (what: string): string => `${what}-${randomBytes(5).toString('hex')}`;

    beforeAll(async () => {
      log = await make();
    });
    afterAll(async () => {
      await log.close();
    });
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()));
      await Promise.all(producers.splice(0).map((producer) => producer.close()));
    });

    async function topicOf(partitions: number): Promise<string> {
      const topic = unique('topic');
      await log.admin.ensureTopics([{ topic, partitions }]);
      return topic;
    }
    function producerOf(options?: Parameters<RecordLogUnderTest['createProducer']>[0]): RecordProducer {
      const producer = log.createProducer(options);
      producers.push(producer);
      return producer;
    }
    async function startConsumer(
      topic: string,
      groupId: string,
      options: { readonly maxBatchBytes?: number; readonly witness?: Witness } = {},
    ): Promise<{ consumer: RecordConsumer; witness: Witness }> {
      const { witness = createWitness(), ...limits } = options;
      const consumer = log.createConsumer({ groupId, topics: [topic], ...limits });
      consumers.push(consumer);
      await consumer.start(witness.handlers);
      return { consumer, witness };
    }
    const assigned = (witness: Witness): Promise<void> => until(() => witness.log.some((line) => line.endsWith('done')), 'an assignment');
    const values = (witness: Witness): string[] => witness.records.map(({ value }) => value?.toString() ?? '');

    describe('producer', () => {
      it('keeps the records of a key in the order of the calls, also when calls overlap', async () => {
        const topic = await topicOf(3);
        const producer = producerOf();
        const sends: Promise<void>[] = [];
        for (let n = 0; n < 300; n++) {
          sends.push(producer.send(topic, [record(`key-${n % 7}`, `${n}`), record(`key-${(n + 1) % 7}`, `${n}.5`)]));
        }
        await Promise.all(sends);
        const { witness } = await startConsumer(topic, unique('group'));
        await until(() => witness.records.length >= 600, '600 records');
        const byKey = Map.groupBy(witness.records, ({ key }) => key?.toString() ?? '');
        expect(byKey.size).toBe(7);
        for (const ofKey of byKey.values()) {
          expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
          const sequence = ofKey.map(({ value }) => Number(value?.toString()));
          expect(sequence).toEqual(sequence.toSorted((a, b) => a - b));
        }
        expect(witness.records.length).toBe(600);
      });

      it('chooses the partition that the Java client would choose', async () => {
        const topic = await topicOf(5);
        await producerOf().send(
          topic,
          MURMUR2_OF_JAVA.map(([key]) => record(key, key)),
        );
        const { witness } = await startConsumer(topic, unique('group'));
        await until(() => witness.records.length >= MURMUR2_OF_JAVA.length, 'every key');
        const partitionOf = new Map(witness.records.map(({ key, partition }) => [key?.toString(), partition]));
        for (const [key, hash] of MURMUR2_OF_JAVA) expect([key, partitionOf.get(key)]).toEqual([key, (hash & 0x7fffffff) % 5]);
      });

      it('spreads records without a key over the partitions', async () => {
        const topic = await topicOf(3);
        const producer = producerOf();
        for (let n = 0; n < 9; n++) await producer.send(topic, [record(null, `${n}`)]);
        const ends = await log.admin.endOffsets(topic);
        expect(ends.map(({ offset }) => offset)).toEqual([3, 3, 3]);
      });

      it('keeps records of one partitionBy in one partition and in order, and shows no reader a key', async () => {
        const topic = await topicOf(5);
        const producer = producerOf();
        await Promise.all(
          Array.from({ length: 40 }, (_, n) =>
            producer.send(topic, [{ ...record(null, `${n}`), partitionBy: Buffer.from(`group-${n % 4}`) }]),
          ),
        );
        const { witness } = await startConsumer(topic, unique('group'));
        await until(() => witness.records.length >= 40, 'every record');
        expect(witness.records.every(({ key }) => key === null)).toBe(true);
        for (const own of Map.groupBy(witness.records, ({ value }) => Number(value?.toString()) % 4).values()) {
          expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
          const sequence = own.map(({ value }) => Number(value?.toString()));
          expect(sequence).toEqual(sequence.toSorted((a, b) => a - b));
        }
      });

      it('carries key, value and headers unchanged, whatever their bytes', async () => {
        const topic = await topicOf(1);
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
        await producerOf().send(topic, [
          { key: bytes, value: bytes, headers: { token: 'phc_ä', raw: bytes, empty: '' } },
          { key: null, value: Buffer.alloc(0) },
          { key: Buffer.alloc(0), value: Buffer.from('x') },
        ]);
        const { witness } = await startConsumer(topic, unique('group'));
        await until(() => witness.records.length >= 3, 'three records');
        const [first, second, third] = witness.records;
        expect(first?.key).toEqual(bytes);
        expect(first?.value).toEqual(bytes);
        expect(first?.headers).toEqual({ token: Buffer.from('phc_ä'), raw: bytes, empty: Buffer.alloc(0) });
        expect([second?.key, second?.value?.length, second?.headers ?? {}]).toEqual([null, 0, {}]);
        expect([third?.key?.length, third?.value?.toString()]).toEqual([0, 'x']);
        expect(witness.records.map(({ offset }) => offset)).toEqual([0, 1, 2]);
        expect(Math.abs(Date.now() - (first?.timestampMs ?? 0))).toBeLessThan(60_000);
      });

      it('says unknown-topic for a topic that does not exist', async () => {
        const topic = unique('nowhere');
        const error = await producerOf()
          .send(topic, [record('a', 'b')])
          .catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(ProduceError);
        expect(error).toMatchObject({ code: 'unknown-topic', message: expect.stringContaining(topic) as string });
      });

      it('refuses a record above its limit as too-large, and nothing but that call', async () => {
        const topic = await topicOf(1);
        const producer = producerOf({ maxMessageBytes: 10_000 });
        const [before, large, after] = await Promise.allSettled([
          producer.send(topic, [record('a', 'before')]),
          producer.send(topic, [record('a', 'beside'), record('a', 'x'.repeat(20_000))]),
          producer.send(topic, [record('a', 'after')]),
        ]);
        expect([before.status, after.status]).toEqual(['fulfilled', 'fulfilled']);
        expect(large).toMatchObject({ status: 'rejected', reason: { code: 'too-large' } });
        expect(await log.admin.endOffsets(topic)).toEqual([{ partition: 0, offset: 2 }]);
      });

      it('says queue-full beyond its byte bound and takes records again when there is room', async () => {
        const topic = await topicOf(1);
        const producer = producerOf({ maxQueuedBytes: 50_000 });
        const results = await Promise.allSettled(
          Array.from({ length: 40 }, (_, n) => producer.send(topic, [record('a', `${n}`.padEnd(5_000))])),
        );
        const refused = results.filter((result) => result.status === 'rejected');
        expect(refused.length).toBeGreaterThan(0);
        expect(refused.length).toBeLessThan(40);
        for (const { reason } of refused) expect(reason).toMatchObject({ code: 'queue-full' });
        expect(producer.queuedBytes()).toBe(0);
        await producer.send(topic, [record('a', 'again')]);
        expect(await log.admin.endOffsets(topic)).toEqual([{ partition: 0, offset: 40 - refused.length + 1 }]);
      });

      it('has acknowledged everything it accepted when close resolves', async () => {
        const topic = await topicOf(2);
        const producer = producerOf();
        const sends = Array.from({ length: 50 }, (_, n) => producer.send(topic, [record(`k${n}`, `${n}`)]));
        await producer.close();
        await Promise.all(sends);
        const ends = await log.admin.endOffsets(topic);
        expect(ends.reduce((sum, { offset }) => sum + offset, 0)).toBe(50);
      });
    });

    describe('consumer', () => {
      it('tells the assignment, without a commit for a new group, before any record of that generation', async () => {
        const topic = await topicOf(2);
        await producerOf().send(topic, [record(null, '1'), record(null, '2')]);
        const witness = createWitness();
        const takeover = createGate();
        witness.hold.assigned = () => takeover.opened;
        await startConsumer(topic, unique('group'), { witness });
        await until(() => witness.assignments.length === 1, 'the assignment');
        expect(witness.assignments[0]?.partitions.toSorted((a, b) => a.partition - b.partition)).toEqual([
          { topic, partition: 0, committed: undefined },
          { topic, partition: 1, committed: undefined },
        ]);
        await new Promise((resolve) => setTimeout(resolve, 400)); // long enough for several fetches to have come
        expect(witness.records).toEqual([]);
        takeover.open();
        await until(() => witness.records.length === 2, 'both records');
        const at = witness.log.findIndex((line) => line.startsWith('batch'));
        expect(witness.log.slice(0, at)).toEqual([
          `assigned ${witness.assignments[0]?.generation}`,
          `assigned ${witness.assignments[0]?.generation} done`,
        ]);
      });

      it('resumes where the group committed, and reports the commit', async () => {
        const topic = await topicOf(1);
        const groupId = unique('group');
        await producerOf().send(topic, ['0', '1', '2', '3', '4'].map((value) => record('k', value))); // prettier-ignore
        const first = await startConsumer(topic, groupId);
        await until(() => first.witness.records.length === 5, 'five records');
        const generation = first.witness.assignments[0]?.generation ?? -1;
        expect(await first.consumer.commit(generation, [{ topic, partition: 0, offset: 3 }])).toBe('committed');
        await first.consumer.stop();
        expect(await log.admin.committedOffsets(groupId, topic)).toEqual([{ partition: 0, offset: 3 }]);
        const second = await startConsumer(topic, groupId);
        await until(() => second.witness.records.length === 2, 'the uncommitted records');
        expect(second.witness.assignments[0]?.partitions).toEqual([{ topic, partition: 0, committed: 3 }]);
        expect(values(second.witness)).toEqual(['3', '4']);
      });

      it('still commits while revoked runs, and answers stale afterwards without moving the group', async () => {
        const topic = await topicOf(1);
        const groupId = unique('group');
        await producerOf().send(topic, ['0', '1', '2'].map((value) => record('k', value))); // prettier-ignore
        const witness = createWitness();
        const { consumer } = await startConsumer(topic, groupId, { witness });
        await until(() => witness.records.length === 3, 'three records');
        const generation = witness.assignments[0]?.generation ?? -1;
        const answers: string[] = [];
        witness.hold.revoked = async (revokedGeneration) => {
          answers.push(await consumer.commit(revokedGeneration, [{ topic, partition: 0, offset: 2 }]));
        };
        await consumer.stop();
        answers.push(await consumer.commit(generation, [{ topic, partition: 0, offset: 3 }]));
        expect(answers).toEqual(['committed', 'stale']);
        expect(await log.admin.committedOffsets(groupId, topic)).toEqual([{ partition: 0, offset: 2 }]);
      });

      it('answers stale to a generation that never was', async () => {
        const topic = await topicOf(1);
        const groupId = unique('group');
        const { consumer, witness } = await startConsumer(topic, groupId);
        await assigned(witness);
        const generation = witness.assignments[0]?.generation ?? -1;
        expect(await consumer.commit(generation + 7, [{ topic, partition: 0, offset: 0 }])).toBe('stale');
        expect(await log.admin.committedOffsets(groupId, topic)).toEqual([{ partition: 0, offset: undefined }]);
      });

      it('fetches no further of a partition while its batch waits to be accepted, and lets the others flow', async () => {
        const topic = await topicOf(2);
        const producer = producerOf();
        const held = createGate();
        const witness = createWitness();
        let first: number | undefined;
        witness.hold.batch = ({ partition }) => ((first ??= partition) === partition ? held.opened : Promise.resolve());
        const { consumer } = await startConsumer(topic, unique('group'), { witness, maxBatchBytes: 4_000 });
        await assigned(witness);
        const send = (from: number): Promise<void> =>
          producer.send(topic, Array.from({ length: 40 }, (_, n) => record(null, `${from + n}`.padEnd(1_000)))); // prettier-ignore
        for (let n = 0; n < 4; n++) await send(40 * n);
        const free = (): number => witness.records.filter(({ partition }) => partition !== first).length;
        await until(() => free() === 80, 'all of the free partition');
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(witness.batches.filter(({ partition }) => partition === first).length).toBe(1);
        expect(consumer.sinceHeartbeatMs()).toBeLessThan(10_000);
        held.open();
        await until(() => witness.records.length === 160, 'the rest');
        for (const ofPartition of Map.groupBy(witness.records, ({ partition }) => partition).values()) {
          expect(ofPartition.map(({ offset }) => offset)).toEqual(Array.from({ length: 80 }, (_, n) => n));
        }
      });

      it('brings nothing of a paused partition until it is resumed', async () => {
        const topic = await topicOf(1);
        const { consumer, witness } = await startConsumer(topic, unique('group'));
        await assigned(witness);
        const producer = producerOf();
        await producer.send(topic, [record('k', 'before')]);
        await until(() => witness.records.length === 1, 'the first record');
        consumer.pause([{ topic, partition: 0 }]);
        await producer.send(topic, [record('k', 'after')]);
        await new Promise((resolve) => setTimeout(resolve, 400));
        expect(values(witness)).toEqual(['before']);
        consumer.resume([{ topic, partition: 0 }]);
        await until(() => witness.records.length === 2, 'the second record');
        expect(values(witness)).toEqual(['before', 'after']);
      });

      it('stops while a batch waits to be accepted: revoked once, and no batch after it', async () => {
        const topic = await topicOf(1);
        const witness = createWitness();
        const held = createGate();
        witness.hold.batch = () => held.opened;
        witness.hold.revoked = () => {
          held.open();
          return Promise.resolve();
        };
        const { consumer } = await startConsumer(topic, unique('group'), { witness, maxBatchBytes: 2_000 });
        const producer = producerOf();
        for (let n = 0; n < 10; n++) await producer.send(topic, [record('k', `${n}`.padEnd(1_000))]);
        await until(() => witness.batches.length === 1, 'the first batch');
        await Promise.all([consumer.stop(), consumer.stop()]);
        await consumer.stop();
        expect(witness.batches.length).toBe(1);
        expect(witness.revoked).toEqual([witness.assignments[0]?.generation]);
        expect(witness.crashes).toEqual([]);
      });

      it('HT-4: says when it was last answered: also while nothing comes, and while its batches wait on purpose', async () => {
        const topic = await topicOf(1);
        const witness = createWitness();
        const unstarted = log.createConsumer({ groupId: unique('group'), topics: [topic] });
        expect(unstarted.sincePollMs()).toBe(Infinity);
        const { consumer } = await startConsumer(topic, unique('group'), { witness });
        await assigned(witness);
        await until(() => consumer.sincePollMs() < 1_000, 'an empty answer counts');
        const held = createGate();
        witness.hold.batch = () => held.opened;
        await producerOf().send(topic, [record('k', 'waits')]);
        await until(() => witness.batches.length === 1, 'a batch that waits');
        const waitedFrom = performance.now();
        await until(() => performance.now() - waitedFrom > 1_500, 'longer than any fetch takes');
        expect(consumer.sincePollMs()).toBeLessThan(1_400);
        held.open();
      });

      it('stops before it was ever given a partition', async () => {
        const consumer = log.createConsumer({ groupId: unique('group'), topics: [await topicOf(1)] });
        await consumer.stop();
        const begun = log.createConsumer({ groupId: unique('group'), topics: [await topicOf(1)] });
        const witness = createWitness();
        const starting = begun.start(witness.handlers);
        await Promise.all([begun.stop(), starting]);
        expect(witness.assignments.length).toBe(witness.revoked.length);
      });

      it.runIf(traits.sharedGroups)(
        'shares the partitions of a group, each with one owner, and revokes before it assigns anew',
        async () => {
          const topic = await topicOf(4);
          const groupId = unique('group');
          const first = await startConsumer(topic, groupId);
          await until(() => owned(first.witness).length === 4, 'the first owns all');
          const second = await startConsumer(topic, groupId);
          await until(() => owned(first.witness).length === 2 && owned(second.witness).length === 2, 'both own half');
          expect(new Set([...owned(first.witness), ...owned(second.witness)]).size).toBe(4);
          const [before, after] = [first.witness.assignments[0]?.generation, first.witness.assignments.at(-1)?.generation];
          const lifecycle = first.witness.log.filter((line) => !line.startsWith('batch'));
          expect(lifecycle.indexOf(`revoked ${before} done`)).toBeGreaterThan(-1);
          expect(lifecycle.indexOf(`revoked ${before} done`)).toBeLessThan(lifecycle.indexOf(`assigned ${after}`));
          expect(await first.consumer.commit(before ?? -1, [{ topic, partition: 0, offset: 0 }])).toBe('stale');
          const producer = producerOf();
          await producer.send(topic, Array.from({ length: 40 }, (_, n) => record(null, `${n}`))); // prettier-ignore
          await until(() => first.witness.records.length + second.witness.records.length >= 40, 'all records');
          for (const { witness } of [first, second]) {
            for (const { partition } of witness.records) expect(owned(witness)).toContain(`${topic}/${partition}`);
          }
          await second.consumer.stop();
          await until(() => owned(first.witness).length === 4, 'the first owns all again');
          expect(first.witness.crashes).toEqual([]);
        },
      );
      if (!traits.sharedGroups) console.info(`${name}: groups are not shared between consumers; that test is left out.`);

      it('delivers a record without a value', async ({ skip }) => {
        const topic = await topicOf(1);
        if (log.appendTombstone === undefined) return skip(`${name} cannot hold a record without a value`);
        await log.appendTombstone(topic, Buffer.from('gone'));
        const { witness } = await startConsumer(topic, unique('group'));
        await until(() => witness.records.length === 1, 'the tombstone');
        expect(witness.records[0]).toMatchObject({ key: Buffer.from('gone'), value: null, offset: 0 });
      });
    });

    describe('admin', () => {
      it('makes missing topics, leaves existing ones alone, and describes only what exists', async () => {
        const [topic, other] = [unique('topic'), unique('topic')];
        await log.admin.ensureTopics([{ topic, partitions: 2 }]);
        await log.admin.ensureTopics([{ topic, partitions: 5 }, { topic: other, partitions: 1 }]); // prettier-ignore
        const counts = await log.admin.describeTopics([topic, other, unique('nowhere')]);
        expect([...counts].sort()).toEqual([[topic, 2] as [string, number], [other, 1] as [string, number]].sort());
      });
    });
  });
}
