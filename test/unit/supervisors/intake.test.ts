import { describe, expect, it } from 'vitest';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { ClickHouseError } from '../../../src/clickhouse/port.ts';
import { gate } from '../../kit/actors.ts';
import { aRecord } from '../../kit/pipeline.ts';
import { TREE_SETTINGS } from '../../kit/troupe.ts';
import { only, records, troupesOf } from './kit.ts';

const open = troupesOf();

describe('a record on its way', () => {
  it('is stored once, settled, and committed under the generation it was read in', async () => {
    const { start, consumer, pass, offsets, account } = open();
    const troupe = await start();
    await consumer().assign(7, only(0));
    expect(troupe.tree().intakes.ready()).toBe(true);
    const accepted = consumer().hand(records(0, 9));
    await pass(500);
    await accepted;
    expect(offsets()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(consumer().commits).toEqual([{ generation: 7, watermarks: [{ topic: 'events', partition: 0, offset: 9 }] }]);
    expect(account()).toMatchObject({ read: 9, inFlight: 0, outcomes: [{ outcome: 'stored', count: 9 }] });
  });

  it('an unreadable one is in the dead-letter topic before its offset is committed', async () => {
    const { start, consumer, pass, producer, offsets } = open();
    await start();
    await consumer().assign(1, only(0));
    void consumer().hand([aRecord(0), { ...aRecord(1), value: Buffer.from('{') }, aRecord(2)]);
    await pass(500);
    expect(offsets()).toEqual([0, 2]);
    expect(producer.sent).toMatchObject([{ topic: 'dead-letters', record: { value: Buffer.from('{') } }]);
    expect(consumer().commits.at(-1)?.watermarks).toMatchObject([{ offset: 3 }]);
  });
});

describe('I1: the takeover', () => {
  it('ends what earlier owners have on their way and asks what is stored, before the first record', async () => {
    const asked: string[] = [];
    const answer = gate();
    const { start, consumer, pass, offsets, isDone } = open({
      clickhouse: { question: (operation) => (asked.push(operation), operation === 'storedOffsets' ? answer.promise : undefined) },
    });
    const troupe = await start();
    const assigned = consumer().assign(1, only(0, 0));
    expect(await isDone(assigned, 100)).toBe(false);
    expect(asked).toEqual(['killInserts', 'storedOffsets']);
    expect(troupe.tree().intakes.ready()).toBe(false);
    answer.open();
    expect(await isDone(assigned, 50)).toBe(true);
    void consumer().hand(records(0, 3));
    await pass(300);
    expect(offsets()).toEqual([0, 1, 2]);
  });

  it('ClickHouse away: waits, and nothing is routed meanwhile', async () => {
    let away = true;
    const { start, consumer, isDone, troupe } = open({
      clickhouse: {
        question() {
          if (away) throw new ClickHouseError('unavailable', 'away');
        },
      },
    });
    await start();
    const assigned = consumer().assign(1, only(0));
    expect(await isDone(assigned, 10_000)).toBe(false);
    expect(troupe().tree().intakes.ledgers()).toEqual([]);
    away = false;
    expect(await isDone(assigned, 3_000)).toBe(true);
  });
});

describe('I2: commits', () => {
  it('only what is settled without a gap, and only when it has moved', async () => {
    const stored = gate();
    let held = true;
    const { start, consumer, pass } = open({ clickhouse: { arrive: () => (held ? stored.promise : undefined) } });
    await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3));
    await pass(1_000);
    expect(consumer().commits).toEqual([]);
    held = false;
    stored.open();
    await pass(1_000);
    expect(consumer().commits.map(({ watermarks }) => watermarks[0]?.offset)).toEqual([3]);
  });

  it('one that fails is tried again, and a stale one is not counted as done', async () => {
    const committed: Facts['router-watermark-committed'][] = [];
    const end = observe('router-watermark-committed', (fact) => void committed.push(fact));
    const { start, consumer, pass } = open();
    await start();
    await consumer().assign(1, only(0));
    consumer().control.commitError = new Error('no coordinator');
    void consumer().hand(records(0, 3));
    await pass(500);
    consumer().control.commitError = undefined;
    consumer().control.isStale = true;
    await pass(500);
    expect(committed).toEqual([]);
    consumer().control.isStale = false;
    await pass(200);
    end();
    expect(committed).toMatchObject([{ offset: 3 }]);
    expect(consumer().commits).toHaveLength(1);
  });

  it('of several partitions go together, one call for a generation', async () => {
    const { start, consumer, pass } = open();
    await start();
    await consumer().assign(1, [...only(0), ...only(1)]);
    void consumer().hand(records(0, 2));
    void consumer().hand(records(100, 102), { partition: 1 });
    await pass(500);
    expect(
      consumer()
        .commits.flatMap(({ watermarks }) => watermarks)
        .map(({ partition, offset }) => [partition, offset]),
    ).toEqual(
      expect.arrayContaining([
        [0, 2],
        [1, 102],
      ]),
    );
  });
});

