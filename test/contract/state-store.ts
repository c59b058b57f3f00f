import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AllowanceUnused, StateStore } from '../../src/redis/port.ts';
import { seededRandom } from '../kit/clock.ts';

export interface StateStoreSubject {
  readonly store: StateStore;
  /** Lets time pass for the store: a manual clock jumps, a real server is waited for. */
  readonly pass: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What any StateStore does, whoever keeps it. */
export function describeStateStore(name: string, make: () => Promise<StateStoreSubject>): void {
  describe(`state store: ${name}`, () => {
    let subject: StateStoreSubject;
    let run = 0;
    const key = (): string => `troupe-test:${process.pid}:${run++}`;
    beforeAll(async () => {
      subject = await make();
    });
    afterAll(() => subject.close());

    it('answers a ping', async () => {
      await expect(subject.store.ping()).resolves.toBeUndefined();
    });

    it('keeps a value until its ttl is over', async () => {
      const k = key();
      await subject.store.set(k, 'wert ünï', 300);
      expect(await subject.store.get(k)).toBe('wert ünï');
      await subject.pass(400);
      expect(await subject.store.get(k)).toBeUndefined();
    });

    it('sets what is absent, once, and says which', async () => {
      const [a, b] = [key(), key()];
      await subject.store.set(b, 'taken', 10_000);
      expect(
        await subject.store.setIfAbsent([
          { key: a, ttlMs: 10_000 },
          { key: b, ttlMs: 10_000 },
          { key: a, ttlMs: 10_000 },
        ]),
      ).toEqual([true, false, false]);
      expect(await subject.store.setIfAbsent([])).toEqual([]);
    });

    it('lets a key be set again after its ttl', async () => {
      const k = key();
      expect(await subject.store.setIfAbsent([{ key: k, ttlMs: 200 }])).toEqual([true]);
      expect(await subject.store.setIfAbsent([{ key: k, ttlMs: 200 }])).toEqual([false]);
      await subject.pass(300);
      expect(await subject.store.setIfAbsent([{ key: k, ttlMs: 200 }])).toEqual([true]);
    });

    it('deletes keys, also those that are not there', async () => {
      const k = key();
      await subject.store.set(k, 'x', 10_000);
      await subject.store.delete([k, key()]);
      await subject.store.delete([]);
      expect(await subject.store.get(k)).toBeUndefined();
    });

    it('ranks members by their greatest score', async () => {
      const k = key();
      await subject.store.rankAdd([
        { key: k, member: 'a', score: 5, ttlMs: 10_000 },
        { key: k, member: 'b', score: 3, ttlMs: 10_000 },
        { key: k, member: 'a', score: 2, ttlMs: 10_000 },
      ]);
      await subject.store.rankAdd([{ key: k, member: 'b', score: 9, ttlMs: 10_000 }]);
      expect(await subject.store.rankFrom(k, 0)).toEqual([
        { member: 'a', score: 5 },
        { member: 'b', score: 9 },
      ]);
      expect(await subject.store.rankFrom(k, 6)).toEqual([{ member: 'b', score: 9 }]);
      expect(await subject.store.rankFrom(key(), 0)).toEqual([]);
    });

    it('leaves out the members that are no longer kept, whoever added them', async () => {
      const k = key();
      const rank = (member: string, score: number, keepFrom?: number) =>
        subject.store.rankAdd([{ key: k, member, score, ttlMs: 10_000, ...(keepFrom === undefined ? {} : { keepFrom }) }]);
      await rank('old', 1);
      await rank('edge', 5);
      await rank('new', 9, 5);
      expect(await subject.store.rankFrom(k, 0)).toEqual([
        { member: 'edge', score: 5 },
        { member: 'new', score: 9 },
      ]);
    });

    it('forgets a ranking after its ttl', async () => {
      const k = key();
      await subject.store.rankAdd([{ key: k, member: 'a', score: 1, ttlMs: 200 }]);
      await subject.pass(300);
      expect(await subject.store.rankFrom(k, 0)).toEqual([]);
    });

    it('counts up, with a ttl from the first use on', async () => {
      const k = key();
      expect(await subject.store.increment(k, 2, 300)).toBe(2);
      expect(await subject.store.increment(k, 3, 300)).toBe(5);
      await subject.pass(400);
      expect(await subject.store.increment(k, 1, 300)).toBe(1);
    });

    it('keeps the fields of a hash until its ttl is over; making it anew drops the others', async () => {
      const k = key();
      expect(await subject.store.fields(k)).toEqual(new Map());
      await subject.store.setFields(k, { enabled: 'true', topic: 'ünï' }, 10_000);
      expect(await subject.store.fields(k)).toEqual(new Map([['enabled', 'true'], ['topic', 'ünï']])); // prettier-ignore
      await subject.store.setFields(k, { topic: '' }, 200);
      expect(await subject.store.fields(k)).toEqual(new Map([['topic', '']]));
      await subject.pass(300);
      expect(await subject.store.fields(k)).toEqual(new Map());
    });

    describe('allowances', () => {
      const take = async (k: string, count: number) => {
        const [taken] = await subject.store.takeAllowances([{ key: k, count }]);
        if (taken === undefined) throw new Error('no answer');
        return taken;
      };

      it('gives what is there and no more; what has no counter has no limit', async () => {
        const [a, free] = [key(), key()];
        await subject.store.set(a, '5', 60_000);
        const [first, none, rest] = await subject.store.takeAllowances([{ key: a, count: 3 }, { key: free, count: 7 }, { key: a, count: 9 }]); // prettier-ignore
        expect(first).toMatchObject({ granted: 3, remaining: 2, isUnreadable: false });
        expect(none).toEqual({ granted: 7, remaining: undefined, endsMs: undefined, isUnreadable: false });
        expect(rest).toMatchObject({ granted: 2, remaining: 0 });
        expect(await take(a, 1)).toMatchObject({ granted: 0, remaining: 0 });
        expect(await subject.store.get(free)).toBeUndefined();
        expect(await subject.store.takeAllowances([])).toEqual([]);
      });

      it('a counter keeps its time to live, and is no limit after it', async () => {
        const k = key();
        await subject.store.set(k, '5', 400);
        const [before, after] = [await take(k, 2), await take(k, 3)];
        expect(Math.abs((before.endsMs ?? 0) - (after.endsMs ?? 0))).toBeLessThan(100);
        await subject.pass(500);
        expect(await take(k, 9)).toMatchObject({ granted: 9, remaining: undefined });
      });

      it.each(['', 'ten', '1.5', '1e3', '-0x1'])('%j is no whole number: it limits nothing, and stays', async (text) => {
        const k = key();
        await subject.store.set(k, text, 60_000);
        expect(await take(k, 4)).toEqual({ granted: 4, remaining: undefined, endsMs: undefined, isUnreadable: true });
        expect(await subject.store.get(k)).toBe(text);
      });

      it('a set or a hash is no counter either', async () => {
        const [ranks, hash] = [key(), key()];
        await subject.store.rankAdd([{ key: ranks, member: 'a', score: 1, ttlMs: 60_000 }]);
        await subject.store.setFields(hash, { a: '1' }, 60_000);
        expect([await take(ranks, 1), await take(hash, 1)]).toMatchObject([{ granted: 1, isUnreadable: true }, { granted: 1, isUnreadable: true }]); // prettier-ignore
      });

      it('below zero is nothing left', async () => {
        const k = key();
        await subject.store.set(k, '-4', 60_000);
        expect(await take(k, 1)).toMatchObject({ granted: 0, remaining: 0, isUnreadable: false });
      });

      it('what is returned can be taken again', async () => {
        const k = key();
        await subject.store.set(k, '5', 60_000);
        const { endsMs } = await take(k, 4);
        await subject.store.returnAllowances([{ key: k, count: 3, endsMs }]);
        expect(await take(k, 9)).toMatchObject({ granted: 4, remaining: 0 });
        await subject.store.returnAllowances([]);
      });

      it('what is returned late makes no counter, and adds nothing to the one of another period', async () => {
        const k = key();
        await subject.store.set(k, '5', 300);
        const { endsMs } = await take(k, 4);
        await subject.pass(400);
        const late: AllowanceUnused = { key: k, count: 4, endsMs };
        await subject.store.returnAllowances([late]);
        expect(await subject.store.get(k)).toBeUndefined();
        await subject.store.set(k, '10', 60_000);
        await subject.store.returnAllowances([late]);
        expect(await subject.store.get(k)).toBe('10');
      });

      it('200 clients at once never overdraw, whatever they give back, and the account is right to the last event', async () => {
        const random = seededRandom(7);
        for (let round = 0; round < 5; round++) {
          const k = key();
          const budget = 1 + random.below(2_000);
          await subject.store.set(k, String(budget), 60_000);
          let used = 0;
          const client = async (): Promise<void> => {
            const count = 1 + random.below(40);
            const { granted, remaining, endsMs } = await take(k, count);
            expect(granted).toBeLessThanOrEqual(count);
            expect(remaining).toBeGreaterThanOrEqual(0);
            const returned = granted > 0 && random.next() < 0.3 ? 1 + random.below(granted) : 0;
            if (returned > 0) await subject.store.returnAllowances([{ key: k, count: returned, endsMs }]);
            used += granted - returned;
          };
          await Promise.all(Array.from({ length: 200 }, client));
          expect(used).toBeLessThanOrEqual(budget);
          expect(Number(await subject.store.get(k))).toBe(budget - used);
        }
      });
    });

    describe('rates', () => {
      const SLOW_US = 3_600_000_000; // one an hour: nothing comes back while a test runs
      const ask = async (k: string, count: number, burstCount: number, { intervalUs = SLOW_US, wholly = false } = {}) => {
        const [taken] = await subject.store.takeRates([{ key: k, count, intervalUs, burstCount }], wholly);
        if (taken === undefined) throw new Error('no answer');
        return taken;
      };

      it('grants the burst, in as many parts as are asked for, and says how long the next one takes', async () => {
        const k = key();
        expect(await ask(k, 2, 5)).toEqual({ granted: 2, waitMs: 0 });
        const over = await ask(k, 9, 5);
        expect(over.granted).toBe(3);
        expect(over.waitMs).toBeGreaterThan(3_599_000);
        expect(over.waitMs).toBeLessThanOrEqual(3_600_000);
        expect(await ask(k, 1, 5)).toMatchObject({ granted: 0 });
        expect(await subject.store.takeRates([], false)).toEqual([]);
      });

      it('time pays for events, never for more than the burst', async () => {
        const k = key();
        const fast = { intervalUs: 50_000 };
        expect(await ask(k, 10, 4, fast)).toMatchObject({ granted: 4 });
        await subject.pass(120);
        const { granted } = await ask(k, 10, 4, fast);
        expect(granted).toBeGreaterThanOrEqual(2);
        await subject.pass(600);
        expect(await ask(k, 10, 4, fast)).toMatchObject({ granted: 4 });
      });

      it('wholly: all or none, and none of any when one refuses', async () => {
        const [a, b] = [key(), key()];
        expect(await ask(a, 3, 5, { wholly: true })).toEqual({ granted: 3, waitMs: 0 });
        const rate = { intervalUs: SLOW_US, burstCount: 5 };
        const both = await subject.store.takeRates([{ key: a, count: 3, ...rate }, { key: b, count: 5, ...rate }], true); // prettier-ignore
        expect(both.map(({ granted }) => granted)).toEqual([0, 0]);
        expect(both[0]?.waitMs).toBeGreaterThan(3_599_000);
        expect(await ask(b, 5, 5, { wholly: true })).toMatchObject({ granted: 5 });
        expect(await ask(a, 2, 5, { wholly: true })).toMatchObject({ granted: 2 });
      });

      it('wholly: a bunch larger than the burst passes when nothing is owed, and owes the rest', async () => {
        const k = key();
        expect(await ask(k, 9, 5, { wholly: true })).toMatchObject({ granted: 9 });
        expect(await ask(k, 1, 5)).toMatchObject({ granted: 0 });
      });

      it('what is no rate under the key is forgotten', async () => {
        const k = key();
        await subject.store.setFields(k, { a: '1' }, 60_000);
        expect(await ask(k, 9, 5)).toMatchObject({ granted: 5 });
        expect(await ask(k, 1, 5)).toMatchObject({ granted: 0 });
      });

      it('G1: 200 clients at once are granted the burst together, to the event', async () => {
        const random = seededRandom(11);
        for (let round = 0; round < 5; round++) {
          const k = key();
          const burst = 1 + random.below(1_000);
          const granted = await Promise.all(Array.from({ length: 200 }, async () => (await ask(k, 1 + random.below(20), burst)).granted));
          expect(granted.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(burst);
          expect((await ask(k, 5_000, burst)).granted).toBe(burst - granted.reduce((sum, one) => sum + one, 0));
        }
      });
    });
  });
}
