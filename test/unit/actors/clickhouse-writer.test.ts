import { describe, expect, it } from 'vitest';
import { ClickHouseError } from '../../../src/clickhouse/port.ts';
import { offset as toOffset } from '../../../src/domain/ids.ts';
import { dropped } from '../../../src/domain/outcome.ts';
import type { SideRow } from '../../../src/domain/rows.ts';
import { observe } from '../../../src/observe/facts.ts';
import { gate, probe } from '../../kit/actors.ts';
import { eventRow, testSettlement } from '../../kit/event-rows.ts';
import { setUpWriter } from './clickhouse-writer-kit.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const warning = (type: string): SideRow => ({ table: 'ingestion_warnings', teamId: 2, type, details: '{}', timestampMs: 0 });

describe('clickhouse-writer: filling', () => {
  it('stores a block when it has maxRowsCount rows, and settles each row as stored', async () => {
    const it = setUpWriter();
    it.writer.tell({ type: 'store-events', rows: range(0, 9).map((offset) => eventRow(it.settlement, offset)) });
    await it.settle();
    expect(it.calls.map(({ offsets }) => offsets)).toEqual([range(0, 4), range(4, 8)]);
    expect(it.settled()).toEqual(range(0, 8).map((offset) => `${offset}:stored`));
  });

  it('stores a block when its oldest row is maxAgeMs old', async () => {
    const it = setUpWriter();
    it.writer.tell({ type: 'store-events', rows: [eventRow(it.settlement, 0)] });
    await it.settle();
    it.clock.advance(299);
    await it.settle();
    expect(it.stored()).toEqual([]);
    it.clock.advance(1);
    await it.settle();
    expect(it.settled()).toEqual(['0:stored']);
  });

  it('stores a block when it has maxBytes bytes', async () => {
    const it = setUpWriter({}, { maxBytes: 500, maxRowsCount: 1_000 });
    it.writer.tell({ type: 'store-events', rows: [eventRow(it.settlement, 0, { properties: 'x'.repeat(600) })] });
    await it.settle();
    expect(it.settled()).toEqual(['0:stored']);
  });

  it('W1: has one block in flight, and stores what came meanwhile after it, in order', async () => {
    const first = gate();
    let count = 0;
    const it = setUpWriter({ answer: () => (count++ === 0 ? first.promise : undefined) });
    for (const offset of range(0, 10)) it.writer.tell({ type: 'store-events', rows: [eventRow(it.settlement, offset)] });
    await it.settle();
    it.clock.advance(1_000);
    await it.settle();
    expect(it.calls).toHaveLength(1);
    first.open();
    await it.settle();
    await it.pass(1_000);
    expect(it.calls.map(({ offsets }) => offsets)).toEqual([range(0, 4), range(4, 8), [8, 9]]);
    expect(it.stored()).toEqual(range(0, 10));
  });

  it('W2: begins the insert of event rows only when the side rows told before them are durable', async () => {
    const side = gate();
    const it = setUpWriter({ answer: ({ block }) => (block.table === 'events' ? undefined : side.promise) });
    it.writer.tell({ type: 'store-side-rows', rows: [warning('before')] });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.settle();
    expect(it.calls.map(({ table }) => table)).toEqual(['ingestion_warnings']);
    side.open();
    await it.settle();
    expect(it.calls.map(({ table }) => table)).toEqual(['ingestion_warnings', 'events']);
  });

  it('stores side rows that no event row follows, by age', async () => {
    const it = setUpWriter();
    it.writer.tell({ type: 'store-side-rows', rows: [warning('alone')] });
    await it.settle();
    it.clock.advance(300);
    await it.settle();
    expect(it.server.tables.get('ingestion_warnings')).toHaveLength(1);
  });

  it('W10: settles an event without a row when the side rows told before it are durable, and not before', async () => {
    const side = gate();
    const it = setUpWriter({ answer: ({ block }) => (block.table === 'events' ? undefined : side.promise) });
    it.writer.tell({ type: 'store-side-rows', rows: [warning('all that is left of an event')] });
    it.writer.tell({
      type: 'settle-after-side-rows',
      events: [{ settlement: it.settlement, offset: toOffset(0), outcome: dropped('client_ingestion_warning') }],
    });
    await it.pass(1_000);
    expect(it.calls.map(({ table }) => table)).toEqual(['ingestion_warnings']);
    expect(it.settled()).toEqual([]);
    side.open();
    await it.settle();
    expect(it.settled()).toEqual(['0:client_ingestion_warning']);
  });

  it('W10: an event without a row whose partition was lost meanwhile is settled by nobody', async () => {
    const side = gate();
    const it = setUpWriter({ answer: () => side.promise });
    it.writer.tell({ type: 'store-side-rows', rows: [warning('w')] });
    it.writer.tell({
      type: 'settle-after-side-rows',
      events: [{ settlement: it.settlement, offset: toOffset(0), outcome: dropped('heatmap') }],
    });
    await it.pass(1_000);
    it.settlement.active = false;
    side.open();
    await it.settle();
    expect(it.settled()).toEqual([]);
  });

  it('W3: settles a row with the sorting key of an earlier one as a duplicate, and stores the earlier', async () => {
    const it = setUpWriter();
    const row = eventRow(it.settlement, 0, { distinctId: 'd' });
    const again = eventRow(it.settlement, 1, { ...row, uuid: row.uuid.toUpperCase(), properties: '{"other":1}' });
    const otherDay = eventRow(it.settlement, 2, { distinctId: 'd', uuid: row.uuid, timestampMs: row.timestampMs + 86_400_000 });
    const otherDayAgain = eventRow(it.settlement, 3, { distinctId: 'd', uuid: row.uuid, timestampMs: row.timestampMs + 86_400_001 });
    const otherId = eventRow(it.settlement, 4, { distinctId: 'e', uuid: row.uuid });
    const rows = [row, { ...again, pending: eventRow(it.settlement, 1).pending }, otherDay, otherDayAgain, otherId];
    it.writer.tell({ type: 'store-events', rows });
    await it.settle();
    it.clock.advance(300);
    await it.settle();
    expect(it.stored()).toEqual([0, 2, 4]);
    expect(it.settled()).toEqual(['0:stored', '1:duplicate', '2:stored', '3:duplicate', '4:stored']);
  });

  it("W3: a row of a partition that was lost is nobody's duplicate: its record comes again and is stored", async () => {
    const it = setUpWriter();
    const later = testSettlement('events', 0, 2);
    const row = eventRow(it.settlement, 0);
    it.writer.tell({ type: 'store-events', rows: [row] });
    it.settlement.active = false;
    it.writer.tell({ type: 'store-events', rows: [{ ...row, pending: eventRow(later, 0).pending }] });
    await it.pass(1_000);
    expect(it.stored()).toEqual([0]);
    expect(later.outcomes.get(0)).toEqual({ type: 'stored' });
  });

  it('B1: keeps rows of one distinct_id out of a block where an earlier one is of another table partition', async () => {
    const it = setUpWriter({}, { maxRowsCount: 1_000 });
    const at = (offset: number, distinctId: string, month: number): ReturnType<typeof eventRow> =>
      eventRow(it.settlement, offset, { distinctId, timestampMs: Date.UTC(2026, month, 2) });
    it.writer.tell({
      type: 'store-events',
      rows: [at(0, 'a', 9), at(1, 'b', 10), at(2, 'b', 10), at(3, 'a', 9), at(4, 'a', 10), at(5, 'b', 10)],
    });
    await it.pass(1_000);
    expect(it.calls.map(({ offsets }) => offsets)).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ]);
  });

  it('keeps one block within the table partitions that ClickHouse takes', async () => {
    const it = setUpWriter({}, { maxRowsCount: 1_000, maxTablePartitionsCount: 3 });
    const rows = range(0, 8).map((offset) => eventRow(it.settlement, offset, { timestampMs: Date.UTC(2025, offset, 2) }));
    it.writer.tell({ type: 'store-events', rows });
    await it.settle();
    it.clock.advance(300);
    await it.settle();
    expect(it.calls.map(({ offsets }) => offsets)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ]);
  });

  it('O-4: dead-letters a row that is too large, with a warning for its team, or whose time ClickHouse cannot hold, before any insert', async () => {
    const it = setUpWriter({}, { maxRowBytes: 1_000 });
    const large = eventRow(it.settlement, 0, { properties: 'x'.repeat(2_000) });
    const late = eventRow(it.settlement, 1, { timestampMs: Date.UTC(2300, 0, 1) });
    const nan = eventRow(it.settlement, 2, { personCreatedAtMs: Number.NaN });
    it.writer.tell({ type: 'store-events', rows: [large, late, nan, ...range(3, 7).map((offset) => eventRow(it.settlement, offset))] });
    await it.settle();
    expect(it.warnings).toEqual(['message_size_too_large']);
    const records = it.deadLetters.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []));
    expect(records.map(({ offset, reason, value }) => [offset, reason, value?.toString()])).toEqual([
      [0, 'row_too_large', 'raw 0'],
      [1, 'row_refused', 'raw 1'],
      [2, 'row_refused', 'raw 2'],
    ]);
    expect(it.stored()).toEqual([3, 4, 5, 6]);
  });

  it('W9: leaves out rows of a partition that was lost, and does not settle them', async () => {
    const blocked = gate();
    let count = 0;
    const it = setUpWriter({ arrive: () => (count++ === 0 ? blocked.promise : undefined) });
    const lost = testSettlement('events', 1);
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    it.writer.tell({
      type: 'store-events',
      rows: [eventRow(lost, 100), eventRow(it.settlement, 4), eventRow(lost, 101), eventRow(it.settlement, 5)],
    });
    await it.settle();
    lost.active = false;
    it.writer.tell({ type: 'store-events', rows: [eventRow(lost, 102)] });
    blocked.open();
    await it.settle();
    expect(it.stored()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(lost.outcomes.size).toBe(0);
    expect(it.calls[1]?.queryId).toMatch(/^troupe:events:0:1\|[^|]+$/);
  });
});

