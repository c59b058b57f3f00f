import { describe, expect, it } from 'vitest';
import { ClickHouseError } from '../../../src/clickhouse/port.ts';
import { seededRandom } from '../../kit/clock.ts';
import { eventRow, testSettlement, type TestSettlement } from '../../kit/event-rows.ts';
import type { ClickHouseFate } from '../../kit/fake-clickhouse.ts';
import { setUpWriter, type WriterSetUp } from './clickhouse-writer-kit.ts';

const SEEDS = process.env['SEED'] === undefined ? Array.from({ length: 60 }, (_, i) => i + 1) : [Number(process.env['SEED'])];
const PARTITIONS = 3;
const EVENTS_PER_PARTITION = 60;
const POISON_EVERY = 37;

const isPoison = (offset: number): boolean => offset % POISON_EVERY === POISON_EVERY - 1;

/** Everything that may go wrong with an insert, by chance; nothing goes wrong any more once `calm` is set. */
function troubled(seed: number): { readonly fate: ClickHouseFate; calm: boolean } {
  const random = seededRandom(seed);
  const wrong = (share: number): boolean => !trouble.calm && random.next() < share;
  const fail = (kind: 'unknown' | 'unavailable', code?: number): never => {
    throw new ClickHouseError(kind, 'as the seed has it', code);
  };
  /** Lets other things happen first: answers come in any order. */
  const dawdle = async (): Promise<void> => {
    for (let turns = random.below(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  };
  const trouble = {
    calm: false,
    fate: {
      async arrive() {
        await dawdle();
        if (wrong(0.1)) fail('unavailable');
        if (wrong(0.05)) fail('unknown'); // lost on the way
      },
      refuses: (row) => (row['event'] === 'poison' ? 'refused' : undefined),
      async part() {
        await dawdle();
        if (wrong(0.06)) fail('unknown', 159);
        if (wrong(0.04)) fail('unavailable', 241); // out of memory between two parts of one block
        return wrong(0.05) ? 'lost' : undefined;
      },
      async answer() {
        await dawdle();
        if (wrong(0.08)) fail('unknown');
      },
      abandon: () => (wrong(0.06) ? dawdle().then(() => fail('unknown')) : undefined), // our deadline passes while the insert goes on
      async question() {
        await dawdle();
        if (wrong(0.1)) fail('unavailable');
      },
    } satisfies ClickHouseFate,
  };
  return trouble;
}

function buriedOf(it: WriterSetUp, settlement: TestSettlement): number[] {
  const records = it.deadLetters.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []));
  return records.filter((record) => record.settlement === settlement).map((record) => Number(record.offset));
}

function check(it: WriterSetUp, settlement: TestSettlement): void {
  const rows = it.server.events().filter((row) => row['_partition'] === settlement.partition);
  const offsets = rows.map((row) => Number(row['_offset']));
  expect(new Set(offsets).size, 'a stored event is one visible row').toBe(offsets.length);
  expect(settlement.twice, 'each record has one outcome').toEqual([]);
  for (const [offset, outcome] of settlement.outcomes) {
    expect(outcome.type, 'no two events here are equal, so none can be a duplicate').toBe('stored');
    expect(offsets, `offset ${offset} was settled as stored`).toContain(offset);
  }
  const byDistinctId = Map.groupBy(rows, (row) => row['distinct_id']);
  for (const [, own] of byDistinctId) {
    const order = own.map((row) => Number(row['_offset']));
    expect(order, 'events of a distinct_id are stored in order, over all table partitions').toEqual([...order].sort((a, b) => a - b));
  }
}

describe('clickhouse-writer under any trouble (W1-W9), replay one with SEED=n', () => {
  it.each(SEEDS)('seed %i: every row once, in order, and each record settled once', async (seed) => {
    const random = seededRandom(seed * 7_919);
    const trouble = troubled(seed);
    const it = setUpWriter(trouble.fate, { maxRowsCount: 1 + random.below(30) });
    const settlements = Array.from({ length: PARTITIONS }, (_, partition) => testSettlement('events', partition));
    const next = settlements.map(() => 0);
    for (let left = PARTITIONS * EVENTS_PER_PARTITION; left > 0;) {
      const partition = random.below(PARTITIONS);
      const settlement = settlements[partition];
      const from = next[partition] ?? 0;
      const count = Math.min(1 + random.below(12), EVENTS_PER_PARTITION - from);
      if (settlement === undefined || count === 0) continue;
      next[partition] = from + count;
      left -= count;
      const rows = Array.from({ length: count }, (_, i) =>
        eventRow(settlement, from + i, {
          event: isPoison(from + i) ? 'poison' : 'fine',
          timestampMs: Date.UTC(2026, random.below(3), 5) + from + i,
        }),
      );
      it.writer.tell({ type: 'store-events', rows });
      if (random.next() < 0.3) await it.pass(1_000 * (1 + random.below(3)));
    }
    const lost = random.next() < 0.5 ? settlements[0] : undefined;
    if (lost !== undefined) lost.active = false;
    trouble.calm = true;
    const due = settlements.filter((settlement) => settlement !== lost);
    const isOver = (): boolean =>
      due.every((settlement) => settlement.outcomes.size + buriedOf(it, settlement).length >= EVENTS_PER_PARTITION) &&
      it.server.running.size === 0;
    for (let seconds = 0; !isOver() && seconds < 2_000; seconds++) await it.pass(1_000);

    for (const settlement of settlements) check(it, settlement);
    for (const settlement of due) {
      const offsets = Array.from({ length: EVENTS_PER_PARTITION }, (_, offset) => offset);
      expect(buriedOf(it, settlement)).toEqual(offsets.filter(isPoison));
      expect([...settlement.outcomes.keys()].sort((a, b) => a - b)).toEqual(offsets.filter((offset) => !isPoison(offset)));
    }
    expect(it.escalated).toEqual([]);
  });
});
