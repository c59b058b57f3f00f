import { describe, expect, it } from 'vitest';
import { PostgresError } from '../../../src/postgres/port.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import {
  DISTINCT_ID_STRATEGY,
  PLUGIN_STRATEGY,
  ROUTER_STRATEGY,
  TEAM_STRATEGY,
  TREE_BACKOFF,
  TREE_BUDGET,
  WRITER_STRATEGY,
} from '../../../supervisors/budgets.ts';
import { startTroupe } from '../../../supervisors/root.ts';
import { gate } from '../../kit/actors.ts';
import { handConsumer, TREE_SETTINGS } from '../../kit/troupe.ts';
import { only, records, troupesOf } from './kit.ts';

const open = troupesOf();
const misconfigured = (): PostgresError => new PostgresError('misconfigured', 'no such table');
/** Longer than any backoff of the tree. */
const REPLANTED_MS = TREE_BACKOFF.maxMs * (1 + TREE_BACKOFF.jitterRatio) + 100;

/** Persons cannot be stored while `broken`: the person writer crashes on the first event. */
function breakable() {
  const pg = { broken: true };
  return {
    pg,
    persons: {
      arrive() {
        if (pg.broken) throw misconfigured();
      },
    },
  };
}

describe('a writer that crashes', () => {
  it('T1: fells the tree; the next one, with a consumer of its own, starts from the committed watermark', async () => {
    const { pg, persons } = breakable();
    const { start, consumer, consumers, pass, offsets, account, fatal } = open({ persons });
    const troupe = await start();
    const first = troupe.tree();
    await consumer().assign(1, only(0, 0));
    void consumer().hand(records(0, 5));
    await pass(50);
    expect(consumer(0).control.stops).toBe(1);
    expect(consumers).toHaveLength(1); // not before its backoff
    pg.broken = false;
    await pass(1_000);
    expect(consumers).toHaveLength(2);
    expect(troupe.tree()).not.toBe(first);
    await consumer().assign(2, only(0, 0));
    void consumer().hand(records(0, 5), { generation: 2 });
    await pass(500);
    expect(offsets()).toEqual([0, 1, 2, 3, 4]);
    expect(account()).toMatchObject({ read: 10, abandoned: 5, inFlight: 0 });
    expect([consumer(0).commits, consumer(1).commits.at(-1)?.watermarks[0]?.offset, fatal]).toEqual([[], 5, []]);
  });

  it('a router does the same', async () => {
    const parts = open();
    let broken = true;
    const { teams } = parts.deps;
    Object.assign(parts.deps, {
      teams: { ...teams, byToken: (tokens: readonly string[]) => (broken ? Promise.reject(misconfigured()) : teams.byToken(tokens)) },
    });
    await parts.start();
    await parts.consumer().assign(1, only(0));
    const accepted = parts.consumer().hand(records(0, 3));
    expect(await parts.isDone(accepted, 50)).toBe(true); // intake I4
    broken = false;
    await parts.pass(1_000);
    await parts.consumer().assign(2, only(0));
    void parts.consumer().hand(records(0, 3), { generation: 2 });
    await parts.pass(500);
    expect([parts.consumers.length, parts.offsets()]).toEqual([2, [0, 1, 2]]);
  });

  it('so does a consumer that cannot go on; the one of a felled tree is not heard any more', async () => {
    const { start, consumer, consumers, pass } = open();
    await start();
    consumer().crash(new Error('fenced'));
    await pass(1_000);
    expect(consumers).toHaveLength(2);
    consumer(0).crash(new Error('again'));
    await pass(REPLANTED_MS, 100);
    expect(consumers).toHaveLength(2);
  });

  it('a consumer that cannot leave its group does not stand in the way', async () => {
    const { start, consumer, consumers, pass } = open();
    await start();
    consumer().control.stopError = new Error('no coordinator');
    consumer().crash(new Error('fenced'));
    await pass(1_000);
    expect(consumers).toHaveLength(2);
  });

  it('a crash stays where it is in a distinct_id: the tree stands', async () => {
    const { start, consumer, consumers, pass, troupe } = open();
    await start();
    const before = troupe().tree();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3, { outer: { data: '{' } }));
    await pass(500);
    expect([consumers.length, troupe().tree() === before]).toEqual([1, true]);
  });
});

describe('the budgets', () => {
  it('T3: crash after crash, the tree is built anew as often as the budget says; then the process is told to end, once', async () => {
    const { persons } = breakable();
    const { start, consumer, consumers, pass, fatal, clock } = open({ persons });
    await start();
    let generation = 0;
    while (fatal.length === 0 && generation < 20) {
      await consumer().assign(++generation, only(0));
      void consumer().hand(records(0, 1), { generation });
      await pass(REPLANTED_MS, 50);
    }
    // The product of the levels: a writer has one life a tree, and of trees there are these and the first.
    expect(generation).toBe(TREE_BUDGET.count + 1);
    expect(clock.monotonic()).toBeLessThan(TREE_BUDGET.periodMs);
    expect(fatal).toHaveLength(1);
    expect(fatal[0]?.message).toContain('/writers/person-writer');
    expect(fatal[0]?.cause).toMatchObject({ kind: 'misconfigured' });
    expect(consumers.map(({ control }) => control.stops)).toEqual(consumers.map(() => 1));
    await pass(REPLANTED_MS, 500);
    expect(consumers).toHaveLength(TREE_BUDGET.count + 1);
  });

  it('T3: crashes that are far apart never add up', async () => {
    const { start, consumer, consumers, pass, fatal } = open();
    await start();
    for (let crash = 0; crash < TREE_BUDGET.count + 2; crash++) {
      consumer().crash(new Error('fenced'));
      await pass(TREE_BUDGET.periodMs, 5_000);
    }
    expect([fatal, consumers.length]).toEqual([[], TREE_BUDGET.count + 3]);
  });

  it('hold at every level: who keeps work goes up at once, who serves one tenant stays below', () => {
    expect([WRITER_STRATEGY, ROUTER_STRATEGY]).toEqual([{ directive: 'escalate' }, { directive: 'escalate' }]);
    for (const strategy of [TEAM_STRATEGY, DISTINCT_ID_STRATEGY, PLUGIN_STRATEGY]) {
      expect(strategy).toMatchObject({ directive: 'restart', whenSpent: { quarantineMs: expect.any(Number) as number } });
    }
  });
});

