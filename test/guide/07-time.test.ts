/**
 * 7. Time
 *
 * Actors take time from their context, never from the machine. Under test it stands still until the test moves it, so a minute of backoff
 * takes no time, and a race is decided by the test and not by the machine. A timer is a message to oneself, and dies with its life.
 */
import { expect, test } from 'vitest';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { pass, settle } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

type BatcherMessage = { readonly type: 'row'; readonly row: string } | { readonly type: 'self:flush' };
interface BatcherState {
  readonly rows: readonly string[];
}

/** Collects rows and writes them out half a second after the first one came. */
function batcher(written: string[][]): ActorSpec<BatcherState, BatcherMessage> {
  return {
    kind: 'batcher',
    mailbox: { capacityCount: 100 },
    supervision: { directive: 'stop' },
    start: () => ({ rows: [] }),
    receive(state, message, ctx) {
      switch (message.type) {
        case 'row':
          if (state.rows.length === 0) ctx.after(500, { type: 'self:flush' });
          return { rows: [...state.rows, message.row] };
        case 'self:flush':
          written.push([...state.rows]);
          return { rows: [] };
      }
    },
    // the last rows are not lost when the actor is stopped before its timer
    stopping: (state) => void (state.rows.length > 0 && written.push([...state.rows])),
  };
}

test('rows that come within half a second are written together', async () => {
  const { system, clock } = open();
  const written: string[][] = [];
  const ref = system.spawn(batcher(written), 'batcher');
  ref.tell({ type: 'row', row: 'a' });
  await settle(system);
  await pass(system, clock, 499);
  ref.tell({ type: 'row', row: 'b' });
  await settle(system);
  expect(written).toEqual([]);
  await pass(system, clock, 1);
  expect(written).toEqual([['a', 'b']]);
});

test('a stop flushes what the timer would have flushed, and takes the timer with it', async () => {
  const { system, clock } = open();
  const written: string[][] = [];
  const ref = system.spawn(batcher(written), 'batcher');
  ref.tell({ type: 'row', row: 'a' });
  await settle(system);
  await system.stop(ref);
  expect(written).toEqual([['a']]);
  await pass(system, clock, 10_000);
  expect(written).toEqual([['a']]);
});
