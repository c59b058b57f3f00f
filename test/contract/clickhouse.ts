import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Block, BlockBuilder, ClickHouse } from '../../src/clickhouse/port.ts';
import { ClickHouseError } from '../../src/clickhouse/port.ts';
import { insertId, insertPrefix } from '../../src/domain/insert-id.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';

/** An event as it reads back. */
export interface StoredEvent {
  readonly uuid: string;
  readonly event: string;
  readonly distinctId: string;
  readonly properties: string;
  readonly elementsChain: string;
  readonly timestampMs: number;
  readonly teamId: number;
  readonly personId: string;
  readonly personMode: string;
  readonly offset: number;
}

export interface ClickHouseSubject {
  readonly clickhouse: ClickHouse;
  /** Visible events of a topic, by partition and offset. */
  readonly events: (topic: string) => Promise<readonly StoredEvent[]>;
  readonly count: (table: string) => Promise<number>;
  readonly close: () => Promise<void>;
}

let insertCount = 0;
/** A block of these rows, with a name and a token of its own unless given. */
export function blockOf(clickhouse: ClickHouse, rows: readonly EventRow[], token = `token-${++insertCount}`): Block {
  const builder = clickhouse.eventBlock();
  for (const row of rows) builder.append(row);
  return wholeBlock(
    builder,
    insertId(
      rows.slice(0, 1).map((row) => row.pending.settlement),
      String(++insertCount),
    ),
    token,
  );
}

function wholeBlock(builder: Omit<BlockBuilder<never>, 'append'>, queryId: string, deduplicationToken: string | undefined): Block {
  const { table, columns, rowCount } = builder;
  return { table, columns, rowCount, body: builder.body([...Array(rowCount).keys()]), queryId, deduplicationToken };
}

/** Texts that have broken stores: each goes through `event`, `distinct_id`, `properties` and `elements_chain`. */
const HOSTILE_TEXTS: readonly string[] = [
  '',
  'plain',
  'zwölf Boxkämpfer → 日本語 🎭',
  'nul \0 inside',
  'blank line\n\nCREATE TABLE pwned (a Int8) ENGINE = Memory;\n\n',
  'quotes \' " ` and \\ backslashes \\n',
  'a'.repeat(127),
  'b'.repeat(128),
  'ü'.repeat(64), // 64 units, 128 bytes: the length needs another byte than the text let expect
  'c'.repeat(16_383),
  'd'.repeat(16_384),
  '→'.repeat(5_462), // 16,386 bytes
  '\uFEFF byte order mark',
];

