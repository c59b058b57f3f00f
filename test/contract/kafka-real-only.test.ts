import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import type { KafkaConsumerOptions } from '../../src/kafka/consumer-options.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import type { RecordConsumer, TopicAdmin } from '../../src/kafka/port.ts';
import { createKafkajsProducer } from '../../src/kafka/producer-kafkajs.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createClosers } from '../../src/start/closers.ts';
import { openLog } from '../../src/start/open-log.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { createGate, createWitness, owned, until, type Witness } from './kafka-log-kit.ts';
import { withBareProducer } from './kafka-raw.ts';

/** What only a real broker can show: codecs of the Java code, transactions, security, silence, death. */
const kafka = await requireService('kafka', probeKafka);
const openssl = await requireService('openssl', () => promisify(execFile)('openssl', ['version']));
const USERS = { troupe: 'a secret' };

describe.skipIf(!kafka.available)('real Kafka beyond the port', () => {
  let cluster: KafkaCluster;
  let certificate: { readonly key: string; readonly cert: string } | undefined;
  let connection: KafkaConnection;
  let admin: TopicAdmin;
  const consumers: RecordConsumer[] = [];

  beforeAll(async () => {
    if (openssl.available) certificate = await makeCertificate();
    cluster = await startKafka({ users: USERS, ...(certificate !== undefined && { tls: certificate }) });
    connection = { brokers: cluster.brokers(), clientId: 'beyond' };
    admin = createKafkaAdmin({ connection, clock: systemClock });
  });
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()));
  });
  afterAll(async () => {
    await admin?.close();
    await cluster?.stop();
  });

  async function makeTopic(config: Readonly<Record<string, string>> = {}, partitions = 1): Promise<string> {
    const topic = `topic-${randomBytes(5).toString('hex')}`;
    const client = new kafkajs.Kafka({ brokers: cluster.brokers(), clientId: 'maker', logLevel: kafkajs.logLevel.NOTHING }).admin();
    await client.connect();
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await client.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: partitions, configEntries }] });
    await client.disconnect();
    await admin.endOffsets(topic); // waits until it is known
    return topic;
  }
  async function consume(
    topic: string,
    options: Partial<KafkaConsumerOptions> = {},
    witness: Witness = createWitness(),
  ): Promise<{ consumer: RecordConsumer; witness: Witness }> {
    const consumer = createKafkaConsumer({
      connection,
      clock: systemClock,
      groupId: `of-${topic}`,
      topics: [topic],
      heartbeatIntervalMs: 300,
      ...options,
    });
    consumers.push(consumer);
    await consumer.start(witness.handlers);
    return { consumer, witness };
  }
  const values = ({ records }: Witness): (string | undefined)[] => records.map(({ value }) => value?.toString());

  it('has a request of each partition on its way to one broker at once, and one alone of each', async () => {
    const topic = await makeTopic({}, 6);
    const producer = createKafkaProducer({ connection, clock: systemClock });
    const record = { key: null, value: Buffer.from('x') };
    await producer.send(topic, [record]);
    let inFlight = 0;
    let most = 0;
    const begun = (): void => void (most = Math.max(most, ++inFlight));
    const ended = (): void => void inFlight--;
    subscribe('tracing:plt:kafka:connections:api:start', begun);
    subscribe('tracing:plt:kafka:connections:api:asyncStart', ended);
    await Promise.all(Array.from({ length: 60 }, () => producer.send(topic, [record])));
    unsubscribe('tracing:plt:kafka:connections:api:start', begun);
    unsubscribe('tracing:plt:kafka:connections:api:asyncStart', ended);
    await producer.close();
    expect(most).toBe(6);
  });

  it.each(['gzip', 'snappy', 'lz4', 'zstd'])('reads %s as the broker itself compresses it', async (codec) => {
    const topic = await makeTopic({ 'compression.type': codec });
    const large = Buffer.alloc(100_000, 'distinct_id ');
    const producer = createKafkaProducer({ connection, clock: systemClock });
    await producer.send(topic, [{ key: Buffer.from('k'), value: large }, { key: null, value: Buffer.from('x') }]); // prettier-ignore
    await producer.close();
    const { witness } = await consume(topic);
    await until(() => witness.records.length === 2, 'both records');
    expect(witness.records[0]?.value?.equals(large)).toBe(true);
    expect(witness.crashes).toEqual([]);
  });

  it.each([
    ['platformatic', createKafkaProducer],
    ['kafkajs', createKafkajsProducer],
  ] as const)('writes every codec that the broker accepts (%s)', async (_, create) => {
    const topic = await makeTopic();
    for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const producer = create({ connection, clock: systemClock, compression });
      await producer.send(topic, [{ key: null, value: Buffer.from(compression.repeat(1_000)) }]);
      await producer.close();
    }
    const { witness } = await consume(topic);
    await until(() => witness.records.length === 4, 'four records');
    expect(values(witness).map((value) => value?.length)).toEqual([4_000, 6_000, 3_000, 4_000]);
  });

  it.each(['none', 'zstd', 'snappy'])(
    '16.1 row 17: what capture produces is compressed as KAFKA_COMPRESSION_CODEC=%s says',
    async (codec) => {
      const topic = await makeTopic({ 'max.message.bytes': '5000' }); // of a batch as it is sent
      const closers = createClosers();
      const env = { PLUGIN_SERVER_MODE: 'capture', KAFKA_HOSTS: cluster.brokers().join(','), KAFKA_COMPRESSION_CODEC: codec };
      const { producer } = await openLog({ ...loadConfig(env), clock: systemClock, closers, say: () => undefined });
      const sent = producer.send(topic, [{ key: null, value: Buffer.alloc(50_000, 'distinct_id ') }]);
      if (codec === 'none') await expect(sent).rejects.toMatchObject({ code: 'too-large' });
      else await sent;
      await closers.closeAll();
    },
  );

  it('halves a request that the topic refuses for its size, and fails only the record that is too large', async () => {
    for (const create of [createKafkaProducer, createKafkajsProducer]) {
      const topic = await makeTopic({ 'max.message.bytes': '5000' });
      const producer = create({ connection, clock: systemClock });
      const sends = await Promise.allSettled(
        [1_000, 1_000, 3_000, 9_000, 3_000, 1_000, 1_000].map((size, n) =>
          producer.send(topic, [{ key: Buffer.from('k'), value: Buffer.from(`${n}`.padEnd(size)) }]),
        ),
      );
      expect(sends.map(({ status }) => status === 'fulfilled')).toEqual([true, true, true, false, true, true, true]);
      expect(sends[3]).toMatchObject({ reason: { code: 'too-large' } });
      await producer.send(topic, [{ key: Buffer.from('k'), value: Buffer.from('7') }]);
      await producer.close();
      const { witness } = await consume(topic);
      await until(() => witness.records.length === 7, 'seven records');
      expect(values(witness).map(Number)).toEqual([0, 1, 2, 4, 5, 6, 7]);
    }
  });

  it('skips aborted transactions, and commits past the marks that are no records', async () => {
    const topic = await makeTopic();
    const client = new kafkajs.Kafka({ brokers: cluster.brokers(), clientId: 'transactional', logLevel: kafkajs.logLevel.NOTHING });
    const producer = client.producer({
      transactionalId: topic,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    for (const [value, commit] of [
      ['kept 1', true],
      ['aborted', false],
      ['kept 2', true],
    ] as const) {
      // prettier-ignore
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value }] });
      await (commit ? transaction.commit() : transaction.abort());
    }
    await producer.disconnect();
    const { witness } = await consume(topic);
    await until(() => witness.records.length === 2, 'the committed records');
    expect(values(witness)).toEqual(['kept 1', 'kept 2']);
    await withBareProducer(connection, (bare) => bare.send({ topic, messages: [{ value: 'after' }] }));
    await until(() => witness.records.length === 3, 'the record after the last mark');
  });

  it.each(['plain', 'scram-sha-256'] as const)('authenticates with %s: consumer, producers and admin', async (mechanism) => {
    const topic = await makeTopic();
    const secured: KafkaConnection = {
      brokers: cluster.brokers('SASL_PLAINTEXT'),
      clientId: 'secured',
      sasl: { mechanism, username: 'troupe', password: 'a secret' },
    };
    for (const create of [createKafkaProducer, createKafkajsProducer]) {
      const producer = create({ connection: secured, clock: systemClock });
      await producer.send(topic, [{ key: null, value: Buffer.from('x') }]);
      await producer.close();
    }
    const securedAdmin = createKafkaAdmin({ connection: secured, clock: systemClock });
    expect(await securedAdmin.describeTopics([topic])).toEqual(new Map([[topic, 1]]));
    await securedAdmin.close();
    const { witness } = await consume(topic, { connection: secured });
    await until(() => witness.records.length === 2, 'both records');
  });

  it.skipIf(!openssl.available)('encrypts with TLS, and refuses a broker whose certificate it does not know', async () => {
    const topic = await makeTopic();
    const encrypted: KafkaConnection = { brokers: cluster.brokers('SSL'), clientId: 'encrypted', ssl: { ca: certificate?.cert ?? '' } };
    for (const create of [createKafkaProducer, createKafkajsProducer]) {
      const producer = create({ connection: encrypted, clock: systemClock });
      await producer.send(topic, [{ key: null, value: Buffer.from('x') }]);
      await producer.close();
      const trusting = create({ connection: { ...encrypted, ssl: true }, clock: systemClock, sendTimeoutMs: 1_500 });
      await expect(trusting.send(topic, [{ key: null, value: Buffer.from('x') }])).rejects.toMatchObject({ code: 'unavailable' });
      await trusting.close();
    }
    const { witness } = await consume(topic, { connection: encrypted });
    await until(() => witness.records.length === 2, 'both records');
  });

  it('gives a partition back to its pod when that pod returns', async () => {
    const topic = await makeTopic({}, 6);
    const pod = (ordinal: number) => consume(topic, { place: { ordinal, replicas: 3 }, groupId: `pods-${topic}` });
    const partitionsOf = (witness: Witness): number[] => owned(witness).map((name) => Number(name.split('/')[1]));
    const [first, second, third] = await Promise.all([pod(0), pod(1), pod(2)]);
    const settled = (): boolean =>
      [first, second, third].every(({ witness }, ordinal) => partitionsOf(witness).join() === `${ordinal},${ordinal + 3}`);
    await until(settled, 'every pod has its own');
    await second.consumer.stop();
    await until(() => partitionsOf(first.witness).length === 3 && partitionsOf(third.witness).length === 3, 'the others take over');
    const returned = await pod(1);
    await until(() => partitionsOf(returned.witness).join() === '1,4', 'its own again');
    await until(
      () => partitionsOf(first.witness).join() === '0,3' && partitionsOf(third.witness).join() === '2,5',
      'and the others theirs',
    );
  });

  it('keeps its place in the group while a batch is held back for longer than the session', async () => {
    const topic = await makeTopic();
    const held = createGate();
    const witness = createWitness();
    witness.hold.batch = () => held.opened;
    const { consumer } = await consume(topic, { sessionTimeoutMs: 1_500 }, witness);
    await withBareProducer(connection, (bare) => bare.send({ topic, messages: [{ value: 'x' }] }));
    await until(() => witness.batches.length === 1, 'the batch');
    const until3s = performance.now() + 3_000;
    await until(() => (expect(consumer.sinceHeartbeatMs()).toBeLessThan(1_500), performance.now() > until3s), 'two sessions');
    held.open();
    expect(await consumer.commit(witness.assignments[0]?.generation ?? -1, [{ topic, partition: 0, offset: 1 }])).toBe('committed');
    expect([witness.assignments.length, witness.revoked.length]).toEqual([1, 0]);
  });

  it('gives up a generation while its takeover is still running, and takes over anew', async () => {
    const topic = await makeTopic({}, 2);
    const stuck = createGate();
    const witness = createWitness();
    witness.hold.assigned = ({ generation }) => (generation === witness.assignments[0]?.generation ? stuck.opened : Promise.resolve());
    await consume(topic, {}, witness);
    await until(() => witness.assignments.length === 1, 'the first takeover begins');
    const second = await consume(topic);
    await until(() => owned(witness).length === 1 && owned(second.witness).length === 1, 'the group is shared');
    expect(witness.log.filter((line) => !line.startsWith('batch')).slice(0, 2)).toEqual([
      `assigned ${witness.assignments[0]?.generation}`,
      `revoked ${witness.assignments[0]?.generation}`,
    ]);
    stuck.open();
  });

  it('says crashed, after revoked, when a handler fails; and then stop ends', async () => {
    const topic = await makeTopic();
    const witness = createWitness();
    witness.hold.batch = () => Promise.reject(new Error('a bug in the router'));
    const { consumer } = await consume(topic, {}, witness);
    await withBareProducer(connection, (bare) => bare.send({ topic, messages: [{ value: 'x' }] }));
    await until(() => witness.crashes.length === 1, 'the crash');
    expect(witness.crashes[0]?.message).toBe('a bug in the router');
    expect(witness.revoked.length).toBe(1);
    await consumer.stop();
    expect(witness.batches.length).toBe(1);
  });

  it('stops in time although a handler never gives up its generation', async () => {
    const topic = await makeTopic();
    const witness = createWitness();
    witness.hold.revoked = () => new Promise(() => undefined);
    const { consumer } = await consume(topic, { stopTimeoutMs: 1_000 }, witness);
    await until(() => witness.assignments.length === 1, 'the assignment');
    const begunAt = performance.now();
    await consumer.stop();
    expect(performance.now() - begunAt).toBeLessThan(2_500);
  });

  it('refuses to start when a topic is missing, naming the reason', async () => {
    const consumer = createKafkaConsumer({ connection, clock: systemClock, groupId: 'g', topics: ['missing'], topicTimeoutMs: 500 });
    await expect(consumer.start(createWitness().handlers)).rejects.toThrow('does not host this topic');
    await consumer.stop();
  });

  it('goes on by itself after the broker was killed: nothing unread, and commits work again', { timeout: 90_000 }, async () => {
    const topic = await makeTopic();
    const { consumer, witness } = await consume(topic);
    const producer = createKafkaProducer({ connection, clock: systemClock });
    await producer.send(topic, [{ key: null, value: Buffer.from('before') }]);
    await until(() => witness.records.length === 1, 'the first record');
    const [broker] = cluster.nodes;
    await broker?.kill();
    const sent = producer.send(topic, [{ key: null, value: Buffer.from('after') }]);
    await until(() => consumer.sincePollMs() > 1_000, 'HT-4: a broker that is silent is missed');
    await broker?.start();
    await sent;
    await until(() => consumer.sincePollMs() < 500, 'HT-4: one that is back is heard');
    await until(() => values(witness).includes('after'), 'the record sent while the broker was away', 60_000);
    const generation = (): number => witness.assignments.at(-1)?.generation ?? -1;
    await until(async () => (await consumer.commit(generation(), [{ topic, partition: 0, offset: 2 }])) === 'committed', 'a commit');
    expect(await admin.committedOffsets(`of-${topic}`, topic)).toEqual([{ partition: 0, offset: 2 }]);
    expect(witness.crashes).toEqual([]);
    await producer.close();
  });
});

/** A key and a certificate for 127.0.0.1 that signs itself. */
async function makeCertificate(): Promise<{ readonly key: string; readonly cert: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-tls-'));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await promisify(execFile)('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    key,
    '-out',
    cert,
  ]);
  const made = { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  await rm(dir, { recursive: true });
  return made;
}
