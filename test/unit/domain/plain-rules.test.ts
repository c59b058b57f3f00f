import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prepare, prepareAgain } from '../../../actors/distinct-id/prepare.ts';
import { parseEnvelope } from '../../../src/domain/envelope.ts';
import type { Json } from '../../../src/domain/event.ts';
import { fingerprintException } from '../../../src/domain/exceptions.ts';
import { assignGroups } from '../../../src/domain/groups.ts';
import { takeHeatmap, type HeatmapRow } from '../../../src/domain/heatmaps.ts';
import { buildEventRow } from '../../../src/domain/row.ts';
import { resolveTimestamp } from '../../../src/domain/timestamp.ts';
import { aTeam } from '../../kit/pipeline.ts';
import { plainly, type PlainRecord, type PlainResult, type PlainTeam } from '../../kit/plain-rules.ts';
import { aPending, UUID } from './build.ts';

const WALL_CLOCK_MS = Date.UTC(2030, 0, 1);

/** The domain's functions in the order in which the distinct_id actor calls them. */
function byDomain({ outer, inner }: PlainRecord, edit: (event: Json) => void, team: PlainTeam): PlainResult {
  const parsed = parseEnvelope(Buffer.from(JSON.stringify({ ...outer, data: JSON.stringify(inner) })));
  if (!parsed.ok) throw new Error(parsed.detail);
  const pending = aPending(parsed.envelope);
  const warnings: string[] = [];
  const prepared = prepare(pending, aTeam(), WALL_CLOCK_MS, { found: () => undefined, warn: ({ type }) => warnings.push(type) });
  if (prepared.type === 'poison') throw new Error(prepared.detail);
  if (prepared.type === 'dropped') {
    if (prepared.warning !== undefined) warnings.push(prepared.warning.type);
    const step = prepared.reason === 'invalid_event_for_flags' ? 'invalidEventForProvidedFlags' : 'clientIngestionWarning';
    return { step, warnings, heatmaps: [] };
  }
  const { event } = prepared;
  const heatmaps = (timestampMs: number): Json[] => {
    const { rows, warning } = takeHeatmap(event, { isOptedIn: team.heatmapsOptIn, teamId: 1, eventUuid: UUID, timestampMs });
    if (warning !== undefined) warnings.push(warning.type);
    return rows.map(({ table: _t, teamId: _i, eventUuid: _u, timestampMs: ms, ...row }: HeatmapRow) => ({ ...row, timestamp: textOf(ms) }));
  };
  if (prepared.type === 'event') {
    edit(event);
    expect(prepareAgain(event, prepared.mode)).toBeUndefined();
  }
  const { timestampMs, warnings: late } = resolveTimestamp(event, WALL_CLOCK_MS);
  warnings.push(...late.map(({ type }) => type));
  if (prepared.type === 'heatmap') return { step: 'extractHeatmapDataStep', heatmaps: heatmaps(timestampMs), warnings };
  if (prepared.mode === 'full') assignGroups(event, new Map(team.groupTypes.map((type, index) => [type, index])));
  if (event.event === '$exception') fingerprintException(event);
  const rows = heatmaps(timestampMs);
  const made = buildEventRow(event, {
    ...{ pending, timestampMs, createdAtMs: 0, personId: '', personCreatedAtMs: 0, personProperties: '{}', personMode: 'full' },
    processing: prepared.mode,
    anonymizeIps: team.anonymizeIps,
  });
  const row = {
    event: made.event,
    properties: JSON.parse(made.properties) as Json,
    elementsChain: made.elementsChain,
    timestamp: textOf(timestampMs),
  };
  return { step: 'createEventStep', warnings, row, heatmaps: rows };
}

