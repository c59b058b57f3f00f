import { beforeEach, describe, expect, it } from 'vitest';
import type { Coordinator, KafkajsGroup } from '../../../src/kafka/kafkajs-group.ts';
import { createMembership, type Membership } from '../../../src/kafka/membership.ts';
import { createManualClock, settle, type ManualClock } from './manual-clock.ts';

const protocol = (type: string): Error => Object.assign(new Error(type), { type });
const cut = (): Error => Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' });

interface FakeCoordinator extends Coordinator {
  beats: number;
  commits: string[];
  answer: (question: 'heartbeat' | 'commit' | 'fetch') => Promise<void>;
}
function coordinator(): FakeCoordinator {
  const fake: FakeCoordinator = {
    beats: 0,
    commits: [],
    answer: () => Promise.resolve(),
    heartbeat: () => (fake.beats++, fake.answer('heartbeat')),
    async offsetCommit({ groupGenerationId, topics }) {
      await fake.answer('commit');
      for (const { topic, partitions } of topics) {
        for (const { partition, offset } of partitions) fake.commits.push(`${groupGenerationId}: ${topic}/${partition}=${offset}`);
      }
    },
    async offsetFetch({ topics }) {
      await fake.answer('fetch');
      return {
        responses: topics.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map(({ partition }) => ({ partition, offset: partition === 0 ? '42' : '-1' })),
        })),
      };
    },
  };
  return fake;
}

