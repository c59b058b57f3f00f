import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KafkajsGroup } from '../../../src/kafka/kafkajs-group.ts';
import type { Membership } from '../../../src/kafka/membership.ts';
import { createTenure, type Tenure } from '../../../src/kafka/tenure.ts';
import { observe } from '../../../src/observe/facts.ts';
import { createManualClock, settle, type ManualClock } from './manual-clock.ts';

const COMMITTED = new Map([['t/0', 42]]);

/** What the group knows of us, as far as the tenure sees it. */
function fakeMembership(fetchCommitted: () => Promise<ReadonlyMap<string, number> | undefined>) {
  const ended = Promise.withResolvers<Error>();
  let over = false;
  let released = false;
  const end = (reason: Error): void => {
    over = true;
    ended.resolve(reason);
  };
  const membership: Membership = {
    generation: 5,
    memberId: 'm',
    partitions: [
      { topic: 't', partition: 0 },
      { topic: 't', partition: 1 },
    ],
    get over() {
      return over;
    },
    get released() {
      return released;
    },
    ended: ended.promise,
    owns: () => true,
    end,
    release() {
      released = true;
      end(new Error('released'));
    },
    fetchCommitted,
    commit: () => Promise.resolve('committed'),
    sinceConfirmedMs: () => 0,
  };
  return membership;
}

describe('a tenure', () => {
  let clock: ManualClock;
  let calls: string[];
  let crashes: Error[];
  let warnings: string[];
  let membership: Membership;
  let endOfListening: () => void;
  const handled = { assigned: (): Promise<void> => Promise.resolve(), revoked: (): Promise<void> => Promise.resolve() };

  beforeEach(() => {
    clock = createManualClock();
    calls = [];
    crashes = [];
    warnings = [];
    endOfListening = observe('log-written', ({ level, message }) => void warnings.push(`${level} ${message}`));
  });
  afterEach(() => endOfListening());

  function begin(
    handlers: Partial<typeof handled> = {},
    fetchCommitted: () => Promise<ReadonlyMap<string, number> | undefined> = () => Promise.resolve(COMMITTED),
  ): Tenure {
    membership = fakeMembership(fetchCommitted);
    const { assigned, revoked } = { ...handled, ...handlers };
    return createTenure({
      membership,
      group: { groupId: 'g' } as KafkajsGroup,
      handlers: {
        assigned(assignment) {
          calls.push(`assigned ${assignment.generation} ${assignment.partitions.map(({ committed }) => committed ?? 'nothing').join()}`);
          return assigned();
        },
        revoked(generation) {
          calls.push(`revoked ${generation} ${membership.released ? 'released' : 'held'}`);
          return revoked();
        },
      },
      clock,
      revokeTimeoutMs: 1_000,
      crash: (error) => void crashes.push(error),
    });
  }

  it('is announced with what the group has committed; batches may come when the takeover has ended', async () => {
    const takeover = Promise.withResolvers<void>();
    const tenure = begin({ assigned: () => takeover.promise });
    await settle();
    expect([calls, tenure.taken]).toEqual([['assigned 5 42,nothing'], false]);
    takeover.resolve();
    await tenure.ready;
    expect(tenure.taken).toBe(true);
  });

  it('C1: is revoked once, however many ask; nothing is committed after it', async () => {
    const tenure = begin();
    await tenure.ready;
    await Promise.all([tenure.revoke(new Error('a rebalance')), tenure.revoke(new Error('a stop'))]);
    expect(calls).toEqual(['assigned 5 42,nothing', 'revoked 5 held']);
    expect(membership.released).toBe(true);
  });

  it('C1: that was never announced is not revoked', async () => {
    const fetch = Promise.withResolvers<ReadonlyMap<string, number> | undefined>();
    const tenure = begin({}, () => fetch.promise);
    await tenure.revoke(new Error('a rebalance'));
    fetch.resolve(COMMITTED);
    await tenure.ready;
    expect([calls, membership.released, tenure.taken]).toEqual([[], true, false]);
  });

  it('C4: is revoked by itself as soon as its generation is over', async () => {
    const tenure = begin();
    await tenure.ready;
    membership.end(new Error('the coordinator says so'));
    await settle();
    expect(calls.at(-1)).toBe('revoked 5 held');
  });

  it('C5: whose handler does not give it up in time is ended without it, and that is said', async () => {
    const tenure = begin({ revoked: () => new Promise(() => undefined) });
    await tenure.ready;
    const revoked = tenure.revoke(new Error('a rebalance'));
    await clock.advance(999);
    expect(membership.released).toBe(false);
    await clock.advance(1);
    await revoked;
    expect([membership.released, warnings]).toEqual([true, ['warn A revoked generation was not given up in time.']]);
  });

  it('whose handler fails is a bug that ends the consumer, but not when its generation was over', async () => {
    const failing = begin({ assigned: () => Promise.reject(new Error('a bug')) });
    await failing.ready;
    expect(crashes.map(({ message }) => message)).toEqual(['a bug']);

    const takeover = Promise.withResolvers<void>();
    const late = begin({ assigned: () => takeover.promise });
    await settle();
    membership.end(new Error('a rebalance'));
    takeover.reject(new Error('given up'));
    await late.ready;
    expect(crashes).toHaveLength(1);
    expect(warnings).toEqual(['debug A handler ended with an error after its generation.']);
  });

  it('whose revoke fails is a bug too, and is released all the same', async () => {
    const tenure = begin({ revoked: () => Promise.reject(new Error('a bug')) });
    await tenure.ready;
    await tenure.revoke(new Error('a rebalance'));
    expect([crashes.map(({ message }) => message), membership.released]).toEqual([['a bug'], true]);
  });
});