const textOf = (ms: number): string => (ms === WALL_CLOCK_MS ? 'wall clock' : new Date(ms).toISOString());

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const set = fc.dictionary(some('$browser', '$os', '$os_name', '$initial_os', 'plan', 'utm_source'), some<unknown>('x', null, 0), {
  maxKeys: 3,
});
const time = some('2024-05-01T11:00:00Z', '2024-05-01T15:30:00+04:00', '2024-05-02T12:00:00.001Z', '2024-05-02T11:00:00.000Z', 'never');
const element = fc.record(
  {
    tag_name: some('a', 'div'),
    $el_text: some('a "quoted" text', '', null, 't'.repeat(500)),
    nth_child: some(1, null),
    nth_of_type: some(2, 0),
    attr__class: some<unknown>('small big', ['z"', 'a'], '', null),
    attr__href: some('/a-url', 'h'.repeat(3_000)),
    attr__id: some('one', ''),
    'attr__data-x': some<unknown>('1', ['a', 'b'], 5, true),
  },
  { requiredKeys: [] },
);
const point = fc.record(
  { x: some<unknown>(0, 24, -40, 'no'), y: some<unknown>(8, 1_000), type: some('click', ' '), target_fixed: fc.boolean() },
  { requiredKeys: [] },
);
const properties = fc.record(
  {
    ...{
      $browser: some<unknown>('Chrome', null),
      $os: some<unknown>('Mac', null),
      $os_name: some('iOS', ''),
      utm_source: some('ad'),
      plain: some<unknown>(1, 'x'),
    },
    ...{ $set: set, $set_once: set, $unset: some<unknown>(['plan'], []) },
    $ip: some<unknown>('1.1.1.1', '', null),
    $process_person_profile: some<unknown>(true, false, false, 'false', null, 0),
    $groups: fc.dictionary(some('company', 'project', 'sixth'), some<unknown>('k', 5), { maxKeys: 3 }),
    ...{ $group_0: some('sent'), $group_4: some('sent') },
    ...{ $elements: fc.array(element, { maxLength: 2 }), $elements_chain: some('a:nth-child="1"', '') },
    $ignore_sent_at: fc.boolean(),
    $heatmap_data: fc.dictionary(some('https://a.test/x', ' '), fc.array(point, { maxLength: 2 })),
    ...{ $viewport_height: some<unknown>(800, '800'), $viewport_width: some(1_000) },
    ...{ $current_url: some('https://a.test/here?q#h', 'nowhere'), $prev_pageview_pathname: some('/before', '') },
    ...{ $prev_pageview_max_scroll: some<unknown>(160, 'x'), $session_id: some('s') },
    ...{ $exception_type: some('TypeError', ''), $exception_message: some('no'), $exception_fingerprint: some('mine', '') },
    $exception_stack_trace_raw: some('[{"function":"raw"}]', '[]', 'no json'),
    $exception_list: some<unknown>([{ stacktrace: { frames: [{ function: 'first' }] } }], [{}], []),
  },
  { requiredKeys: [] },
);
const record = fc.record({
  outer: fc.record(
    {
      uuid: some(UUID),
      distinct_id: some('d'),
      token: some('t'),
      now: some('2024-05-01T12:00:00.000Z'),
      ip: some('2.2.2.2', ''),
      sent_at: time,
    },
    { requiredKeys: ['uuid', 'distinct_id', 'token', 'now'] },
  ),
  inner: fc.record(
    {
      event: some(
        'click',
        'click',
        '$set',
        '$identify',
        '$groupidentify',
        '$exception',
        '$$heatmap',
        '$$client_ingestion_warning',
        '$snapshot',
      ),
      properties,
      timestamp: time,
      offset: some(6_000, -82_800_000, -82_800_001, 0),
      ...{ $set: set, $set_once: set },
    },
    { requiredKeys: ['event', 'properties'] },
  ),
});
/** What a plugin does to an event: properties given or taken. */
const edits = fc.array(fc.tuple(some('given', 'taken'), properties), { maxLength: 2 });
const team = fc.record({ anonymizeIps: fc.boolean(), heatmapsOptIn: fc.boolean(), groupTypes: some(['company', 'project'], []) });

test('property: what the domain makes of an event is what the rules say, plugins in between (3,000 events)', () => {
  const steps = new Map<string, number>();
  fc.assert(
    fc.property(record, edits, team, (sent, all, of) => {
      const edit = (event: Json): void => {
        for (const [what, given] of all) {
          const has = event['properties'] as Json;
          if (what === 'given') Object.assign(has, structuredClone(given));
          else for (const key of Object.keys(given)) delete has[key];
        }
      };
      const expected = plainly(structuredClone(sent), edit, of);
      expect(byDomain(structuredClone(sent), edit, of)).toEqual(expected);
      steps.set(expected.step, (steps.get(expected.step) ?? 0) + 1);
    }),
    { seed: 20261121, numRuns: 3_000 },
  );
  expect(steps.get('createEventStep')).toBeGreaterThan(1_500);
  expect(steps.size).toBe(4);
}, 60_000);