describe('clickhouse-writer: outages', () => {
  const unavailable = (): ClickHouseError => new ClickHouseError('unavailable', 'connection refused');

  it.each(['unavailable', 'misconfigured'] as const)(
    'W4: %s: tries the same block again with a growing wait, and loses nothing',
    async (kind) => {
      let failures = 6;
      const it = setUpWriter({
        arrive: () => {
          if (failures-- > 0) throw new ClickHouseError(kind, 'no');
        },
      });
      for (const offset of range(0, 12)) it.writer.tell({ type: 'store-events', rows: [eventRow(it.settlement, offset)] });
      await it.settle();
      expect(it.calls).toHaveLength(1);
      await it.pass(20_000);
      expect(it.calls.slice(0, 7).map(({ offsets }) => offsets)).toEqual(Array(7).fill([0, 1, 2, 3]));
      expect(it.stored()).toEqual(range(0, 12));
      expect(it.escalated).toEqual([]);
    },
  );

  it('W9: begins no insert while the last heartbeat is too old, and goes on when it is fresh', async () => {
    const it = setUpWriter();
    it.control.mayWrite = false;
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.pass(5_000);
    expect(it.calls).toEqual([]);
    it.control.mayWrite = true;
    await it.pass(1_000);
    expect(it.stored()).toEqual([0, 1, 2, 3]);
  });

  it('keeps side rows of a table that failed, and does not write the others again', async () => {
    let failures = 2;
    const it = setUpWriter({
      arrive: ({ block }) => {
        if (block.table === 'groups' && failures-- > 0) throw unavailable();
      },
    });
    const group: SideRow = { table: 'groups', teamId: 2, groupTypeIndex: 0, groupKey: 'k', createdAtMs: 0, properties: '{}', version: 1 };
    it.writer.tell({ type: 'store-side-rows', rows: [warning('w'), group] });
    await it.pass(5_000);
    expect(it.calls.map(({ table }) => table)).toEqual(['groups', 'ingestion_warnings', 'groups', 'groups']);
  });
});

