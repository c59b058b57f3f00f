/**
 * 6. Asking and watching
 *
 * Actors among themselves tell, and put `replyTo` into the message. From outside, `ask` makes a promise of that: with a deadline, because
 * every wait has one, and with an early end when it is clear that no reply will come.
 */
import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { pass, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

interface Lookup {
  readonly type: 'lookup';
  readonly name: string;
  readonly replyTo: ActorRef<string>;
}
const phoneBook = specOf<ReadonlyMap<string, string>, Lookup>({
  supervision: { directive: 'resume' },
  start: () => new Map([['ann', '555-1']]),
  receive(book, { name, replyTo }) {
    if (name === '') throw new Error('no name');
    const number = book.get(name);
    if (number !== undefined) replyTo.tell(number);
    return book; // an unknown name gets no reply: a bug that the deadline shows
  },
});

test('an ask ends with the reply, at its deadline, or at once when the actor failed on it or is gone', async () => {
  const { system, clock } = open();
  const ref = system.spawn(phoneBook, 'phone-book');
  const ask = (name: string): Promise<string> => system.ask<Lookup, string>(ref, (replyTo) => ({ type: 'lookup', name, replyTo }), 500);

  expect(await ask('ann')).toBe('555-1');

  const unknown = expect(ask('bob')).rejects.toMatchObject({ code: 'deadline' });
  await settle(system);
  await pass(system, clock, 500);
  await unknown;

  await expect(ask('')).rejects.toMatchObject({ code: 'failed' });
  await system.stop(ref);
  await expect(ask('ann')).rejects.toMatchObject({ code: 'stopped' });
});

test('an actor that watches another is told of its end by a message of its own choice, once', async () => {
  const { system } = open();
  const ref = system.spawn(phoneBook, 'phone-book');
  const story: string[] = [];
  const watcher = system.spawn<null, 'self:phone-book-ended'>(
    specOf({
      start(ctx) {
        ctx.watch(ref, 'self:phone-book-ended');
        return null;
      },
      receive: (state, message) => (story.push(message), state),
    }),
    'watcher',
  );
  await settle(system);
  await system.stop(ref);
  await settle(system);
  expect(story).toEqual(['self:phone-book-ended']);
  expect(watcher.path).toBe('/watcher');
});
