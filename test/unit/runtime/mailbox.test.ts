import { expect, test } from 'vitest';
import { createMailboxPool, Mailbox } from '../../../src/runtime/mailbox.ts';
import { seededRandom } from '../../kit/clock.ts';

test.each([1, 2, 3])(
  'a mailbox is first in, first out, with each message’s own trace and time, however it grows and wraps (seed %i)',
  (seed) => {
    const random = seededRandom(seed);
    const mailbox = new Mailbox();
    const model: number[] = [];
    let next = 0;
    for (let step = 0; step < 5_000; step++) {
      if (random.below(20) < 11) {
        mailbox.push(next, { traceId: 't', spanId: String(next) }, next * 2);
        model.push(next++);
      } else if (model.length > 0) {
        const wanted = model.shift();
        expect(mailbox.oldestAtMs()).toBe(Number(wanted) * 2);
        expect(mailbox.take()).toBe(wanted);
        expect([mailbox.takenTrace?.spanId, mailbox.takenAtMs]).toEqual([String(wanted), Number(wanted) * 2]);
      }
      expect(mailbox.depth).toBe(model.length);
      if (model.length > 0) expect(mailbox.includes(model.at(-1))).toBe(true);
      expect(mailbox.includes(-1)).toBe(false);
    }
    expect(mailbox.depth).toBeGreaterThan(4);
  },
);

test('the pool gives small mailboxes again, and keeps neither large ones nor too many', () => {
  const pool = createMailboxPool(1);
  const small = pool.take();
  const large = pool.take();
  for (let i = 0; i < 100; i++) large.push(i, undefined, 0);
  while (large.depth > 0) large.take();
  pool.give(large);
  pool.give(small);
  pool.give(new Mailbox());
  expect(pool.take()).toBe(small);
  expect(pool.take()).not.toBe(large);
});
