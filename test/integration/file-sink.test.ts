import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFileSink } from '../../deploy/examples/file-sink.ts';
import { messageOf } from '../../src/capture/putmessage/message.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { OutgoingRecord, RecordProducer, TopicAdmin } from '../../src/kafka/port.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { until } from '../services/surroundings.ts';

const kafka = await requireService('kafka', probeKafka);
const TOPIC = 'raw';
const LIMIT_MS = 60_000;
/** No object on one line. */
const ODD = ['two\nlines', '{"a":\n1}', '{}', '{no JSON}', '[1]'].map((text) => Buffer.from(text));

interface Line {
  readonly partition: number;
  readonly offset: number;
  readonly time: string;
  readonly key: string | null;
  readonly body_data?: string;
  readonly value?: string | null;
}

/** 16.2 row 20: what reads a topic of /putmessage for whoever reads files. */
describe.skipIf(!kafka.available)('deploy/examples/file-sink.ts', () => {
  let cluster: KafkaCluster;
  let admin: TopicAdmin;
  let producer: RecordProducer;
  let dir: string;
  let sample: string;

  beforeAll(async () => {
    cluster = await startKafka();
    const connection = { brokers: cluster.brokers(), clientId: 'test' };
    admin = createKafkaAdmin({ connection, clock: systemClock });
    await admin.ensureTopics([{ topic: TOPIC, partitions: 2 }]);
    producer = createKafkaProducer({ connection, clock: systemClock });
    dir = await mkdtemp(join(tmpdir(), 'troupe-file-sink-'));
    sample = await readFile(join(import.meta.dirname, '../../deploy/examples/sample-event.json'), 'utf8');
  });
  afterAll(async () => {
    await producer?.close();
    await admin?.close();
    await cluster?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const record = (value: Buffer): OutgoingRecord => ({ key: null, value });
  const bodies = (from: number, count: number): OutgoingRecord[] =>
    Array.from({ length: count }, (_, n) => record(messageOf(Buffer.from(sample.replace('"home"', `"home ${from + n}"`)))));
  const files = async (): Promise<string[]> =>
    (await readdir(dir, { recursive: true })).filter((path) => path.endsWith('.ndjson')).toSorted();
  async function lines(): Promise<Line[]> {
    const texts = await Promise.all((await files()).map((path) => readFile(join(dir, path), 'utf8')));
    for (const text of texts) expect(text.endsWith('\n')).toBe(true); // F1: whole
    return texts.flatMap((text) => text.trimEnd().split('\n')).map((line) => JSON.parse(line) as Line);
  }
  const start = (groupId: string) => startFileSink({ brokers: cluster.brokers(), topic: TOPIC, groupId, dir, fetchMs: 200 });
  const ends = async (): Promise<number[]> => (await admin.endOffsets(TOPIC)).map(({ offset }) => offset);
  /** Waits until the group has committed all there is. */
  const caughtUp = async (groupId: string): Promise<void> => {
    const wanted = await ends();
    await until(
      async () => (await admin.committedOffsets(groupId, TOPIC)).map(({ offset }) => offset).join() === wanted.join(),
      'all is committed',
      LIMIT_MS,
    );
  };

  test('every message is a line in the folder of its hour, its body as it was posted, in the order of its partition', async () => {
    await producer.send(TOPIC, bodies(0, 300));
    const sink = await start('archive');
    await caughtUp('archive');
    await sink.stop();

    expect((await lines()).map(({ body_data: body }) => body).toSorted()).toEqual(
      Array.from({ length: 300 }, (_, n) => sample.replace('"home"', `"home ${n}"`)).toSorted(),
    );
    for (const partition of [0, 1]) {
      const offsets = (await lines()).filter((line) => line.partition === partition).map(({ offset }) => offset);
      expect(offsets).toEqual(Array.from({ length: offsets.length }, (_, at) => at)); // F3
    }
    for (const path of await files()) {
      const [{ time = '' } = {}] = (await readFile(join(dir, path), 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Line);
      expect(path).toMatch(new RegExp(`^${TOPIC}/date=${time.slice(0, 10)}/hour=${time.slice(11, 13)}/[01]-\\d{20}-\\d{20}\\.ndjson$`));
    }
  });

  test('F2: one that died before it committed reads everything again, and writes only what is in no file', async () => {
    const before = await files();
    // What a crash leaves: the files, a half written one, and no offset. A group that has none stands for it.
    await writeFile(join(dir, `${before[0] ?? ''}.tmp`), '{"half');
    await producer.send(TOPIC, [...bodies(300, 50), ...ODD.map(record)]);
    const sink = await start('archive-without-offsets');
    await caughtUp('archive-without-offsets');
    await sink.stop();

    expect((await files()).filter((path) => before.includes(path))).toEqual(before);
    const places = (await lines()).map(({ partition, offset }) => `${partition}/${offset}`);
    expect(new Set(places).size).toBe(places.length);
    expect(places).toHaveLength((await ends()).reduce((sum, end) => sum + end, 0));
    // What is no JSON object is kept as bytes.
    expect((await lines()).flatMap(({ value }) => value ?? []).toSorted()).toEqual(ODD.map((bytes) => bytes.toString('base64')).toSorted());
  });
});
