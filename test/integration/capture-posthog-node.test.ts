import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostHog } from 'posthog-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKafkaSink } from '../../src/capture/kafka-sink.ts';
import { createCapture } from '../../src/capture/service.ts';
import { parseEnvelope } from '../../src/domain/envelope.ts';
import { parseEvent } from '../../src/domain/parse-event.ts';
import { partitionOfKey } from '../../src/domain/murmur2.ts';
import { openEmbeddedLog, type EmbeddedLog } from '../../src/embedded/log.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { createWitness, until, type Witness } from '../contract/kafka-log-kit.ts';

const TOPICS = {
  main: 'events',
  historical: 'events',
  clientWarnings: 'events',
  exceptions: 'events',
  heatmaps: 'events',
  overflow: 'events',
  recordings: 'events',
  recordingsOverflow: 'events',
  deadLetter: 'events',
};
const PARTITIONS = 3;
const TOKEN = 'phc_integration';

let dir: string;
let log: EmbeddedLog;
let server: Server;
let host: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'troupe-capture-'));
  log = await openEmbeddedLog({ dir, clock: systemClock });
  await log.admin().ensureTopics([{ topic: 'events', partitions: PARTITIONS }]);
  const capture = createCapture({
    sink: createKafkaSink({ producer: log.producer(), clock: systemClock }),
    topics: TOPICS,
    clock: systemClock,
    random: systemRandom,
    sampleRatio: 0,
  });
  server = createServer(capture.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await log.close();
  await rm(dir, { recursive: true });
});

async function consume(): Promise<Witness> {
  const witness = createWitness();
  await log.consumer({ groupId: 'reader', topics: ['events'] }).start(witness.handlers);
  return witness;
}

/** What ingestion makes of the records, by its own parser. */
function eventsOf(
  witness: Witness,
): { partition: number; key: string; distinctId: string; event: string; properties: Record<string, unknown> }[] {
  return witness.records.map(({ partition, key, value }) => {
    const envelope = parseEnvelope(value);
    if (!envelope.ok) throw new Error(envelope.detail);
    const parsed = parseEvent(envelope.envelope);
    if (!parsed.ok) throw new Error(parsed.detail);
    const { event, distinct_id: distinctId, properties } = parsed.event;
    return { partition, key: key?.toString() ?? '', distinctId, event, properties };
  });
}

test('everything that posthog-node sends arrives once, in order per distinct_id', async () => {
  const client = new PostHog(TOKEN, { host, flushAt: 20, flushInterval: 50 });
  const failures: unknown[] = [];
  client.on('error', (error: unknown) => failures.push(error));
  const ids = Array.from({ length: 8 }, (_, n) => `user-${n}`);
  for (let step = 0; step < 25; step++) for (const distinctId of ids) client.capture({ distinctId, event: 'step', properties: { step } });
  await client.shutdown();
  const witness = await consume();
  await until(() => witness.records.length >= 200, '200 records');
  const events = eventsOf(witness);
  expect(events).toHaveLength(200);
  for (const distinctId of ids) {
    const own = events.filter((event) => event.distinctId === distinctId);
    expect(own.map(({ properties }) => properties['step'])).toEqual(Array.from({ length: 25 }, (_, step) => step));
    const key = `${TOKEN}:${distinctId}`;
    for (const { partition, key: used } of own) expect([used, partition]).toEqual([key, partitionOfKey(Buffer.from(key), PARTITIONS)]);
  }
  expect(failures).toEqual([]);
});

test('identify, alias, groups, person properties and exceptions keep what they say', async () => {
  const client = new PostHog(TOKEN, { host, flushAt: 1, flushInterval: 10 });
  client.identify({ distinctId: 'ann', properties: { $set: { plan: 'pro' }, $set_once: { first: 1 } } });
  client.alias({ distinctId: 'ann', alias: 'anonymous-7' });
  client.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { seats: 5 }, distinctId: 'ann' });
  client.capture({
    distinctId: 'ann',
    event: 'bought',
    properties: { $set: { vip: true }, $set_once: { since: 2026 } },
    groups: { company: 'acme' },
  });
  await client.shutdown();
  const witness = await consume();
  await until(() => witness.records.length >= 4, 'four records');
  const byName = new Map(eventsOf(witness).map((event) => [event.event, event]));
  expect([...byName.keys()].sort()).toEqual(['$create_alias', '$groupidentify', '$identify', 'bought']);
  expect(byName.get('$identify')).toMatchObject({ distinctId: 'ann', properties: { $set: { plan: 'pro' }, $set_once: { first: 1 } } });
  expect(byName.get('$create_alias')).toMatchObject({ distinctId: 'ann', properties: { distinct_id: 'ann', alias: 'anonymous-7' } });
  expect(byName.get('$groupidentify')).toMatchObject({
    properties: { $group_type: 'company', $group_key: 'acme', $group_set: { seats: 5 } },
  });
  expect(byName.get('bought')).toMatchObject({
    properties: { $set: { vip: true }, $set_once: { since: 2026 }, $groups: { company: 'acme' }, $lib: 'posthog-node' },
  });
});

test('asked for feature flags, posthog-node gets an empty set and no error', async () => {
  const client = new PostHog(TOKEN, { host });
  const failures: unknown[] = [];
  client.on('error', (error: unknown) => failures.push(error));
  expect(await client.getAllFlags('ann')).toEqual({});
  await client.shutdown();
  expect(failures).toEqual([]);
});

test('captureImmediate resolves only when the event can be read from the log', async () => {
  const client = new PostHog(TOKEN, { host });
  await client.captureImmediate({ distinctId: 'ann', event: 'now' });
  const ends = await log.admin().endOffsets('events');
  expect(ends.reduce((sum, { offset }) => sum + offset, 0)).toBe(1);
  await client.shutdown();
});