describe('clickhouse-writer: ask and fill', () => {
  const cut = (): ClickHouseError => new ClickHouseError('unknown', 'socket hang up');

  it('W6: after a lost answer asks, finds all rows and inserts nothing', async () => {
    const it = setUpWriter({
      answer: () => {
        throw cut();
      },
    });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.pass(2_000);
    expect(it.calls).toHaveLength(1);
    expect(it.settled()).toEqual(range(0, 4).map((offset) => `${offset}:stored`));
    expect(it.stored()).toEqual(range(0, 4));
  });

  it('W6: after a block that was stored in part inserts the missing rows only', async () => {
    let parts = 0;
    const it = setUpWriter({
      part: () => {
        if (++parts === 2) throw cut();
      },
    });
    const rows = range(0, 4).map((offset) => eventRow(it.settlement, offset, { timestampMs: Date.UTC(2026, offset % 2, 3) }));
    it.writer.tell({ type: 'store-events', rows });
    await it.pass(2_000);
    expect(it.calls.map(({ offsets }) => offsets)).toEqual([range(0, 4), [1, 3]]);
    expect(it.stored().sort()).toEqual(range(0, 4));
    expect(it.settled()).toEqual(range(0, 4).map((offset) => `${offset}:stored`));
  });

  it('W7: rows that the engine lost after noting the token are stored under another token', async () => {
    let parts = 0;
    const it = setUpWriter({ part: () => (++parts === 1 ? 'lost' : undefined) });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.pass(2_000);
    expect(it.stored()).toEqual(range(0, 4));
    const tokens = it.calls.map(({ token }) => token);
    expect(tokens).toHaveLength(2);
    expect(new Set(tokens).size).toBe(2);
  });

  it('W6: an insert that we gave up and that arrives late stores nothing a second time', async () => {
    const late = gate();
    let count = 0;
    const it = setUpWriter({
      arrive: () => (++count === 1 ? late.promise : undefined),
      abandon: () => (count === 1 ? Promise.reject(cut()) : undefined),
    });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.pass(2_000);
    late.open();
    await it.pass(2_000);
    expect(it.stored()).toEqual(range(0, 4));
    expect(it.settled()).toEqual(range(0, 4).map((offset) => `${offset}:stored`));
  });

  it('asks again until there is an answer when ClickHouse is away after the cut', async () => {
    let questions = 0;
    const it = setUpWriter({
      answer: () => {
        throw cut();
      },
      question: () => {
        if (++questions < 5) throw new ClickHouseError('unavailable', 'refused');
      },
    });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.pass(20_000);
    expect(it.calls).toHaveLength(1);
    expect(it.settled()).toHaveLength(4);
  });

  it('settles a row as a duplicate when it stays missing after clean inserts: a merge has met an equal key', async () => {
    let answers = 0;
    const it = setUpWriter({
      answer: () => {
        if (++answers === 1) throw cut();
      },
      question: () => it.server.merge(),
    });
    const row = eventRow(it.settlement, 0);
    const newer = eventRow(testSettlement('elsewhere'), 60_000, {
      uuid: row.uuid,
      distinctId: row.distinctId,
      timestampMs: row.timestampMs,
    });
    const elsewhere = setUpWriter();
    elsewhere.writer.tell({ type: 'store-events', rows: [newer] });
    await elsewhere.pass(1_000);
    it.server.tables.set('events', [...elsewhere.server.events()]);
    it.writer.tell({ type: 'store-events', rows: [row] });
    await it.pass(5_000);
    expect(it.calls).toHaveLength(3);
    expect(it.settled()).toEqual(['0:duplicate']);
    expect(it.stored()).toEqual([60_000]);
  });
});

