import { describe, expect, it } from 'vitest';
import { offset } from '../../../src/domain/ids.ts';
import { deadLettered, dropped, STORED, type Outcome } from '../../../src/domain/outcome.ts';
import { createLedger, type Ledger, type LedgerOptions, type OffsetRange } from '../../../src/kafka/ledger.ts';
import { randomOf } from './manual-clock.ts';

const ledgerOf = (options: Partial<LedgerOptions> = {}): Ledger =>
  createLedger({ topic: 'events', partition: 3, generation: 7, watermark: 10, capacityCount: 16, ...options });
const settle = (ledger: Ledger, at: number, outcome: Outcome = STORED): void => ledger.settlement.settle(offset(at), outcome);
const track = (ledger: Ledger, ...offsets: number[]): string[] => offsets.map((at) => ledger.track(offset(at)));
function drained(ledger: Ledger): Record<string, number> {
  const counts: Record<string, number> = {};
  ledger.drainOutcomes((outcome, reason, count) => (counts[reason === undefined ? outcome : `${outcome}:${reason}`] = count));
  return counts;
}

describe('ledger', () => {
  it('I1: the watermark is one past the unbroken settled run', () => {
    const ledger = ledgerOf();
    track(ledger, 10, 11, 12, 13);
    settle(ledger, 11);
    settle(ledger, 12);
    expect([ledger.watermark(), ledger.pendingCount(), ledger.gapCount()]).toEqual([10, 2, 2]);
    settle(ledger, 10);
    expect([ledger.watermark(), ledger.pendingCount(), ledger.gapCount()]).toEqual([13, 1, 0]);
    settle(ledger, 13);
    expect([ledger.watermark(), ledger.pendingCount(), ledger.gapCount()]).toEqual([14, 0, 0]);
  });

  it('passes over offsets that the log does not have, between records and before the first', () => {
    const ledger = ledgerOf();
    track(ledger, 12, 15, 19);
    expect(ledger.watermark()).toBe(12);
    settle(ledger, 15);
    expect(ledger.watermark()).toBe(12);
    settle(ledger, 12);
    expect(ledger.watermark()).toBe(19);
    expect([10, 13, 15, 18, 19, 20].map((at) => ledger.isSettled(offset(at)))).toEqual([true, true, true, true, false, false]);
  });

  it('takes a gap of any length when nothing is pending', () => {
    const ledger = ledgerOf();
    expect(track(ledger, 10)).toEqual(['pending']);
    settle(ledger, 10);
    expect(track(ledger, 5_000_000_000)).toEqual(['pending']);
    settle(ledger, 5_000_000_000);
    expect(ledger.watermark()).toBe(5_000_000_001);
  });

  it('I5: refuses an offset that the oldest pending record holds too far back, and takes it once that is settled', () => {
    const ledger = ledgerOf({ capacityCount: 10 });
    expect(ledger.snapshot().capacityCount).toBe(16);
    track(ledger, ...Array.from({ length: 16 }, (_, n) => 10 + n));
    expect(track(ledger, 26)).toEqual(['full']);
    settle(ledger, 11);
    expect(track(ledger, 26)).toEqual(['full']);
    settle(ledger, 10);
    expect(track(ledger, 26)).toEqual(['pending']);
    expect(ledger.snapshot()).toMatchObject({ readCount: 17, pendingCount: 15, watermark: 12 });
  });

  it('answers stored for what an earlier generation stored, and counts it apart from the outcomes', () => {
    const ledger = ledgerOf();
    ledger.seedSettled([
      { from: 4, to: 11 },
      { from: 12, to: 13 },
      { from: 13, to: 14 },
      { from: 20, to: 30 },
    ]);
    expect([9, 10, 11, 12, 13, 14, 19, 29, 30].map((at) => ledger.isSettled(offset(at)))).toEqual([true, true, false, true, true, false, false, true, false]); // prettier-ignore
    expect(track(ledger, 10, 11, 12, 13, 14)).toEqual(['stored', 'pending', 'stored', 'stored', 'pending']);
    settle(ledger, 12);
    settle(ledger, 11);
    expect(ledger.watermark()).toBe(14);
    expect(ledger.snapshot()).toMatchObject({ readCount: 5, alreadyStoredCount: 3, pendingCount: 1, duplicateCount: 1 });
    expect(drained(ledger)).toEqual({ stored: 1 });
  });

  it('refuses seeds that overlap, go down, are empty, or come after the first record', () => {
    const refused: OffsetRange[][] = [
      [{ from: 5, to: 5 }],
      [{ from: 8, to: 9 }, { from: 5, to: 6 }], // prettier-ignore
      [{ from: 5, to: 9 }, { from: 8, to: 12 }], // prettier-ignore
    ];
    for (const ranges of refused) expect(() => ledgerOf().seedSettled(ranges)).toThrow(RangeError);
    const begun = ledgerOf();
    track(begun, 10);
    expect(() => begun.seedSettled([{ from: 11, to: 12 }])).toThrow(RangeError);
  });

  it('I4: counts an offset under its first outcome only; duplicates and strays apart', () => {
    const ledger = ledgerOf();
    track(ledger, 10, 11, 12);
    settle(ledger, 11, dropped('quota'));
    settle(ledger, 11, STORED);
    settle(ledger, 10, deadLettered('row_refused'));
    settle(ledger, 10, STORED);
    settle(ledger, 99, STORED);
    expect(drained(ledger)).toEqual({ 'dropped:quota': 1, 'dead-lettered:row_refused': 1 });
    expect(ledger.snapshot()).toMatchObject({ duplicateCount: 2, strayCount: 1, pendingCount: 1, watermark: 12 });
  });

  it('skips a record that was delivered before', () => {
    const ledger = ledgerOf();
    track(ledger, 10, 11);
    settle(ledger, 10);
    expect(track(ledger, 10, 11, 12)).toEqual(['known', 'known', 'pending']);
    expect(ledger.snapshot()).toMatchObject({ readCount: 3, knownCount: 2, pendingCount: 2 });
  });

  it('drains each outcome and reason once, and keeps the totals', () => {
    const ledger = ledgerOf();
    track(ledger, 10, 11, 12, 13, 14);
    settle(ledger, 10);
    settle(ledger, 11, { type: 'redirected', topic: 'overflow' });
    settle(ledger, 12, { type: 'redirected', topic: 'overflow' });
    expect(drained(ledger)).toEqual({ stored: 1, 'redirected:overflow': 2 });
    expect(drained(ledger)).toEqual({});
    settle(ledger, 13);
    expect(drained(ledger)).toEqual({ stored: 1 });
    expect(ledger.snapshot().outcomes).toEqual([
      { outcome: 'stored', reason: undefined, count: 2 },
      { outcome: 'redirected', reason: 'overflow', count: 2 },
    ]);
  });

  it('wakes its router at the first settle after each drain, not at every one', () => {
    let wakes = 0;
    const ledger = ledgerOf({ onSettled: () => wakes++ });
    track(ledger, 10, 11, 12);
    settle(ledger, 12);
    settle(ledger, 11);
    expect(wakes).toBe(1);
    drained(ledger);
    settle(ledger, 10);
    expect(wakes).toBe(2);
  });

  it('never changes after close: the settlement is inactive and late settles are counted as stale', () => {
    const ledger = ledgerOf();
    track(ledger, 10, 11);
    expect(ledger.settlement.active).toBe(true);
    ledger.close();
    settle(ledger, 10);
    expect(ledger.settlement.active).toBe(false);
    expect(ledger.snapshot()).toMatchObject({ watermark: 10, pendingCount: 2, staleCount: 1, active: false });
    expect(drained(ledger)).toEqual({});
  });

  it('refuses a watermark or capacity that cannot be one', () => {
    expect(() => ledgerOf({ watermark: -1 })).toThrow(RangeError);
    expect(() => ledgerOf({ watermark: 1.5 })).toThrow(RangeError);
    expect(() => ledgerOf({ capacityCount: 0 })).toThrow(RangeError);
  });
});

