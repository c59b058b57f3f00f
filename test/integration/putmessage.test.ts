import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { readTopic } from '../services/read-topic.ts';
import { until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const kafka = await requireService('kafka', probeKafka);
const LIMIT_MS = 60_000;
const POSTS = 1_000;
const ROOT = join(import.meta.dirname, '../..');
const run = promisify(execFile);
const SAMPLE = readFileSync(join(ROOT, 'deploy/examples/sample-event.json'), 'utf8');

/** The collector of spec/capture.md 16.2 in its own tests (rows 16-18), on a real broker that makes no topics by itself. */
describe.skipIf(!kafka.available)('/putmessage on Kafka', () => {
  let cluster: KafkaCluster;
  let admin: TopicAdmin;
  let troupe: TroupeProcess;
  let dir: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    cluster = await startKafka();
    dir = await mkdtemp(join(tmpdir(), 'troupe-putmessage-'));
    admin = createKafkaAdmin({ connection: { brokers: cluster.brokers(), clientId: 'test' }, clock: systemClock });
    await admin.ensureTopics([{ topic: 'raw', partitions: 3 }]);
    env = {
      PLUGIN_SERVER_MODE: 'capture',
      KAFKA_HOSTS: cluster.brokers().join(','),
      TROUPE_PUTMESSAGE_TOPICS: 'raw,later',
      TROUPE_SPILL_DIR: join(dir, 'spill'),
    };
    troupe = await startTroupe({ env });
  });
  afterAll(async () => {
    await troupe?.kill();
    await admin?.close();
    await cluster?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** Row 16: the sample event, each with a uuid of its own. */
  const bodyOf = (n: number): string => SAMPLE.replace(/(?<="uuid":")[^"]*/, `u-${n}`);

  /** As `ab -n 1000 -c 50` does it. Resolves to the statuses that were no 200. */
  async function post(topic: string, from: number, count = POSTS): Promise<number[]> {
    const others: number[] = [];
    let next = from;
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        while (next < from + count) {
          const body = bodyOf(next++);
          const response = await fetch(`${troupe.urls.capture}/putmessage`, { method: 'POST', body, headers: { topic } });
          await response.arrayBuffer();
          if (response.status !== 200) others.push(response.status);
        }
      }),
    );
    return others;
  }
  async function bodiesIn(topic: string): Promise<string[]> {
    const records = await readTopic({ brokers: cluster.brokers(), clientId: 'reader' }, admin, topic, LIMIT_MS);
    expect(records.filter(({ key }) => key !== null)).toEqual([]);
    return records.map(({ value }) => {
      const { body_data: body, ...rest } = JSON.parse(value?.toString() ?? '{}') as { body_data: string };
      expect(rest).toEqual({});
      return body;
    });
  }
  const segments = async (): Promise<string[]> => (await readdir(dir, { recursive: true })).filter((path) => path.endsWith('.segment'));
  const expected = (from: number, count = POSTS): string[] => Array.from({ length: count }, (_, n) => bodyOf(from + n)).toSorted();

  test('rows 12, 17: 1,000 posts are 1,000 messages, byte by byte, and nothing touched the disk', async () => {
    expect(await post('raw', 0)).toEqual([]);
    expect((await bodiesIn('raw')).toSorted()).toEqual(expected(0));
    expect(await readdir(dir)).toEqual([]);
    const ends = await admin.endOffsets('raw');
    for (const { offset } of ends) expect(offset).toBeGreaterThan(POSTS / 10); // row 5: spread over the partitions
  });

  test('rows 8, 18: a topic that the broker refuses: 1,000 in the spill, the error line says so; made later, all of them arrive', async () => {
    expect(await post('later', 0)).toEqual([]);
    expect(await troupe.metric('spill_pending_total', 'topic="later"')).toBe(POSTS);
    expect(await segments()).not.toEqual([]);
    await until(() => /Error handle: index 400 partition_id -1 retryable false json \[/.test(troupe.output()), 'the error line', LIMIT_MS);
    // The other topic goes on meanwhile, past the disk.
    const before = await troupe.metric('spill_written_total');
    expect(await post('raw', POSTS, 100)).toEqual([]);
    expect(await troupe.metric('spill_written_total')).toBe(before);
    await admin.ensureTopics([{ topic: 'later', partitions: 3 }]);
    await until(async () => (await segments()).length === 0, 'everything is replayed', LIMIT_MS);
    expect((await bodiesIn('later')).toSorted()).toEqual(expected(0));
    expect(await troupe.metric('spill_replayed_total', 'topic="later"')).toBe(POSTS);
  });

  test('row 18: a broker that is killed in the middle: every post is answered 200, none is lost', async () => {
    const from = 10_000;
    const posting = post('raw', from, 3 * POSTS);
    await until(async () => (await admin.endOffsets('raw')).reduce((sum, { offset }) => sum + offset, 0) > 1_300, 'some arrived', LIMIT_MS);
    await cluster.nodes[0]?.kill();
    expect(await posting).toEqual([]);
    await cluster.nodes[0]?.start();
    await until(
      async () => (await segments()).length === 0 && (await troupe.metric('troupe_spill_diverted')) === 0,
      'the spill is empty',
      LIMIT_MS,
    );
    const arrived = new Set(await bodiesIn('raw'));
    expect(expected(from, 3 * POSTS).filter((body) => !arrived.has(body))).toEqual([]);
  });

  test('rows 10, 11: captures killed, and started, while the broker is away; troupe spill list, inspect and replay deal with what they left', async () => {
    const from = 100_000;
    await cluster.nodes[0]?.kill();
    expect(await post('raw', from, 60)).toEqual([]);
    await troupe.kill();
    const [path = ''] = await segments();
    const spill = (...args: string[]) => run(process.execPath, ['src/main.ts', 'spill', ...args], { cwd: ROOT, env });
    expect((await spill('list')).stdout).toMatch(
      / \(orphaned\) {2}raw {2}\d segments, 0 kept, 60 records, \d+ bytes, since \S+, because of late/,
    );
    const [line = ''] = (await spill('inspect', join(dir, path))).stdout.split('\n');
    const { topic, key, value } = JSON.parse(line) as { topic: string; key: null; value: string };
    expect([topic, key]).toEqual(['raw', null]);
    expect(expected(from, 60)).toContain((JSON.parse(value) as { body_data: string }).body_data);

    // 9: a capture that starts meanwhile is ready and takes events.
    troupe = await startTroupe({ env: { ...env, TROUPE_CONTACT_TIMEOUT_MS: '1000' } });
    expect(await post('raw', from + 1_000, 20)).toEqual([]);
    await troupe.kill();
    await cluster.nodes[0]?.start();
    expect((await spill('replay')).stdout).toContain('80 records replayed to raw');
    expect(await segments()).toEqual([]);
    const arrived = new Set(await bodiesIn('raw'));
    expect([...expected(from, 60), ...expected(from + 1_000, 20)].filter((body) => !arrived.has(body))).toEqual([]);
  });
});