describe('clickhouse-writer: bad rows', () => {
  it('W8: halves a refused block until the bad row stands alone, dead-letters it, and stores the others in order', async () => {
    const it = setUpWriter({ refuses: (row) => (row['event'] === 'poison' ? 'cannot parse' : undefined) }, { maxRowsCount: 64 });
    const poisoned = new Set([5, 40]);
    const rows = range(0, 64).map((offset) => eventRow(it.settlement, offset, { event: poisoned.has(offset) ? 'poison' : 'fine' }));
    it.writer.tell({ type: 'store-events', rows });
    await it.settle();
    expect(it.stored()).toEqual(range(0, 64).filter((offset) => !poisoned.has(offset)));
    const records = it.deadLetters.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []));
    expect(records.map(({ offset, reason, origin }) => [offset, reason, origin])).toEqual([
      [5, 'row_refused', 'clickhouse-writer'],
      [40, 'row_refused', 'clickhouse-writer'],
    ]);
    expect(records[0]?.detail).toContain('cannot parse');
    expect(it.settlement.twice).toEqual([]);
    expect(new Set(it.calls.map(({ token }) => token)).size).toBe(it.calls.length);
  });

  it('leaves out a side row that is refused, and stores the events that came with it', async () => {
    const it = setUpWriter({ refuses: (row, table) => (table === 'ingestion_warnings' && row['type'] === 'bad' ? 'no' : undefined) });
    it.writer.tell({ type: 'store-side-rows', rows: [warning('a'), warning('bad'), warning('b')] });
    it.writer.tell({ type: 'store-events', rows: range(0, 4).map((offset) => eventRow(it.settlement, offset)) });
    await it.settle();
    expect(it.server.tables.get('ingestion_warnings')?.map((row) => row['type'])).toEqual(['a', 'b']);
    expect(it.settled()).toHaveLength(4);
  });
});