describe('membership', () => {
  let clock: ManualClock;
  let first: FakeCoordinator;
  let second: FakeCoordinator;
  let group: KafkajsGroup;
  let membership: Membership;
  let searches: number;

  beforeEach(async () => {
    clock = createManualClock();
    first = coordinator();
    second = coordinator();
    searches = 0;
    group = {
      groupId: 'g',
      generationId: 5,
      memberId: 'm',
      coordinator: first,
      cluster: { findGroupCoordinator: () => (searches++, Promise.resolve(second)), refreshMetadata: () => Promise.resolve() },
      offsetManager: { nextOffset: () => '0' },
      assigned: () => [{ topic: 't', partitions: [0, 1] }],
      heartbeat: () => Promise.resolve(),
    };
    membership = createMembership({
      group,
      clock,
      heartbeatIntervalMs: 100,
      sessionTimeoutMs: 1_000,
      rebalanceTimeoutMs: 1_500,
      commitTimeoutMs: 500,
    });
    await settle();
  });

  it('M1: beats at once and then every interval, until it is released', async () => {
    expect(first.beats).toBe(1);
    await clock.advance(1_000);
    expect(first.beats).toBe(11);
    membership.release();
    await clock.advance(1_000);
    expect(first.beats).toBe(11);
    expect(clock.armed).toBe(0);
  });

  it('M2: is not sure of a membership that only the answer to a join speaks of', async () => {
    const late = Promise.withResolvers<void>();
    first.answer = () => late.promise;
    const joined = createMembership({
      group,
      clock,
      heartbeatIntervalMs: 100,
      sessionTimeoutMs: 1_000,
      rebalanceTimeoutMs: 1_500,
      commitTimeoutMs: 500,
    });
    await settle();
    expect(joined.sinceConfirmedMs()).toBe(Infinity);
    late.resolve();
    await settle();
    expect(joined.sinceConfirmedMs()).toBe(0);
    joined.release();
  });

  it('M2: counts from when the confirmed heartbeat was sent, not from when its answer came', async () => {
    const late = Promise.withResolvers<void>();
    first.answer = () => late.promise;
    await clock.advance(100); // sent here
    await clock.advance(400);
    expect(membership.sinceConfirmedMs()).toBe(500);
    late.resolve();
    await settle();
    expect(membership.sinceConfirmedMs()).toBe(400);
  });

  it('M3: finds a coordinator that moved, and stays in its generation', async () => {
    for (const error of [cut(), protocol('NOT_COORDINATOR_FOR_GROUP'), protocol('GROUP_LOAD_IN_PROGRESS')]) {
      group.coordinator = first;
      first.answer = () => Promise.reject(error);
      const before = second.beats;
      await clock.advance(300);
      expect(second.beats).toBeGreaterThan(before);
    }
    expect(membership.over).toBe(false);
    expect(await Promise.all([membership.commit([{ topic: 't', partition: 0, offset: 7 }]), clock.advance(0)])).toEqual([
      'committed',
      undefined,
    ]);
    expect(second.commits).toEqual(['5: t/0=7']);
    expect(searches).toBe(3);
  });

  it.each(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS', 'FENCED_INSTANCE_ID'])(
    '%s ends the generation, from a heartbeat and from a commit',
    async (type) => {
      first.answer = (question) => (question === 'commit' ? Promise.reject(protocol(type)) : Promise.resolve());
      expect(await membership.commit([{ topic: 't', partition: 0, offset: 7 }])).toBe('stale');
      expect(membership.over).toBe(true);
      const other = createMembership({
        group,
        clock,
        heartbeatIntervalMs: 100,
        sessionTimeoutMs: 1_000,
        rebalanceTimeoutMs: 1_500,
        commitTimeoutMs: 500,
      });
      first.answer = () => Promise.reject(protocol(type));
      await clock.advance(100);
      expect((await other.ended).message).toBe(type);
    },
  );

  it('lets kafkajs fetch while the generation lives, and makes it join anew when it is over', async () => {
    await expect(group.heartbeat({ interval: 1 })).resolves.toBeUndefined();
    membership.end(new Error('over'));
    await expect(group.heartbeat({ interval: 1 })).rejects.toMatchObject({ type: 'REBALANCE_IN_PROGRESS' });
  });

  it('M2: grows unsure while it is asked to join anew, since the group waits for that only so long', async () => {
    first.answer = (question) => (question === 'heartbeat' ? Promise.reject(protocol('REBALANCE_IN_PROGRESS')) : Promise.resolve());
    await clock.advance(500);
    expect(membership.sinceConfirmedMs()).toBeLessThanOrEqual(100);
    await clock.advance(900); // expelled at 1,500 at the earliest
    expect(membership.sinceConfirmedMs()).toBe(900);
  });

  it('keeps its session while it is asked to join anew, so that work can be given up in order', async () => {
    first.answer = (question) => (question === 'heartbeat' ? Promise.reject(protocol('REBALANCE_IN_PROGRESS')) : Promise.resolve());
    await clock.advance(600);
    expect([membership.over, membership.released]).toEqual([true, false]);
    expect(membership.sinceConfirmedMs()).toBeLessThanOrEqual(100);
    expect(await membership.commit([{ topic: 't', partition: 1, offset: 3 }])).toBe('committed');
  });

  it('M4: sends commits one after the other', async () => {
    const slow = Promise.withResolvers<void>();
    let asked = 0;
    first.answer = (question) => (question === 'commit' ? (asked++, slow.promise) : Promise.resolve());
    const commits = [
      membership.commit([{ topic: 't', partition: 0, offset: 1 }]),
      membership.commit([{ topic: 't', partition: 0, offset: 2 }]),
    ];
    await settle();
    expect(asked).toBe(1);
    slow.resolve();
    await Promise.all(commits);
    expect(first.commits).toEqual(['5: t/0=1', '5: t/0=2']);
  });

  it('M5: is over when the coordinator was silent for a session', async () => {
    first.answer = () => new Promise(() => undefined);
    await clock.advance(999);
    expect(membership.over).toBe(false);
    await clock.advance(101); // the last confirmed heartbeat was sent at 0
    expect((await membership.ended).message).toContain('no heartbeat was confirmed for 1000 ms');
  });

  it('rejects a commit that finds no coordinator in time, and refuses every commit once released', async () => {
    first.answer = () => Promise.reject(cut());
    second.answer = () => Promise.reject(cut());
    const commit = membership.commit([{ topic: 't', partition: 0, offset: 1 }]).catch((error: Error) => error.name);
    await clock.advance(600);
    expect(await commit).toBe('KafkaJSConnectionClosedError');
    membership.release();
    expect(await membership.commit([{ topic: 't', partition: 0, offset: 1 }])).toBe('stale');
  });

  it('knows the committed offsets, asking until the coordinator is ready, and gives up when the generation is over', async () => {
    let refusals = 0;
    first.answer = (question) =>
      question === 'fetch' && ++refusals < 3 ? Promise.reject(protocol('GROUP_LOAD_IN_PROGRESS')) : Promise.resolve();
    second.answer = first.answer;
    const committed = membership.fetchCommitted();
    await clock.advance(500);
    expect(await committed).toEqual(new Map([['t/0', 42]]));
    second.answer = () => Promise.reject(protocol('GROUP_LOAD_IN_PROGRESS'));
    const never = membership.fetchCommitted();
    await clock.advance(200);
    membership.release();
    await clock.advance(2_000);
    expect(await never).toBeUndefined();
  });
});
