import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import type { DefinitionWriterMessage } from '../../../actors/definition-writer/messages.ts';
import type { ForwarderMessage } from '../../../actors/forwarder/messages.ts';
import { KnownDefinitions } from '../../../src/domain/known-definitions.ts';
import { dropped } from '../../../src/domain/outcome.ts';
import { eventJson } from '../../../src/domain/output-json.ts';
import { observe } from '../../../src/observe/facts.ts';
import { probe, testSystem } from '../../kit/actors.ts';
import { NOW_MS, uuidAt } from '../../kit/pipeline.ts';
import { distinctIdKit, propertiesOf } from './distinct-id.kit.ts';

const systems: ReturnType<typeof testSystem>[] = [];
afterEach(() => systems.splice(0).forEach(({ system }) => system.kill()));
function open(): ReturnType<typeof testSystem> {
  const made = testSystem();
  systems.push(made);
  return made;
}

const PAGE = 'http://localhost/a';
const touched = {
  $viewport_height: 1_600,
  $viewport_width: 800,
  $heatmap_data: { [PAGE]: [{ x: 16, y: 32, target_fixed: false, type: 'click' }] },
};

describe('events that make no row of their own', () => {
  it('L-4: a $$heatmap makes its rows and neither a row nor a person, and is settled when they are durable', async () => {
    const { run, sideRows, rowless, clickhouse, settlement, database } = distinctIdKit(open());
    expect(await run([{ event: '$$heatmap', properties: { ...touched, $set: { a: 1 } } }])).toEqual([]);
    expect(sideRows()).toMatchObject([{ table: 'heatmaps', eventUuid: uuidAt(0), x: 1, y: 2, currentUrl: PAGE, distinctId: 'd' }]);
    expect(clickhouse.messages.map(({ type }) => type)).toEqual(['store-side-rows', 'settle-after-side-rows']);
    expect([rowless(), [...settlement.outcomes], database.persons.size]).toEqual([['0 heatmap'], [], 0]);
  });

  it('L-4: a $$heatmap without rows is settled at once', async () => {
    const { run, clickhouse, settlement } = distinctIdKit(open());
    await run([{ event: '$$heatmap', properties: { a: 1 } }]);
    expect([...settlement.outcomes]).toEqual([[0, dropped('heatmap')]]);
    expect(clickhouse.messages).toEqual([]);
  });

  it('L-4, TS-9: the timestamp of a $$heatmap is resolved, and its warnings are said', async () => {
    const { run, warnings } = distinctIdKit(open());
    await run([{ event: '$$heatmap', properties: touched, outer: { now: '2024-01-01T00:00:00Z' } }]);
    expect(warnings()).toEqual(['event_timestamp_in_future']);
  });

  it('L-3: a client warning is a warning that is always shown, and is settled when it is durable', async () => {
    const { run, sideRows, rowless, redisBuffer } = distinctIdKit(open());
    await run([{ event: '$$client_ingestion_warning', properties: { $$client_ingestion_warning_message: 'old SDK' } }]);
    expect(sideRows()).toEqual([
      {
        table: 'ingestion_warnings',
        teamId: 1,
        type: 'client_ingestion_warning',
        details: JSON.stringify({ eventUuid: uuidAt(0), event: '$$client_ingestion_warning', distinctId: 'd', message: 'old SDK' }),
        timestampMs: NOW_MS,
      },
    ]);
    expect([rowless(), redisBuffer.messages]).toEqual([['0 client_ingestion_warning'], []]);
  });

  it.each(['$$client_ingestion_warning', '$$heatmap'])('1.7, PP-4: the flag of a %s is looked at before it ends', async (event) => {
    const { run, warnings } = distinctIdKit(open());
    await run([{ event, properties: { $process_person_profile: 'no' } }]);
    expect(warnings()).toContain('invalid_process_person_profile');
  });
});

describe('heatmap data on an event of its own', () => {
  it('H-1, H-2: its rows are told before the event row, which no longer has the data', async () => {
    const { run, clickhouse, sideRows } = distinctIdKit(open());
    const [row] = await run([{ event: '$pageleave', properties: touched }]);
    expect(clickhouse.messages.map(({ type }) => type).slice(-2)).toEqual(['store-side-rows', 'store-events']);
    expect(sideRows().filter(({ table }) => table === 'heatmaps')).toHaveLength(1);
    expect(propertiesOf(row!)).not.toHaveProperty('$heatmap_data');
  });

  it('H-2: not for a team that opted out', async () => {
    const { run, sideRows } = distinctIdKit(open(), { team: { heatmapsOptIn: false } });
    const [row] = await run([{ properties: touched }]);
    expect(sideRows().filter(({ table }) => table === 'heatmaps')).toEqual([]);
    expect(propertiesOf(row!)).not.toHaveProperty('$heatmap_data');
  });

  it('H-3: a broken address costs the rows and makes a warning; the event is stored', async () => {
    const { run, warnings } = distinctIdKit(open());
    const rows = await run([{ properties: { ...touched, $current_url: 'x', $prev_pageview_pathname: '/b' } }]);
    expect([rows.length, warnings()]).toEqual([1, ['invalid_heatmap_data']]);
  });
});

