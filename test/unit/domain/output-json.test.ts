import { describe, expect, it } from 'vitest';
import { clickHouseMs, clickHouseSeconds } from '../../../src/domain/clickhouse-time.ts';
import { eventJson, sideJson } from '../../../src/domain/output-json.ts';
import { outputKey, outputOrder, outputTopics } from '../../../src/domain/output-topics.ts';
import type { EventRow, SideRow } from '../../../src/domain/rows.ts';
import { eventRow, testSettlement } from '../../kit/event-rows.ts';

const AT_MS = Date.UTC(2026, 10, 21, 10, 5, 7, 89);
const ID = '01900000-0000-7000-8000-0000000000aa';
const OTHER_ID = '01900000-0000-7000-8000-0000000000bb';

describe('times for ClickHouse (sharp edge 20)', () => {
  it.each([
    [AT_MS, '2026-11-21 10:05:07.089', '2026-11-21 10:05:07'],
    [AT_MS + 911, '2026-11-21 10:05:08.000', '2026-11-21 10:05:08'],
    [AT_MS + 0.7, '2026-11-21 10:05:07.089', '2026-11-21 10:05:07'],
    [0, '1970-01-01 00:00:00.000', '1970-01-01 00:00:00'],
    [-1, '1969-12-31 23:59:59.999', '1969-12-31 23:59:59'],
    [Date.UTC(1800, 0, 1), '1900-01-01 00:00:00.000', '1900-01-01 00:00:00'],
    [8.64e15, '2299-12-31 23:59:59.999', '2299-12-31 23:59:59'],
  ])('%d is %s, and %s without milliseconds', (epochMs, ms, seconds) => {
    expect(clickHouseMs(epochMs)).toBe(ms);
    expect(clickHouseSeconds(epochMs)).toBe(seconds);
  });

  it('no time is no text: NaN throws', () => {
    expect(() => clickHouseMs(Number.NaN)).toThrow(RangeError);
    expect(() => clickHouseSeconds(Number.NaN)).toThrow(RangeError);
  });
});

const EVENT: Partial<EventRow> = {
  uuid: ID,
  event: '$pageview',
  properties: '{"a":"b \\"c\\"","n":1}',
  timestampMs: AT_MS,
  teamId: 2,
  distinctId: 'user "1"',
  elementsChain: 'a:nth-child="1"',
  createdAtMs: AT_MS + 1_000,
  personId: OTHER_ID,
  personProperties: '{"plan":"pro"}',
  personCreatedAtMs: AT_MS + 500,
  personMode: 'full',
};
const event = (parts: Partial<EventRow> = {}): Record<string, unknown> =>
  JSON.parse(eventJson(eventRow(testSettlement(), 7, { ...EVENT, ...parts }))) as Record<string, unknown>;

describe('clickhouse_events_json (4.1)', () => {
  it('4.1: has exactly the fields of PostHog, properties as JSON text, timestamps in ms, person_created_at in s', () => {
    expect(event()).toEqual({
      uuid: ID,
      event: '$pageview',
      properties: '{"a":"b \\"c\\"","n":1}',
      timestamp: '2026-11-21 10:05:07.089',
      team_id: 2,
      distinct_id: 'user "1"',
      elements_chain: 'a:nth-child="1"',
      created_at: '2026-11-21 10:05:08.089',
      person_id: OTHER_ID,
      person_properties: '{"plan":"pro"}',
      person_created_at: '2026-11-21 10:05:07',
      person_mode: 'full',
    });
  });

  it.each(['full', 'propertyless', 'force_upgrade'] as const)('4.1: person_mode %s is written as it is', (personMode) => {
    expect(event({ personMode })['person_mode']).toBe(personMode);
  });

  it.each([
    ['quotes and backslashes', 'a"b\\c'],
    ['line ends and tabs', 'a\r\n\tb'],
    ['U+0000 (sharp edge 35)', 'a\0b'],
    ['line separators', '\u2028\u2029'],
    ['astral characters', '😀'],
  ])('text with %s survives the way through JSON', (_what, text) => {
    const properties = JSON.stringify({ text });
    const read = event({ event: text, distinctId: text, elementsChain: text, properties, personProperties: properties });
    expect([read['event'], read['distinct_id'], read['elements_chain']]).toEqual([text, text, text]);
    expect(JSON.parse(String(read['properties']))).toEqual({ text });
    expect(JSON.parse(String(read['person_properties']))).toEqual({ text });
  });

  it('N-21: half a surrogate pair leaves as its escape, never as a broken character', () => {
    const read = event({ event: 'a\ud83d', distinctId: '\ude00b' });
    expect(read['event']).toBe('a\\ud83d\\');
    expect(read['distinct_id']).toBe('\\ude00\\b');
    expect(Buffer.from(eventJson(eventRow(testSettlement(), 1, { event: '\ud83d' }))).toString()).not.toContain('\ufffd');
  });
});