describe('planting', () => {
  it('T2: a consumer that cannot start rejects, and leaves no timer and no member behind', async () => {
    const { deps, clock, consumer, made } = open();
    const broken = handConsumer();
    broken.control.startError = new Error('no such topic');
    made.next = () => broken;
    await expect(startTroupe(deps)).rejects.toThrow('no such topic');
    expect(clock.pendingCount).toBe(0);
    expect(consumer().control.stops).toBe(1);
  });

  it('T2: an actor that crashes while the tree is planted ends it; a consumer that was waiting is left alone', async () => {
    const { deps, clock, made } = open();
    const one = handConsumer();
    const joining = gate();
    made.next = () => ({
      ...one,
      consumer: {
        ...one.consumer,
        async start(handlers) {
          await one.consumer.start(handlers);
          handlers.crashed(new Error('fenced'));
          await joining.promise;
        },
      },
    });
    await expect(startTroupe(deps)).rejects.toThrow('fenced');
    expect(clock.pendingCount).toBe(0);
    joining.open();
  });

  it('one that fails again and again is tried within the budget', async () => {
    const { start, consumer, consumers, pass, made, fatal } = open();
    await start();
    made.next = () => {
      const broken = handConsumer();
      broken.control.startError = new Error('no broker');
      return broken;
    };
    consumer().crash(new Error('fenced'));
    await pass(3_000, 50);
    made.next = handConsumer;
    await pass(REPLANTED_MS, 100);
    expect(consumers.length).toBeGreaterThan(2);
    expect(consumer().isStarted()).toBe(true);
    expect(fatal).toEqual([]);
    for (const dead of consumers.slice(0, -1)) expect(dead.control.stops).toBe(1);
  });
});

describe('stop', () => {
  it('lets everything in flight settle, commits it, leaves the group, and leaves no timer', async () => {
    const { start, consumer, pass, isDone, offsets, account, clock } = open();
    const troupe = await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 9));
    await pass(5, 1);
    expect(await isDone(troupe.stop(), 1_000)).toBe(true);
    expect(offsets()).toHaveLength(9);
    expect(consumer().paused).toEqual([{ topic: 'events', partition: 0 }]);
    expect(consumer().commits.at(-1)?.watermarks).toMatchObject([{ offset: 9 }]);
    expect(account()).toMatchObject({ read: 9, abandoned: 0, inFlight: 0 });
    expect(consumer().control.stops).toBe(1);
    expect(clock.pendingCount).toBe(0);
    expect(await isDone(troupe.stop())).toBe(true);
  });

  it('ends within its limits when ClickHouse is away; what is left comes again', async () => {
    const logs: Facts['log-written'][] = [];
    const end = observe('log-written', (fact) => void logs.push(fact));
    const never = gate();
    const { start, consumer, pass, isDone, account } = open({ clickhouse: { arrive: () => never.promise } });
    const troupe = await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3));
    await pass(100);
    const { drainMs, flushMs, stopMs } = TREE_SETTINGS.shutdown;
    expect(await isDone(troupe.stop(), drainMs + flushMs + stopMs + 3_000 + TREE_SETTINGS.revokeDrainMs)).toBe(true);
    end();
    never.open();
    expect(consumer().commits).toEqual([]);
    expect(account()).toMatchObject({ read: 3, abandoned: 3 });
    expect(logs.map(({ fields }) => fields?.['phase'])).toContain('flush');
  });

  it('T4: while a tree is felled and the next not planted: ends, and none is planted', async () => {
    const { start, consumer, consumers, pass, isDone, clock } = open();
    const troupe = await start();
    consumer().crash(new Error('fenced'));
    await pass(10, 1);
    expect(await isDone(troupe.stop(), 50)).toBe(true);
    await pass(REPLANTED_MS, 500);
    expect(consumers).toHaveLength(1);
    expect(clock.pendingCount).toBe(0);
  });

  it('T4: while the next is being planted: it is felled as soon as it stands', async () => {
    const { start, consumer, consumers, pass, isDone, made, clock } = open();
    const troupe = await start();
    const joining = gate();
    const slow = handConsumer();
    made.next = () => ({
      ...slow,
      consumer: { ...slow.consumer, start: (handlers) => joining.promise.then(() => slow.consumer.start(handlers)) },
    });
    consumer().crash(new Error('fenced'));
    await pass(1_000);
    expect(consumers).toHaveLength(2);
    const stopped = troupe.stop();
    joining.open();
    expect(await isDone(stopped, 50)).toBe(true);
    expect(slow.control.stops).toBe(1);
    await pass(10_000, 500);
    expect(clock.pendingCount).toBe(0);
  });

  it('T4: kill flushes nothing, commits nothing, does not leave the group', async () => {
    const { start, consumer, pass, offsets } = open();
    const troupe = await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3));
    await pass(5, 1);
    troupe.kill();
    await pass(1_000);
    expect([offsets(), consumer().commits, consumer().control.stops]).toEqual([[], [], 0]);
  });
});