describe('ledger against a Map', () => {
  const OUTCOMES: readonly Outcome[] = [STORED, STORED, dropped('quota'), dropped('plugin'), deadLettered('row_refused')];

  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    'I1-I5: agrees with the naive book over random histories (seed %i)',
    (seed) => {
      const chance = randomOf(seed);
      const below = (limit: number): number => Math.floor(chance() * limit);
      const start = below(1_000);
      const ledger = ledgerOf({ watermark: start, capacityCount: 64 });
      const ranges: OffsetRange[] = [];
      for (let from = start + below(20); ranges.length < 6; from += 1 + below(40)) ranges.push({ from, to: (from += 1 + below(9)) });
      ledger.seedSettled(ranges);

      const book = new Map<number, 'pending' | 'settled'>();
      let next = start;
      let lastWatermark = start;
      const outcomes = new Map<string, number>();
      const naiveWatermark = (): number => Math.min(next, ...[...book].filter(([, state]) => state === 'pending').map(([at]) => at));

      for (let step = 0; step < 600; step++) {
        if (chance() < 0.45) {
          const at = next + (chance() < 0.3 ? below(12) : 0);
          const answer = ledger.track(offset(at));
          const pending = [...book.values()].includes('pending');
          if (pending && at - naiveWatermark() >= 64) {
            expect(answer).toBe('full');
          } else {
            const seeded = ranges.some(({ from, to }) => at >= from && at < to);
            expect(answer).toBe(seeded ? 'stored' : 'pending');
            book.set(at, seeded ? 'settled' : 'pending');
            next = at + 1;
          }
        } else {
          const known = [...book.keys()];
          const at = chance() < 0.8 ? (known[Math.max(0, known.length - 1 - below(70))] ?? start) : start + below(next - start + 3);
          const outcome = OUTCOMES[below(OUTCOMES.length)] ?? STORED;
          settle(ledger, at, outcome);
          if (book.get(at) === 'pending') {
            book.set(at, 'settled');
            const label =
              outcome.type === 'dropped' || outcome.type === 'dead-lettered' ? `${outcome.type}:${outcome.reason}` : outcome.type;
            outcomes.set(label, (outcomes.get(label) ?? 0) + 1);
          }
        }
        const pendingCount = [...book.values()].filter((state) => state === 'pending').length;
        const watermark = naiveWatermark();
        expect(ledger.watermark()).toBe(watermark);
        expect(ledger.pendingCount()).toBe(pendingCount);
        expect(ledger.gapCount()).toBe([...book].filter(([at, state]) => at >= watermark && state === 'settled').length);
        expect(watermark).toBeGreaterThanOrEqual(lastWatermark);
        lastWatermark = watermark;
        const { readCount, alreadyStoredCount, outcomes: totals } = ledger.snapshot();
        expect(readCount).toBe(book.size);
        expect(alreadyStoredCount + totals.reduce((sum, { count }) => sum + count, 0) + pendingCount).toBe(readCount);
      }
      expect(drained(ledger)).toEqual(Object.fromEntries(outcomes));
    },
  );
});
