/**
 * 5. Entities
 *
 * Ten million distinct_ids are not ten million actors: most are silent. An entity is an actor addressed by a key. Its first message starts
 * it, and when it has been idle it is passivated: flushed, ended, forgotten. To those who tell, every key is always there.
 */
import { expect, test } from 'vitest';
import { gate, pass, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

/** What a database would be. */
const stored = new Map<string, number>();

test('an entity comes with its first message, goes when idle, and comes back with what it had saved', async () => {
  stored.clear();
  const { system, clock } = open();
  const visitors = system.entities<string, number, 'visit'>({
    parent: 'visitors',
    kind: 'visitor',
    spec: (key) =>
      specOf({
        start: () => stored.get(key) ?? 0,
        receive: (visits) => visits + 1,
        stopping: (visits) => void stored.set(key, visits),
      }),
    idleMs: 60_000,
    sweepEveryMs: 10_000,
    activeLimitCount: 1_000, // in memory; beyond it the least recently told makes room
    inFlightLimitCount: 10, // starts and flushes at a time: what the database sees
    bufferCount: 1_000, // messages that may wait for starts and flushes
  });
  visitors.tell('ann@example.com', 'visit');
  visitors.tell('bob@example.com', 'visit');
  visitors.tell('ann@example.com', 'visit');
  await settle(system);
  expect(visitors.activeCount).toBe(2);
  // Keys are personal data. A path shows a hash and the number of the incarnation.
  expect(visitors.pathOf('ann@example.com')).toMatch(/^\/visitors\/[\w-]{8}\+1$/);

  await pass(system, clock, 80_000, 10_000);
  expect(visitors.activeCount).toBe(0);
  expect(stored).toEqual(
    new Map([
      ['ann@example.com', 2],
      ['bob@example.com', 1],
    ]),
  );

  visitors.tell('ann@example.com', 'visit');
  await settle(system);
  visitors.passivate('ann@example.com');
  expect(stored.get('ann@example.com')).toBe(3);
});

test('a message that comes while its entity is being flushed waits for the next life, which sees the flush', async () => {
  stored.clear();
  const { system } = open();
  const flushed = gate();
  const visitors = system.entities<string, number, 'visit'>({
    parent: 'visitors',
    kind: 'visitor',
    spec: (key) =>
      specOf({
        start: () => stored.get(key) ?? 0,
        receive: (visits) => visits + 1,
        async stopping(visits) {
          await flushed.promise;
          stored.set(key, visits);
        },
      }),
    idleMs: 60_000,
    sweepEveryMs: 10_000,
    activeLimitCount: 1_000,
    inFlightLimitCount: 10,
    bufferCount: 1_000,
  });
  visitors.tell('ann@example.com', 'visit');
  await settle(system);
  visitors.passivate('ann@example.com');
  expect(visitors.tell('ann@example.com', 'visit')).toBe('accepted');
  await settle(system);
  expect(stored.size).toBe(0);
  flushed.open();
  await settle(system);
  visitors.passivate('ann@example.com');
  await settle(system);
  expect(stored.get('ann@example.com')).toBe(2); // not 1: no update was lost between the lives
});
