import { expect, it } from 'vitest';
import { KEEP } from '../../../actors/router/index.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { TREE_BACKOFF } from '../../../supervisors/budgets.ts';
import { handConsumer, type HandConsumer } from '../../kit/troupe.ts';
import { records, troupesOf } from './kit.ts';

const open = troupesOf();
const TOPICS = ['events', 'overflow', 'heatmaps'];
const of = (topic: string, committed?: number) => [{ topic, partition: 0, committed }];

/** A troupe with an intake for each topic, and the consumers of each tree by topic, the newest last. */
function withIntakes() {
  const parts = open();
  const byTopic = new Map<string, HandConsumer[]>(TOPICS.map((topic) => [topic, []]));
  const next = (topic: string): HandConsumer => {
    const one = handConsumer();
    byTopic.get(topic)?.push(one);
    return one;
  };
  const made = { next };
  const intakes = TOPICS.map((topic) => ({ name: `${topic}-service`, createConsumer: () => made.next(topic).consumer, overflow: KEEP }));
  Object.assign(parts.deps, { intakes });
  const consumerOf = (topic: string): HandConsumer => {
    const one = byTopic.get(topic)?.at(-1);
    if (one === undefined) throw new Error(`no consumer of ${topic}`);
    return one;
  };
  return { ...parts, made, byTopic, consumerOf, all: () => TOPICS.map(consumerOf) };
}

it('each topic has generations of its own: one that is revoked is drained and committed, the others go on', async () => {
  const { start, consumerOf, pass, account, troupe } = withIntakes();
  await start();
  await consumerOf('events').assign(7, of('events'));
  await consumerOf('overflow').assign(3, of('overflow'));
  void consumerOf('events').hand(records(0, 3), { topic: 'events' });
  void consumerOf('overflow').hand(records(0, 2), { topic: 'overflow' });
  await pass(50);
  await Promise.all([consumerOf('overflow').revoke(3), pass(200)]);
  expect(consumerOf('overflow').commits.at(-1)).toEqual({ generation: 3, watermarks: [{ topic: 'overflow', partition: 0, offset: 2 }] });
  const { intakes } = troupe().tree();
  expect([intakes.owns('events', 0, 7), intakes.owns('overflow', 0, 3), intakes.owns('events', 0, 3)]).toEqual([true, false, false]);
  void consumerOf('events').hand(records(3, 5), { topic: 'events' });
  await pass(500);
  expect(consumerOf('events').commits.at(-1)).toEqual({ generation: 7, watermarks: [{ topic: 'events', partition: 0, offset: 5 }] });
  expect(account()).toMatchObject({ read: 7, inFlight: 0, abandoned: 0 });
});

it('HT-1: the tree is ready when every intake is; each is told by its own name', async () => {
  const { start, consumerOf, troupe } = withIntakes();
  await start();
  const { intakes } = troupe().tree();
  for (const topic of ['events', 'overflow']) await consumerOf(topic).assign(1, of(topic));
  expect(intakes.ready()).toBe(false);
  expect(intakes.services().map(({ name, ready }) => [name, ready])).toEqual([
    ['events-service', true],
    ['overflow-service', true],
    ['heatmaps-service', false],
  ]);
  // A member without a partition has nothing to wait for.
  await consumerOf('heatmaps').assign(1, []);
  expect(intakes.ready()).toBe(true);
});

it('HT-4: an intake that the brokers have not answered for 60 s is not healthy, whatever the others are', async () => {
  const { start, consumerOf, troupe } = withIntakes();
  await start();
  const healthy = (): boolean[] => troupe().tree().intakes.services().map((service) => service.healthy); // prettier-ignore
  consumerOf('overflow').control.pollMs = 59_999;
  expect(healthy()).toEqual([true, true, true]);
  consumerOf('overflow').control.pollMs = 60_000;
  expect(healthy()).toEqual([true, false, true]);
});

it('SH-4, T1: one consumer that cannot go on fells the tree with all of them, and the next tree has new ones', async () => {
  const { start, consumerOf, byTopic, pass, account, offsets } = withIntakes();
  await start();
  const first = TOPICS.map(consumerOf);
  await consumerOf('events').assign(1, of('events', 0));
  consumerOf('events').control.commitError = new Error('no coordinator');
  void consumerOf('events').hand(records(0, 3), { topic: 'events' });
  await pass(100);
  consumerOf('overflow').crash(new Error('the group is gone'));
  await pass(TREE_BACKOFF.maxMs * (1 + TREE_BACKOFF.jitterRatio));
  expect(first.map(({ control }) => control.stops)).toEqual([1, 1, 1]);
  expect(TOPICS.map((topic) => byTopic.get(topic)?.length)).toEqual([2, 2, 2]);
  await consumerOf('events').assign(2, of('events', 0));
  void consumerOf('events').hand(records(0, 4), { topic: 'events' });
  await pass(500);
  expect(offsets()).toEqual([0, 1, 2, 3]);
  expect(account()).toMatchObject({ read: 7, alreadyStored: 3, inFlight: 0 });
});

it('T2: one consumer that cannot subscribe ends the others, and the start fails with its reason', async () => {
  const parts = withIntakes();
  const { next } = parts.made;
  parts.made.next = (topic) => {
    const one = next(topic);
    if (topic === 'overflow') one.control.startError = new Error('no such topic');
    return one;
  };
  await expect(parts.start()).rejects.toThrow('no such topic');
  expect(parts.all().map(({ control }) => control.stops)).toEqual([1, 1, 1]);
});

it('SH-2: a stop drains and commits every topic; one that fails to leave keeps no other from it, and is named', async () => {
  const { start, consumerOf, pass, isDone } = withIntakes();
  const troupe = await start();
  for (const topic of TOPICS) await consumerOf(topic).assign(1, of(topic));
  for (const topic of TOPICS) void consumerOf(topic).hand(records(0, 2), { topic });
  await pass(20);
  consumerOf('events').control.stopError = new Error('could not leave');
  const lines: Facts['log-written'][] = [];
  const end = observe('log-written', (fact) => void lines.push(fact));
  const stopped = troupe.stop();
  expect(await isDone(stopped, 3_000)).toBe(true);
  end();
  for (const topic of ['overflow', 'heatmaps']) expect(consumerOf(topic).commits.at(-1)?.watermarks).toMatchObject([{ topic, offset: 2 }]);
  expect(lines.map(({ fields }) => fields?.['error'])).toContain('could not leave');
});

it('B-12: the gauge is the timestamp of what is below the watermark, not of what was read', async () => {
  const committed: Facts['router-watermark-committed'][] = [];
  const end = observe('router-watermark-committed', (fact) => void committed.push(fact));
  const { start, consumerOf, pass } = withIntakes();
  await start();
  await consumerOf('events').assign(1, of('events'));
  const at = (from: number, to: number, timestampMs: number) => records(from, to).map((record) => ({ ...record, timestampMs }));
  void consumerOf('events').hand(at(0, 2, 1_000), { topic: 'events' });
  await pass(300);
  void consumerOf('events').hand(at(2, 4, 2_000), { topic: 'events' });
  await pass(300);
  end();
  expect(committed.map(({ offset, messageTimestampMs }) => [offset, messageTimestampMs])).toEqual([
    [2, 1_000],
    [4, 2_000],
  ]);
});