describe('findings', () => {
  it('K-23, TS-9, H-3: what rules came across is counted by name and stated for many events at once', async () => {
    const stated: unknown[] = [];
    onTestFinished(observe('event-findings-counted', ({ counts }) => stated.push(counts)));
    const kit = distinctIdKit(open());
    await kit.run([
      { properties: { $set: { a: 1 } } },
      { event: '$set', properties: { $set: { a: 1 } } },
      { properties: { $set_once: { a: 1 }, $heatmap_data: { [PAGE]: [] } } },
      { outer: { now: '2024-01-01T00:00:00Z' } },
    ]);
    await kit.rest(1_000);
    expect(stated).toEqual([{ 'set-outside-person-event': 2, 'heatmap-invalid_viewport_dimensions': 1, 'timestamp-in-future': 1 }]);
  });

  it('team setting person_processing_opt_out: every event is personless, whatever it says', async () => {
    const { run, database } = distinctIdKit(open(), { team: { personProcessingOptOut: true } });
    const rows = await run([{ properties: { $set: { a: 1 } } }, { properties: { $process_person_profile: true } }]);
    expect(rows.map(({ personMode }) => personMode)).toEqual(['propertyless', 'propertyless']);
    expect(database.persons.size).toBe(0);
  });

  it('header force_disable_person_processing: that event is personless, its neighbours are not', async () => {
    const { run, database } = distinctIdKit(open());
    const rows = await run([
      { headers: { force_disable_person_processing: Buffer.from('true') }, properties: { $set: { a: 1 } } },
      { headers: { force_disable_person_processing: Buffer.from('false') } },
      {},
    ]);
    expect(rows.map(({ personMode }) => personMode)).toEqual(['propertyless', 'full', 'full']);
    expect(JSON.stringify([...database.persons.values()])).not.toContain('\\"a\\"');
    expect(database.persons.size).toBe(1);
  });
});

describe('names of events and properties', () => {
  function sink() {
    const writer = probe<DefinitionWriterMessage>('definition-writer');
    const seen = () => writer.messages.flatMap((message) => (message.type === 'definitions-seen' ? [message.definitions] : []));
    return { definitions: { known: new KnownDefinitions(1_000), writer }, writer, seen };
  }

  it('D-2, D-4: of stored events new names are told once, with the index of a group type', async () => {
    const { definitions, seen } = sink();
    const { run } = distinctIdKit(open(), { definitions });
    const events = [
      { event: 'buy', properties: { price: 5, $set: { plan: 'x' } } },
      { event: '$groupidentify', properties: { $group_type: 'company', $group_key: 'k', $group_set: { seats: 3 } } },
    ];
    await run(events);
    await run(events);
    expect(seen()).toHaveLength(1);
    expect(seen()[0]?.events.map(({ name }) => name)).toEqual(['buy', '$groupidentify']);
    expect(
      seen()[0]?.properties.map(({ parent, groupTypeIndex, name, propertyType }) => [parent, groupTypeIndex, name, propertyType]),
    ).toEqual([
      [1, undefined, 'price', 'Numeric'],
      [2, undefined, 'plan', 'String'],
      [3, 0, 'seats', 'Numeric'],
    ]);
  });

  it('D-1: events without a row name nothing', async () => {
    const { definitions, writer } = sink();
    const { run } = distinctIdKit(open(), { definitions });
    await run([{ event: '$$heatmap', properties: { a: 1 } }, { outer: { uuid: 'none' } }]);
    expect(writer.messages).toEqual([]);
  });

  it('F-1: the first event of a team is told, and not of a team that has events', async () => {
    const { definitions, writer } = sink();
    await distinctIdKit(open(), { definitions, team: { ingestedEvent: false } }).run([{ properties: { a: 1 } }]);
    expect(writer.messages[0]).toEqual({ type: 'first-event-seen', teamId: 1 });
    const other = sink();
    await distinctIdKit(open(), { definitions: other.definitions }).run([{}]);
    expect(other.writer.messages.map(({ type }) => type)).toEqual(['definitions-seen']);
  });

  it('D-8: a writer that is gone, or full, costs no event', async () => {
    const { definitions, writer } = sink();
    writer.answer('full');
    expect(await distinctIdKit(open(), { definitions }).run([{}, {}])).toHaveLength(2);
  });
});

