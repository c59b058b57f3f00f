import { describe, expect, test } from 'vitest';
import { deadLetterRow, type DeadLetteredRecord } from '../../../src/domain/dead-letter-row.ts';
import { aValue, NOW, NOW_MS, UUID } from './build.ts';

const at = { teamId: 7, topic: 't', partition: 3, offset: 9, origin: 'distinct-id:row', detail: 'a cycle' };
const rowOf = (parts: Partial<DeadLetteredRecord> = {}) =>
  deadLetterRow({ ...at, value: aValue({ ip: '1.1.1.1', site_url: 'http://x' }, { properties: { a: 1 }, extra: true }), ...parts }, 5_000);

describe('deadLetterRow', () => {
  test("4.7: the event as it was sent, the step, the error, PostHog's tags", () => {
    expect(rowOf()).toEqual({
      table: 'events_dead_letter_queue',
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-5/) as string,
      teamId: 7,
      eventUuid: UUID,
      event: 'click',
      distinctId: 'd1',
      properties: '{"a":1}',
      elementsChain: '',
      ip: '1.1.1.1',
      siteUrl: 'http://x',
      nowMs: NOW_MS,
      createdAtMs: 5_000,
      errorTimestampMs: 5_000,
      errorLocation: 'plugin_server_ingest_event:createEventStep',
      error: 'Event ingestion failed. Error: a cycle',
      rawPayload: expect.any(String) as string,
      tags: ['plugin_server', 'ingest_event'],
    });
    expect(JSON.parse(rowOf().rawPayload)).toMatchObject({ event: 'click', extra: true, now: NOW, token: 'tok', uuid: UUID });
  });

  test('a replay of the record makes the same row, another record another', () => {
    expect(rowOf().id).toBe(rowOf().id);
    expect(rowOf({ offset: 10 }).id).not.toBe(rowOf().id);
  });

  test.each<[string, string]>([
    ['distinct-id:prepare', 'populateTeamDataStep'],
    ['distinct-id:plugins', 'pluginsProcessEventStep'],
    ['distinct-id:normalise', 'normalizeEventStep'],
    ['distinct-id:write', 'processPersonsStep'],
    ['distinct-id:upserting', 'prepareEventStep'],
    ['clickhouse-writer', 'createEventStep'],
    ['distinct-id:crash', 'runEventPipeline'],
  ])('L-2: what was found at %s is located at %s', (origin, step) => {
    expect(rowOf({ origin }).errorLocation).toBe(`plugin_server_ingest_event:${step}`);
  });

  test.each<[string, Buffer | null]>([
    ['nothing', null],
    ['no JSON', Buffer.from('{')],
    ['a list', Buffer.from('[1]')],
    ['data that is no JSON', aValue({ data: '{' })],
    ['data that nests too deep', aValue({ data: `{"event":"x","properties":{"a":${'['.repeat(2_000)}${']'.repeat(2_000)}}}` })],
    [
      'fields of every wrong type',
      aValue({ uuid: 5, distinct_id: { a: 1 }, ip: [], site_url: null, now: 'never' }, { event: null, properties: 'x' }),
    ],
  ])('is made of %s without a throw, and its texts are JSON', (_, value) => {
    const row = rowOf({ value });
    expect(JSON.parse(row.properties)).toEqual({});
    expect(JSON.parse(row.rawPayload)).toBeDefined();
    expect(row.eventUuid).toHaveLength(36);
  });
});
