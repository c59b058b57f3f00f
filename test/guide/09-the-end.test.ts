/**
 * 9. The end
 *
 * An orderly end: each actor refuses new messages, finishes the one in work, flushes, hands back what is left, and only then is gone; the
 * last started goes first. A crash of the process is none of that, and whatever is promised must hold after it too: `kill` is that crash,
 * for simulations.
 */
import { expect, test } from 'vitest';
import { gate, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

test('a shutdown finishes, flushes and hands back, in that order', async () => {
  const { system } = open();
  const story: string[] = [];
  const insert = gate();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      async receive(state, message) {
        await insert.promise;
        story.push(`${message} stored`);
        return state;
      },
      stopping: () => void story.push('flushed'),
      refused: (message, reason) => story.push(`${message} not handled: ${reason}`),
    }),
    'writer',
  );
  ref.tell('a');
  await settle(system);
  ref.tell('b');
  const ended = system.shutdown(10_000);
  expect(ref.tell('c')).toBe('stopped');
  insert.open();
  await ended;
  expect(story).toEqual(['a stored', 'flushed', 'b not handled: stopped']);
});

test('a kill does nothing of the kind', async () => {
  const { system } = open();
  const story: string[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: (state, message) => (story.push(`${message} stored`), state),
      stopping: () => void story.push('flushed'),
      refused: (message) => story.push(`${message} not handled`),
    }),
    'writer',
  );
  ref.tell('a');
  system.kill();
  await settle(system);
  expect(story).toEqual([]);
  expect(ref.tell('b')).toBe('stopped');
});