/** Rows of every side table, with the JSON that PostHog's tables expect. */
const SIDE_ROWS: readonly (readonly [rule: string, row: SideRow, json: Record<string, unknown>])[] = [
  [
    '4.2: a person',
    {
      table: 'person',
      id: ID,
      teamId: 2,
      createdAtMs: AT_MS,
      properties: '{"a":"\\"b\\""}',
      isIdentified: true,
      isDeleted: false,
      version: 3,
    },
    {
      id: ID,
      created_at: '2026-11-21 10:05:07',
      properties: '{"a":"\\"b\\""}',
      team_id: 2,
      is_identified: 1,
      is_deleted: 0,
      version: 3,
    },
  ],
  [
    '4.2: a person that was merged away',
    { table: 'person', id: ID, teamId: 2, createdAtMs: 0, properties: '{}', isIdentified: false, isDeleted: true, version: 103 },
    { id: ID, created_at: '1970-01-01 00:00:00', properties: '{}', team_id: 2, is_identified: 0, is_deleted: 1, version: 103 },
  ],
  [
    '4.3: a mapping',
    { table: 'person_distinct_id2', teamId: 2, distinctId: 'a"b', personId: ID, isDeleted: false, version: 0 },
    { person_id: ID, team_id: 2, distinct_id: 'a"b', version: 0, is_deleted: 0 },
  ],
  [
    '4.4: a group, with the version that ClickHouse drops',
    { table: 'groups', teamId: 2, groupTypeIndex: 4, groupKey: 'acme "x"', createdAtMs: AT_MS, properties: '{"seats":5}', version: 2 },
    {
      group_type_index: 4,
      group_key: 'acme "x"',
      team_id: 2,
      group_properties: '{"seats":5}',
      created_at: '2026-11-21 10:05:07',
      version: 2,
    },
  ],
  [
    "4.5: a warning, from 'plugin-server', with its details as JSON text",
    { table: 'ingestion_warnings', teamId: 2, type: 'client_ingestion_warning', details: '{"message":"\\"hi\\""}', timestampMs: AT_MS },
    {
      team_id: 2,
      type: 'client_ingestion_warning',
      source: 'plugin-server',
      details: '{"message":"\\"hi\\""}',
      timestamp: '2026-11-21 10:05:07.089',
    },
  ],
  [
    '4.6: a line of a plugin',
    {
      table: 'plugin_log_entries',
      id: ID,
      teamId: 2,
      pluginId: 3,
      pluginConfigId: 4,
      source: 'CONSOLE',
      type: 'WARN',
      message: 'careful\n"there"',
      instanceId: OTHER_ID,
      timestampMs: AT_MS,
    },
    {
      source: 'CONSOLE',
      type: 'WARN',
      id: ID,
      team_id: 2,
      plugin_id: 3,
      plugin_config_id: 4,
      timestamp: '2026-11-21 10:05:07.089',
      message: 'careful\n"there"',
      instance_id: OTHER_ID,
    },
  ],
  [
    '4.7: an event that could not be ingested',
    {
      table: 'events_dead_letter_queue',
      id: ID,
      teamId: 2,
      eventUuid: OTHER_ID,
      event: 'broken',
      distinctId: 'someone',
      properties: '{"a":1}',
      elementsChain: '',
      ip: '',
      siteUrl: '',
      nowMs: AT_MS,
      createdAtMs: AT_MS,
      errorTimestampMs: AT_MS + 2_000,
      errorLocation: 'prepareEventStep',
      error: 'Event ingestion failed. Error: no',
      rawPayload: '{"event":"broken","token":"t","$set":{"a":1},"team_id":9,"now":"n","sent_at":"s","timestamp":"t"}',
      tags: ['plugin_server', 'ingest_event'],
    },
    {
      elements_chain: '',
      created_at: '2026-11-21 10:05:07.089',
      event: 'broken',
      distinct_id: 'someone',
      site_url: '',
      ip: '',
      id: ID,
      event_uuid: OTHER_ID,
      properties: '{"a":1}',
      now: '2026-11-21 10:05:07',
      error_timestamp: '2026-11-21 10:05:09',
      raw_payload: '{"event":"broken","token":"t","$set":{"a":1},"team_id":9,"now":"n","sent_at":"s","timestamp":"t"}',
      token: 't',
      $set: { a: 1 },
      error_location: 'prepareEventStep',
      error: 'Event ingestion failed. Error: no',
      tags: ['plugin_server', 'ingest_event'],
      team_id: 2,
    },
  ],
  [
    '4.8: runs of a plugin without a failure have no error fields',
    {
      table: 'app_metrics',
      teamId: 2,
      pluginConfigId: -2,
      category: 'webhook',
      jobId: undefined,
      successes: 5,
      successesOnRetry: 1,
      failures: 0,
      error: undefined,
      timestampMs: AT_MS,
    },
    {
      timestamp: '2026-11-21 10:05:07.089',
      team_id: 2,
      plugin_config_id: -2,
      job_id: null,
      category: 'webhook',
      successes: 5,
      successes_on_retry: 1,
      failures: 0,
    },
  ],
  [
    '4.8: a failure of a plugin comes with its error, details as JSON text',
    {
      table: 'app_metrics',
      teamId: 2,
      pluginConfigId: 4,
      category: 'processEvent',
      jobId: '9',
      successes: 0,
      successesOnRetry: 0,
      failures: 1,
      error: { uuid: ID, type: 'TypeError', details: '{"error":{"name":"TypeError"}}' },
      timestampMs: AT_MS,
    },
    {
      timestamp: '2026-11-21 10:05:07.089',
      team_id: 2,
      plugin_config_id: 4,
      job_id: '9',
      category: 'processEvent',
      successes: 0,
      successes_on_retry: 0,
      failures: 1,
      error_uuid: ID,
      error_type: 'TypeError',
      error_details: '{"error":{"name":"TypeError"}}',
    },
  ],
  [
    'H-4: a click',
    {
      table: 'heatmaps',
      teamId: 2,
      eventUuid: OTHER_ID,
      type: 'rageclick',
      x: 3,
      y: 40,
      scaleFactor: 16,
      viewportWidth: 80,
      viewportHeight: 60,
      pointerTargetFixed: true,
      currentUrl: 'https://example.com/"x"',
      sessionId: 'undefined',
      distinctId: 'someone',
      timestampMs: AT_MS,
    },
    {
      type: 'rageclick',
      x: 3,
      y: 40,
      pointer_target_fixed: true,
      viewport_height: 60,
      viewport_width: 80,
      current_url: 'https://example.com/"x"',
      session_id: 'undefined',
      scale_factor: 16,
      timestamp: '2026-11-21 10:05:07.089',
      team_id: 2,
      distinct_id: 'someone',
    },
  ],
];

