/**
 * 1. An actor
 *
 * An actor is state, a mailbox, and a function that is called with one message at a time. Nobody else touches the state, so nothing in it
 * needs a lock. In Troupe an actor is data: an `ActorSpec` says how to make the state and what a message does to it; the system gives it a
 * place in the tree and turns to work in.
 */
import { expect, test } from 'vitest';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { probe, settle } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

/** The protocol: everything this actor understands. Commands are imperative; whoever wants an answer says where it goes. */
type CounterMessage =
  { readonly type: 'count'; readonly visits: number } | { readonly type: 'report'; readonly replyTo: ActorRef<VisitsReported> };
interface VisitsReported {
  readonly type: 'visits-reported';
  readonly visits: number;
}

const counter: ActorSpec<number, CounterMessage> = {
  kind: 'counter',
  // The mailbox has a bound and the strategy is stated: neither has a default, because both are decisions.
  mailbox: { capacityCount: 100 },
  supervision: { directive: 'stop' },
  start: () => 0,
  receive(visits, message) {
    switch (message.type) {
      case 'count':
        return visits + message.visits; // the next state
      case 'report':
        message.replyTo.tell({ type: 'visits-reported', visits });
        return visits;
    }
  },
};

test('an actor handles its messages one after the other, in the order they were told', async () => {
  const { system } = open();
  const ref = system.spawn(counter, 'visits');
  const reader = probe<VisitsReported>();
  ref.tell({ type: 'count', visits: 2 });
  ref.tell({ type: 'report', replyTo: reader });
  ref.tell({ type: 'count', visits: 3 });
  ref.tell({ type: 'report', replyTo: reader });
  // Telling only puts a message into the mailbox. The actor works in a later turn of the event loop.
  expect(reader.messages).toEqual([]);
  await settle(system);
  expect(reader.messages).toEqual([
    { type: 'visits-reported', visits: 2 },
    { type: 'visits-reported', visits: 5 },
  ]);
});

test('a ref knows its protocol: what the actor does not understand does not compile', () => {
  const { system } = open();
  const ref = system.spawn(counter, 'visits');
  // @ts-expect-error -- no such command
  const misspelt = (): unknown => ref.tell({ type: 'cuont', visits: 1 });
  expect(misspelt).toBeTypeOf('function');
});

test('a handler may be asynchronous, and is still alone: the next message waits for its promise', async () => {
  const { system } = open();
  const steps: string[] = [];
  const slow: ActorSpec<null, string> = {
    kind: 'slow',
    mailbox: { capacityCount: 10 },
    supervision: { directive: 'stop' },
    start: () => null,
    async receive(state, message) {
      steps.push(`${message} begins`);
      await Promise.resolve();
      steps.push(`${message} ends`);
      return state;
    },
  };
  const ref = system.spawn(slow, 'slow');
  ref.tell('first');
  ref.tell('second');
  await settle(system);
  expect(steps).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
});
