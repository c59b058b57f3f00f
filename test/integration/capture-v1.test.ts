import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PostHog } from 'posthog-node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCapture } from '../../src/capture/service.ts';
import type { RecordsByTopic } from '../../src/capture/records.ts';
import type { EventSink } from '../../src/capture/sink.ts';
import { parseEnvelope } from '../../src/domain/envelope.ts';
import type { PluginEvent } from '../../src/domain/event.ts';
import { parseEvent } from '../../src/domain/parse-event.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';

/** The unmodified posthog-node, speaking v1 (spec/capture.md 12), against capture. */
const TOPICS = {
  main: 'main',
  overflow: 'main',
  historical: 'historical',
  clientWarnings: 'main',
  exceptions: 'exceptions',
  heatmaps: 'main',
  recordings: 'main',
  recordingsOverflow: 'main',
  deadLetter: 'main',
};

let servers: Server[] = [];
let paths: string[] = [];
beforeEach(() => {
  vi.stubEnv('POSTHOG_CAPTURE_MODE', 'v1');
  paths = [];
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers) server.closeAllConnections();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  servers = [];
});

/** What ingestion makes of the records, by its own parser. */
function eventsOf(records: RecordsByTopic): PluginEvent[] {
  return [...records.values()].flat().map(({ value }) => {
    const envelope = parseEnvelope(value);
    if (!envelope.ok) throw new Error(envelope.detail);
    const parsed = parseEvent(envelope.envelope);
    if (!parsed.ok) throw new Error(parsed.detail);
    return parsed.event;
  });
}

async function serve(sink: EventSink): Promise<string> {
  const capture = createCapture({ sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0 });
  const handle: RequestListener = (request, response) => {
    paths.push(request.url ?? '');
    capture.handle(request, response);
  };
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('identify, alias, groups, exceptions and options arrive as they do by v0', async () => {
  const stored: PluginEvent[] = [];
  const host = await serve({ send: (records) => (stored.push(...eventsOf(records)), Promise.resolve({ type: 'acknowledged' })) });
  const client = new PostHog('phc_v1', { host, flushAt: 20, flushInterval: 10 });
  const failures: unknown[] = [];
  client.on('error', (error: unknown) => failures.push(error));
  client.identify({ distinctId: 'ann', properties: { $set: { plan: 'pro' }, $set_once: { first: 1 } } });
  client.alias({ distinctId: 'ann', alias: 'anonymous-7' });
  client.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { seats: 5 }, distinctId: 'ann' });
  client.capture({
    distinctId: 'ann',
    event: 'bought',
    properties: { $session_id: 's1', $process_person_profile: false, price: 7 },
    groups: { company: 'acme' },
  });
  client.captureException(new Error('planted'), 'ann');
  await client.shutdown();
  expect(failures).toEqual([]);
  expect(new Set(paths)).toEqual(new Set(['/i/v1/analytics/events']));
  const byName = new Map(stored.map((event) => [event.event, event]));
  expect([...byName.keys()].sort()).toEqual(['$create_alias', '$exception', '$groupidentify', '$identify', 'bought']);
  expect(byName.get('$identify')).toMatchObject({ distinct_id: 'ann', properties: { $set: { plan: 'pro' }, $set_once: { first: 1 } } });
  expect(byName.get('$create_alias')).toMatchObject({ properties: { distinct_id: 'ann', alias: 'anonymous-7' } });
  expect(byName.get('$groupidentify')).toMatchObject({
    properties: { $group_type: 'company', $group_key: 'acme', $group_set: { seats: 5 } },
  });
  expect(byName.get('bought')).toMatchObject({
    properties: { $session_id: 's1', $process_person_profile: false, price: 7, $groups: { company: 'acme' }, $lib: 'posthog-node' },
  });
  expect(byName.get('$exception')?.properties['$exception_list']).toMatchObject([{ value: 'planted' }]);
});

test('of a batch, only what is not stored is sent again, with the same uuid; what can never be stored is named', async () => {
  const sent: string[][] = [];
  const host = await serve({
    send(records) {
      sent.push(eventsOf(records).map(({ event, uuid }) => `${event} ${uuid}`));
      return Promise.resolve(
        sent.length === 1 ? { type: 'unavailable', missing: records, error: new Error('away') } : { type: 'acknowledged' },
      );
    },
  });
  const client = new PostHog('phc_v1', { host, flushAt: 20, flushInterval: 10, fetchRetryDelay: 10 });
  const failures: { readonly drops?: readonly { readonly details?: string }[] }[] = [];
  client.on('error', (error: (typeof failures)[number]) => failures.push(error));
  client.capture({ distinctId: 'ann', event: 'kept' });
  client.capture({ distinctId: 'x'.repeat(201), event: 'never' });
  await client.shutdown();
  expect(sent).toHaveLength(2);
  expect(sent[0]).toEqual([expect.stringMatching(/^kept /)]);
  expect(sent[1]).toEqual(sent[0]);
  expect(failures).toMatchObject([{ drops: [{ details: 'distinct_id_too_long' }] }]);
});
