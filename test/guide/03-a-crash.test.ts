/**
 * 3. A crash
 *
 * When `receive` throws, the state it was working on cannot be trusted, but the messages that wait have done nothing wrong. So the actor
 * gets a new state after a pause that grows, and goes on with its mailbox. The message that failed is handed to `failed`, so that what it
 * carried is settled with a reason and not forgotten.
 */
import { expect, test } from 'vitest';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { pass, settle } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

const story: string[] = [];
const parser: ActorSpec<{ readonly life: number }, string> = {
  kind: 'parser',
  mailbox: { capacityCount: 100 },
  supervision: {
    directive: 'restart',
    budget: { count: 2, periodMs: 60_000 },
    backoff: { minMs: 100, maxMs: 1_000, jitterRatio: 0, quietMs: 60_000 },
    whenSpent: { quarantineMs: 30_000 },
  },
  start(ctx) {
    story.push(`life ${String(ctx.incarnation)} begins`);
    return { life: ctx.incarnation };
  },
  receive(state, message) {
    if (message.startsWith('poison')) throw new SyntaxError(message);
    story.push(`${message} parsed`);
    return state;
  },
  failed: (_state, message) => story.push(`${message} goes to the dead-letter topic`),
  refused: (message, reason) => story.push(`${message} is set aside: ${reason}`),
  stopping: (state, reason) => void story.push(`life ${String(state.life)} ends: ${reason}`),
};

test('a crash costs the message that caused it, and a pause', async () => {
  story.length = 0;
  const { system, clock } = open();
  const ref = system.spawn(parser, 'parser');
  for (const message of ['a', 'poison 1', 'b']) ref.tell(message);
  await settle(system);
  // b waits in the mailbox while the actor backs off
  expect(story).toEqual(['life 1 begins', 'a parsed', 'poison 1 goes to the dead-letter topic', 'life 1 ends: restarted']);
  await pass(system, clock, 100);
  expect(story.slice(4)).toEqual(['life 2 begins', 'b parsed']);
});

test('an actor that keeps crashing is put into quarantine: its messages get a stated end, until it may try again', async () => {
  story.length = 0;
  const { system, clock } = open();
  const ref = system.spawn(parser, 'parser');
  for (let i = 1; i <= 3; i++) {
    ref.tell(`poison ${String(i)}`);
    await settle(system);
    await pass(system, clock, 200);
  }
  story.length = 0;
  expect(ref.tell('c')).toBe('accepted');
  await settle(system);
  expect(story).toEqual(['c is set aside: quarantined']);
  await pass(system, clock, 30_000);
  ref.tell('d');
  await settle(system);
  expect(story.slice(1)).toEqual(['life 4 begins', 'd parsed']);
});