describe('exceptions', () => {
  const thrown = { event: '$exception', properties: { $exception_type: 'TypeError', $set: { a: 1 } } };

  it('X-1, X-2: a copy of the finished row is acknowledged before the row is told; the rest of the group waits with it', async () => {
    const forwarder = probe<ForwarderMessage>('forwarder');
    const { tell, rest, rows } = distinctIdKit(open(), { exceptions: { forwarder, topic: 'symbols' } });
    tell([{}, thrown]);
    tell([{}]);
    await rest();
    expect(rows()).toEqual([]);
    const [copy] = forwarder.messages;
    if (copy?.type !== 'copy') throw new Error('no copy was asked for');
    expect([forwarder.messages.length, copy.topic, copy.key?.toString()]).toEqual([1, 'symbols', uuidAt(1)]);
    copy.replyTo.tell({ type: 'copied', ticket: copy.ticket, result: 'acknowledged' });
    await rest();
    expect(rows().map(({ pending }) => Number(pending.offset))).toEqual([0, 1, 2]);
    expect(copy.value.toString()).toBe(eventJson(rows()[1]!));
    expect(propertiesOf(rows()[1]!)).toMatchObject({ $exception_fingerprint: ['TypeError'] });
  });

  it('X-2: one that no topic can take is stored all the same', async () => {
    const forwarder = probe<ForwarderMessage>('forwarder');
    const { tell, rest, rows } = distinctIdKit(open(), { exceptions: { forwarder, topic: 'symbols' } });
    tell([thrown]);
    await rest();
    const [copy] = forwarder.messages;
    if (copy?.type !== 'copy') throw new Error('no copy was asked for');
    copy.replyTo.tell({ type: 'copied', ticket: copy.ticket, result: 'too-large' });
    await rest();
    expect(rows()).toHaveLength(1);
  });

  it('X-2: without a topic, and for other events, nothing is copied', async () => {
    const forwarder = probe<ForwarderMessage>('forwarder');
    expect(await distinctIdKit(open()).run([thrown])).toHaveLength(1);
    expect(await distinctIdKit(open(), { exceptions: { forwarder, topic: 'symbols' } }).run([{}])).toHaveLength(1);
    expect(forwarder.messages).toEqual([]);
  });

  it('X-3: an exception changes no properties of a person that exists', async () => {
    const { run, stored } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 0 } } }, thrown]);
    expect(stored()).toEqual({ a: 0 });
  });
});

it("TS-1: without a now, Kafka's time of the record is that of its event and of its touches, however late it is read", async () => {
  const kit = distinctIdKit(open(), { team: { dropEventsOlderThanS: 3_600 } });
  kit.clock.advance(86_400_000);
  const outer = { now: undefined, timestamp: null };
  const touch = { $heatmap_data: { [PAGE]: [{ x: 1, y: 1, type: 'click' }] }, $viewport_height: 1, $viewport_width: 1 };
  const rows = await kit.run([{ outer }, { outer, event: '$$heatmap', properties: touch }]);
  expect(rows.map(({ timestampMs }) => timestampMs)).toEqual([NOW_MS]);
  expect(kit.sideRows()).toContainEqual(expect.objectContaining({ table: 'heatmaps', timestampMs: NOW_MS }));
});

describe('T-8: drop_events_older_than', () => {
  const at = (ageS: number, more: object = {}) => ({ outer: { now: new Date(NOW_MS + ageS * 1_000).toISOString(), ...more } });

  it.each<[string, number | undefined, readonly number[]]>([
    ['older than an hour is dropped, exactly an hour is kept', 3_600, [0]],
    ['0 is no threshold', 0, [0, 1]],
    ['none is no threshold', undefined, [0, 1]],
  ])('%s', async (_, dropEventsOlderThanS, kept) => {
    const { run, warnings, settlement } = distinctIdKit(open(), { team: { dropEventsOlderThanS } });
    const rows = await run([at(3_600), at(3_601)]);
    expect(rows.map(({ pending }) => Number(pending.offset))).toEqual(kept);
    if (kept.length === 2) return expect(warnings()).toEqual([]);
    expect(warnings()).toEqual(['event_dropped_too_old']);
    expect([...settlement.outcomes]).toEqual([[1, dropped('too_old')]]);
  });
});