/** What every ClickHouse owes to the writer and to a takeover: the promises of src/clickhouse/port.ts. */
export function describeClickHouse(name: string, make: () => Promise<ClickHouseSubject>): void {
  describe(`ClickHouse: ${name}`, () => {
    let subject: ClickHouseSubject;
    let clickhouse: ClickHouse;
    let topicCount = 0;
    const topic = (): string => `topic-${++topicCount}`;
    const rowsOf = (settlement: ReturnType<typeof testSettlement>, offsets: readonly number[]): EventRow[] =>
      offsets.map((offset) => eventRow(settlement, offset));
    const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

    beforeAll(async () => {
      subject = await make();
      clickhouse = subject.clickhouse;
    });
    afterAll(() => subject.close());

    it('answers a ping', async () => {
      await expect(clickhouse.ping()).resolves.toBeUndefined();
    });

    it.each(HOSTILE_TEXTS)('gives back the text that was stored: %j', async (text) => {
      const settlement = testSettlement(topic());
      const row = eventRow(settlement, 7, { event: text, distinctId: text, elementsChain: text, properties: JSON.stringify({ text }) });
      await clickhouse.insert(blockOf(clickhouse, [row]));
      expect(await subject.events(settlement.topic)).toEqual([
        {
          uuid: row.uuid,
          event: text,
          distinctId: text,
          elementsChain: text,
          properties: JSON.stringify({ text }),
          timestampMs: row.timestampMs,
          teamId: 2,
          personId: row.personId,
          personMode: 'full',
          offset: 7,
        },
      ]);
    });

    it('stores a lone surrogate as its escape text in event, distinct_id and elements_chain (N-21)', async () => {
      const settlement = testSettlement(topic());
      const text = 'half \ud83d of a pair, \udc00 the other';
      await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, 0, { event: text, distinctId: text, elementsChain: text })]));
      const escaped = 'half \\ud83d\\ of a pair, \\udc00\\ the other';
      expect(await subject.events(settlement.topic)).toMatchObject([{ event: escaped, distinctId: escaped, elementsChain: escaped }]);
    });

    it('keeps numbers and times at their ends', async () => {
      const settlement = testSettlement(topic(), 65_000, 3);
      const offset = 2 ** 52 + 1;
      const timestampMs = Date.UTC(2299, 11, 31, 23, 59, 59, 999);
      const early = Date.UTC(1950, 0, 1, 0, 0, 0, 1);
      const rows = [
        eventRow(settlement, offset, { timestampMs, teamId: 2 ** 45 + 1, personMode: 'force_upgrade' }),
        eventRow(settlement, offset + 1, { timestampMs: early, personMode: 'propertyless' }),
      ];
      await clickhouse.insert(blockOf(clickhouse, rows));
      expect(await subject.events(settlement.topic)).toMatchObject([
        { offset, timestampMs, teamId: 2 ** 45 + 1, personMode: 'force_upgrade' },
        { offset: offset + 1, timestampMs: early, personMode: 'propertyless' },
      ]);
    });

    it('answers which offsets at or above a watermark are stored, as ranges', async () => {
      const settlement = testSettlement(topic());
      await clickhouse.insert(blockOf(clickhouse, rowsOf(settlement, [...range(0, 20), ...range(25, 30)])));
      await clickhouse.insert(blockOf(clickhouse, rowsOf(settlement, [30, 40])));
      expect(await clickhouse.storedOffsets(settlement, 10)).toEqual([
        { from: 10, to: 20 },
        { from: 25, to: 31 },
        { from: 40, to: 41 },
      ]);
      expect(await clickhouse.storedOffsets(settlement, 41)).toEqual([]);
    });

    it('answers for one partition of one topic only', async () => {
      const [a, b] = [topic(), topic()];
      await clickhouse.insert(blockOf(clickhouse, rowsOf(testSettlement(a, 1), [1])));
      await clickhouse.insert(blockOf(clickhouse, [...rowsOf(testSettlement(a, 2), [2]), ...rowsOf(testSettlement(b, 1), [3])]));
      expect(await clickhouse.storedOffsets({ topic: a, partition: 1 }, 0)).toEqual([{ from: 1, to: 2 }]);
      expect(await clickhouse.storedOffsets({ topic: a, partition: 2 }, 0)).toEqual([{ from: 2, to: 3 }]);
      expect(await clickhouse.storedOffsets({ topic: b, partition: 3 }, 0)).toEqual([]);
    });

    it('answers which of given offsets are stored, over more partitions than one query takes', async () => {
      const name = topic();
      const partitions = range(0, 19);
      await clickhouse.insert(
        blockOf(
          clickhouse,
          partitions.flatMap((partition) => rowsOf(testSettlement(name, partition), [partition, partition + 2])),
        ),
      );
      const asked = partitions.map((partition) => ({ topic: name, partition, offsets: [partition, partition + 1, partition + 2] }));
      const answer = await clickhouse.storedAmong([
        ...asked,
        { topic: name, partition: 99, offsets: [1] },
        { topic: name, partition: 1, offsets: [] },
      ]);
      expect(answer).toEqual([
        ...partitions.map((partition) => ({ topic: name, partition, offsets: new Set([partition, partition + 2]) })),
        { topic: name, partition: 99, offsets: new Set() },
        { topic: name, partition: 1, offsets: new Set() },
      ]);
    });

    it('stores a block that spans table partitions', async () => {
      const settlement = testSettlement(topic());
      const rows = range(0, 12).map((offset) => eventRow(settlement, offset, { timestampMs: Date.UTC(2025, offset, 3) }));
      await clickhouse.insert(blockOf(clickhouse, rows));
      expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 0, to: 12 }]);
    });

    it('stores a second block with the token of the first only where the first had nothing (the guard against two copies)', async () => {
      const settlement = testSettlement(topic());
      await clickhouse.insert(blockOf(clickhouse, rowsOf(settlement, [1, 2]), 'once'));
      await clickhouse.insert(blockOf(clickhouse, rowsOf(settlement, [1, 2]), 'once'));
      expect((await subject.events(settlement.topic)).length).toBe(2);
      await clickhouse.insert(blockOf(clickhouse, rowsOf(settlement, [3]), 'once'));
      expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 1, to: 3 }]);
    });

    it('keeps one of the rows with an equal sorting key, and the offset of the other reads as missing', async () => {
      const settlement = testSettlement(topic());
      const first = eventRow(settlement, 1, { distinctId: 'same' });
      const again = eventRow(settlement, 2, { distinctId: 'same', uuid: first.uuid });
      await clickhouse.insert(blockOf(clickhouse, [first, again]));
      expect((await subject.events(settlement.topic)).map(({ offset }) => offset)).toEqual([2]);
    });

    it('stores rows of every side table', async () => {
      const side = clickhouse.sideBlocks();
      const id = '11112222-3333-4444-8555-666677778888';
      side.append(
        {
          table: 'person',
          id,
          teamId: 2,
          createdAtMs: 1_700_000_000_000,
          properties: '{"a":"ü"}',
          isIdentified: true,
          isDeleted: false,
          version: 3,
        },
        1_700_000_000_000,
      );
      side.append({ table: 'person_distinct_id2', teamId: 2, distinctId: 'new', personId: id, isDeleted: false, version: 0 }, 0);
      side.append({ table: 'person_distinct_id2', teamId: 2, distinctId: 'moved', personId: id, isDeleted: false, version: 1 }, 0);
      side.append({ table: 'groups', teamId: 2, groupTypeIndex: 4, groupKey: 'acme', createdAtMs: 0, properties: '{}', version: 1 }, 0);
      side.append(
        { table: 'ingestion_warnings', teamId: 2, type: 'message_size_too_large', details: '{}', timestampMs: 1_700_000_000_000 },
        0,
      );
      side.append(
        {
          table: 'heatmaps',
          teamId: 2,
          eventUuid: id,
          type: 'click',
          x: 40_000, // clamped: Int16
          y: -3,
          scaleFactor: 16,
          viewportWidth: 120,
          viewportHeight: 60,
          pointerTargetFixed: true,
          currentUrl: 'https://example.com/ü',
          sessionId: 's',
          distinctId: 'd',
          timestampMs: Date.now(),
        },
        0,
      );
      side.append(
        {
          table: 'events_dead_letter_queue',
          id,
          teamId: 2,
          eventUuid: id,
          event: 'click',
          distinctId: 'd',
          properties: '{}',
          elementsChain: '',
          ip: '',
          siteUrl: '',
          nowMs: undefined,
          createdAtMs: 1_700_000_000_000,
          errorTimestampMs: 1_700_000_000_000,
          errorLocation: 'here',
          error: 'Event ingestion failed.',
          rawPayload: '{}',
          tags: ['plugin_server', 'ingest_event'],
        },
        Date.now(),
      );
      side.append(
        {
          table: 'app_metrics',
          teamId: 2,
          pluginConfigId: 7,
          category: 'processEvent',
          jobId: undefined,
          successes: 0,
          successesOnRetry: 0,
          failures: 1,
          error: { uuid: id, type: 'TypeError', details: '{}' },
          timestampMs: 1_700_000_000_000,
        },
        0,
      );
      side.append(
        {
          table: 'plugin_log_entries',
          id,
          teamId: 2,
          pluginId: 3,
          pluginConfigId: 7,
          source: 'CONSOLE',
          type: 'WARN',
          message: 'ünïcode',
          instanceId: id,
          timestampMs: Date.now(),
        },
        0,
      );
      for (const builder of side.filled()) await clickhouse.insert(wholeBlock(builder, `side-${builder.table}`, undefined));
      expect(await subject.count('person')).toBe(1);
      expect(await subject.count('person_distinct_id2')).toBe(2);
      expect(await subject.count('person_distinct_id_overrides')).toBe(1); // rows with a version above 0
      expect(await subject.count('groups')).toBe(1);
      expect(await subject.count('ingestion_warnings')).toBe(1);
      expect(await subject.count('heatmaps')).toBe(1);
      expect(await subject.count('events_dead_letter_queue')).toBe(1);
      expect(await subject.count('app_metrics')).toBe(1);
      expect(await subject.count('plugin_log_entries')).toBe(1);
    });

    it('refuses a block that is cut off as bad rows, and stores nothing of it', async () => {
      const settlement = testSettlement(topic());
      const block = blockOf(clickhouse, rowsOf(settlement, [1, 2]));
      const error = await clickhouse.insert({ ...block, body: block.body.subarray(0, -3) }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ClickHouseError);
      expect(error).toMatchObject({ kind: 'bad-row' });
      expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([]);
    });

    it('refuses a table that is not there as misconfigured', async () => {
      const block = blockOf(clickhouse, rowsOf(testSettlement(topic()), [1]));
      await expect(clickhouse.insert({ ...block, table: 'nothing_here' })).rejects.toMatchObject({ kind: 'misconfigured', code: 60 });
    });

    it('resolves a kill of inserts when none runs', async () => {
      await expect(clickhouse.killInserts(insertPrefix({ topic: topic(), partition: 0 }))).resolves.toBeUndefined();
    });
  });
}
