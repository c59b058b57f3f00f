import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StateStore } from '../../src/redis/port.ts';

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
  });
}