describe('I3: the revoke', () => {
  it('lets what is in flight settle, and commits it, within its time', async () => {
    const stored = gate();
    const { start, consumer, pass, isDone, account } = open({ clickhouse: { arrive: () => stored.promise } });
    await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3));
    await pass(100);
    const revoked = consumer().revoke(1);
    expect(await isDone(revoked, 500)).toBe(false);
    stored.open();
    expect(await isDone(revoked, 200)).toBe(true);
    expect(consumer().commits.at(-1)).toMatchObject({ generation: 1, watermarks: [{ offset: 3 }] });
    expect(account()).toMatchObject({ read: 3, abandoned: 0, inFlight: 0 });
  });

  it('after its time nothing is settled any more: what was in flight is abandoned and comes again', async () => {
    const stored = gate();
    const { start, consumer, pass, isDone, account, troupe } = open({ clickhouse: { arrive: () => stored.promise } });
    await start();
    await consumer().assign(1, only(0));
    void consumer().hand(records(0, 3));
    await pass(100);
    expect(await isDone(consumer().revoke(1), 1_200)).toBe(true);
    stored.open();
    await pass(500);
    expect(consumer().commits).toEqual([]);
    expect(account()).toMatchObject({ read: 3, abandoned: 3, inFlight: 0, outcomes: [] });
    expect(troupe().tree().intakes.ledgers()).toEqual([]);
  });

  it('then the next generation skips what was stored after all, and has the rest', async () => {
    const { start, consumer, pass, offsets, account } = open();
    await start();
    await consumer().assign(1, only(0));
    consumer().control.commitError = new Error('no coordinator');
    void consumer().hand(records(0, 3));
    await pass(200);
    await Promise.all([consumer().revoke(1), pass(100)]);
    consumer().control.commitError = undefined;
    await consumer().assign(2, only(0, 0));
    void consumer().hand(records(0, 6), { generation: 2 });
    await pass(500);
    expect(offsets()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(account()).toMatchObject({ read: 9, alreadyStored: 3, inFlight: 0 });
    expect(consumer().commits.at(-1)).toMatchObject({ generation: 2, watermarks: [{ offset: 6 }] });
  });

  it('owns: only the generation in force, and only while the heartbeat is fresh', async () => {
    const { start, consumer, pass, troupe } = open();
    await start();
    const owns = (generation: number): boolean => troupe().tree().intakes.owns('events', 0, generation);
    expect(owns(1)).toBe(false);
    await consumer().assign(1, only(0));
    expect([owns(1), owns(2), troupe().tree().intakes.owns('events', 1, 1)]).toEqual([true, false, false]);
    consumer().control.heartbeatMs = 5_000;
    expect(owns(1)).toBe(false);
    consumer().control.heartbeatMs = 4_999;
    await Promise.all([consumer().revoke(1), pass(100)]);
    expect(owns(1)).toBe(false);
  });
});

describe('I4: a batch is accepted or its partition was revoked', () => {
  it('of a partition or generation that is not ours it ends at once, and nothing is read', async () => {
    const { start, consumer, pass, account, isDone } = open();
    await start();
    await consumer().assign(2, only(0));
    expect(await isDone(consumer().hand(records(0, 3), { generation: 1 }))).toBe(true);
    expect(await isDone(consumer().hand(records(0, 3), { partition: 5 }))).toBe(true);
    await pass(200);
    expect(account()).toMatchObject({ read: 0 });
  });

  it('one that finds its router gone ends at once', async () => {
    const { start, consumer, isDone, troupe } = open();
    await start();
    await consumer().assign(1, only(0));
    troupe().tree().system.kill();
    expect(await isDone(consumer().hand(records(0, 3)))).toBe(true);
  });

  it('one that waits for credit is let go by the revoke', async () => {
    const stored = gate();
    const router = { ...TREE_SETTINGS.router, creditCount: 2 };
    const { start, consumer, isDone } = open({ clickhouse: { arrive: () => stored.promise }, settings: { router } });
    await start();
    await consumer().assign(1, only(0));
    const accepted = consumer().hand(records(0, 5));
    expect(await isDone(accepted, 500)).toBe(false);
    const revoked = consumer().revoke(1);
    expect(await isDone(revoked, 1_200)).toBe(true);
    expect(await isDone(accepted)).toBe(true);
    stored.open();
  });

  it('one that waits for credit is let go by a tree that is felled', async () => {
    const stored = gate();
    const { start, consumer, isDone, troupe } = open({ clickhouse: { arrive: () => stored.promise } });
    await start();
    await consumer().assign(1, only(0));
    const accepted = consumer().hand(records(0, 3));
    expect(await isDone(accepted, 100)).toBe(true);
    const second = consumer().hand(records(3, 2_000));
    expect(await isDone(second, 100)).toBe(false);
    const { intakes, system } = troupe().tree();
    system.kill();
    await intakes.abandon();
    expect(await isDone(second)).toBe(true);
    stored.open();
  });
});