describe('side rows', () => {
  it.each(SIDE_ROWS)('%s', (_rule, row, json) => {
    expect(JSON.parse(sideJson(row))).toEqual(json);
  });

  it('every table of side rows is tried here', () => {
    expect(new Set(SIDE_ROWS.map(([, { table }]) => table)).size).toBe(Object.keys(outputTopics({ prefix: '' })).length - 1);
  });
});

describe('topics and keys', () => {
  it('1.1: names have KAFKA_PREFIX before and the suffix of the test environment behind them', () => {
    expect(outputTopics({ prefix: 'eu-', suffix: '_test' })).toEqual({
      events: 'eu-clickhouse_events_json_test',
      person: 'eu-clickhouse_person_test',
      person_distinct_id2: 'eu-clickhouse_person_distinct_id_test',
      groups: 'eu-clickhouse_groups_test',
      ingestion_warnings: 'eu-clickhouse_ingestion_warnings_test',
      plugin_log_entries: 'eu-plugin_log_entries_test',
      events_dead_letter_queue: 'eu-events_dead_letter_queue_test',
      app_metrics: 'eu-clickhouse_app_metrics_test',
      heatmaps: 'eu-clickhouse_heatmap_events_test',
    });
  });

  it('O-1: an overridden topic is taken as it is', () => {
    const topics = outputTopics({ prefix: 'eu-', events: 'mine', heatmaps: 'warm' });
    expect([topics.events, topics.heatmaps, topics.person]).toEqual(['mine', 'warm', 'eu-clickhouse_person']);
  });

  it('4.2-4.9: heatmaps have the key of their event, log lines their own id, the others none', () => {
    const keys = new Map(SIDE_ROWS.map(([, row]) => [row.table, outputKey(row)]));
    expect(Object.fromEntries(keys)).toEqual({
      person: null,
      person_distinct_id2: null,
      groups: null,
      ingestion_warnings: null,
      plugin_log_entries: ID,
      events_dead_letter_queue: null,
      app_metrics: null,
      heatmaps: OTHER_ID,
    });
  });

  it('sharp edge 21: rows of one group keep together, those of different ones need not', () => {
    const orders = SIDE_ROWS.flatMap(([, row]) => outputOrder(row) ?? []);
    expect(orders).toEqual(['2:4:acme "x"']);
  });
});