describe('clickhouse-writer: the end', () => {
  it('answers a drain when everything told before is settled', async () => {
    const first = gate();
    const it = setUpWriter({ arrive: () => first.promise });
    const replyTo = probe<{ type: 'drained' }>();
    it.writer.tell({ type: 'store-events', rows: range(0, 6).map((offset) => eventRow(it.settlement, offset)) });
    it.writer.tell({ type: 'drain', replyTo });
    await it.settle();
    expect(replyTo.messages).toEqual([]);
    first.open();
    await it.settle();
    expect(replyTo.messages).toEqual([{ type: 'drained' }]);
    expect(it.settled()).toHaveLength(6);
  });

  it('answers a drain at once when there is nothing', async () => {
    const it = setUpWriter();
    const replyTo = probe<{ type: 'drained' }>();
    it.writer.tell({ type: 'drain', replyTo });
    await it.settle();
    expect(replyTo.messages).toEqual([{ type: 'drained' }]);
  });

  it('stores what is left when it is stopped, also what waits behind a block in flight', async () => {
    const first = gate();
    const it = setUpWriter({ arrive: () => first.promise });
    it.writer.tell({ type: 'store-events', rows: range(0, 10).map((offset) => eventRow(it.settlement, offset)) });
    await it.settle();
    const stopped = it.system.stop(it.writer);
    await it.settle();
    first.open();
    await stopped;
    expect(it.stored()).toEqual(range(0, 10));
    expect(it.settled()).toHaveLength(10);
  });

  it('gives up after stopFlushMs when ClickHouse is away, settles nothing, and inserts nothing afterwards', async () => {
    const it = setUpWriter(
      {
        arrive: () => {
          throw new ClickHouseError('unavailable', 'refused');
        },
      },
      { stopFlushMs: 3_000 },
    );
    it.writer.tell({ type: 'store-events', rows: range(0, 10).map((offset) => eventRow(it.settlement, offset)) });
    await it.settle();
    const stopped = it.system.stop(it.writer);
    await it.pass(10_000);
    await stopped;
    const calls = it.calls.length;
    await it.pass(60_000);
    expect(it.calls).toHaveLength(calls);
    expect(it.settlement.outcomes.size).toBe(0);
  });

  it('states one stage for the sampled events of a block, linked, with at most 32 links', async () => {
    const stages: { links: number; traceId: string }[] = [];
    const stop = observe('stage-ended', ({ name, trace, links }) => {
      if (name === 'clickhouse insert') stages.push({ links: links?.length ?? 0, traceId: trace.traceId });
    });
    const it = setUpWriter({}, { maxRowsCount: 50 });
    const rows = range(0, 50).map((offset) => {
      const row = eventRow(it.settlement, offset);
      const trace = { traceId: String(offset).padStart(32, '0'), spanId: 'a'.repeat(16) };
      return { ...row, pending: { ...row.pending, trace: offset >= 10 ? trace : undefined } };
    });
    it.writer.tell({ type: 'store-events', rows });
    await it.settle();
    stop();
    expect(stages).toEqual([{ links: 32, traceId: '10'.padStart(32, '0') }]);
  });
});
