import { describe, expect, it } from 'vitest';
import { createLanes, sizeOf, type Lanes, type LanesOptions } from '../../../src/kafka/lanes.ts';
import { ProduceError, type OutgoingRecord } from '../../../src/kafka/port.ts';
import { collectGarbage } from '../../kit/collect-garbage.ts';
import { createManualClock, randomOf, settle, type ManualClock } from './manual-clock.ts';

const record = (value: string): OutgoingRecord => ({ key: null, value: Buffer.from(value) });
const TOO_LARGE = new ProduceError('too-large', 'refused');

interface Request {
  readonly topic: string;
  readonly partition: number;
  readonly values: string[];
  acknowledge(): Promise<void>;
  refuse(error: Error): Promise<void>;
  ended: boolean;
}

function lanesOf(options: Partial<LanesOptions> = {}): { lanes: Lanes; requests: Request[]; clock: ManualClock } {
  const clock = createManualClock();
  const requests: Request[] = [];
  const lanes = createLanes({
    clock,
    maxBatchBytes: 10_000,
    maxBatchCount: 100,
    lingerMs: 0,
    sendTimeoutMs: 1_000,
    send(topic, partition, records) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const request: Request = {
        topic,
        partition,
        values: records.map(({ value }) => value.toString()),
        ended: false,
        acknowledge: () => ((request.ended = true), resolve(), settle()),
        refuse: (error) => ((request.ended = true), reject(error), settle()),
      };
      requests.push(request);
      return promise;
    },
    ...options,
  });
  return { lanes, requests, clock };
}
const outcomeOf = (push: Promise<void>): Promise<string> => push.then(() => 'done', (error: ProduceError) => error.code); // prettier-ignore

describe('lanes', () => {
  it('lets go of what is acknowledged, although something else is always under way', async () => {
    const { lanes, requests } = lanesOf();
    void lanes.push('t', 1, [record('never acknowledged')]);
    const done = await (async () => {
      const sent = record('acknowledged');
      const push = lanes.push('t', 0, [sent]);
      await settle();
      await requests.find(({ partition }) => partition === 0)?.acknowledge();
      await push;
      return new WeakRef(sent);
    })();
    await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds its target until the end of the turn
    collectGarbage();
    expect(done.deref()).toBeUndefined();
  });

  it('L1, L2: one request is in flight per lane; what comes meanwhile is merged into the next, in order', async () => {
    const { lanes, requests } = lanesOf();
    const first = lanes.push('t', 0, [record('a')]);
    await settle();
    const second = lanes.push('t', 0, [record('b'), record('c')]);
    const third = lanes.push('t', 0, [record('d')]);
    await settle();
    expect(requests.map(({ values }) => values)).toEqual([['a']]);
    await requests[0]?.acknowledge();
    await first;
    expect(requests.map(({ values }) => values)).toEqual([['a'], ['b', 'c', 'd']]);
    await requests[1]?.acknowledge();
    await Promise.all([second, third]);
  });

  it('lets lanes of other partitions go on', async () => {
    const { lanes, requests } = lanesOf();
    void lanes.push('t', 0, [record('a')]);
    void lanes.push('t', 1, [record('b')]);
    void lanes.push('u', 0, [record('c')]);
    await settle();
    expect(requests.map(({ topic, partition, values }) => [topic, partition, ...values])).toEqual([['t', 0, 'a'], ['t', 1, 'b'], ['u', 0, 'c']]); // prettier-ignore
  });

  it('L3: cuts requests by count and by bytes, and resolves a call when the last of its records is acknowledged', async () => {
    const byCount = lanesOf({ maxBatchCount: 2 });
    const push = outcomeOf(byCount.lanes.push('t', 0, ['a', 'b', 'c'].map(record)));
    await settle();
    await byCount.requests[0]?.acknowledge();
    expect(byCount.requests.map(({ values }) => values)).toEqual([['a', 'b'], ['c']]);
    expect(await Promise.race([push, settle().then(() => 'open')])).toBe('open');
    await byCount.requests[1]?.acknowledge();
    expect(await push).toBe('done');

    const size = sizeOf(record('aaaa'));
    const byBytes = lanesOf({ maxBatchBytes: 2 * size + 1 });
    void byBytes.lanes.push('t', 0, ['aaaa', 'bbbb', 'cccc', 'x'.repeat(5 * size), 'd'].map(record));
    for (let n = 0; n < 4; n++) {
      await settle();
      await byBytes.requests[n]?.acknowledge();
    }
    expect(byBytes.requests.map(({ values }) => values.length)).toEqual([2, 1, 1, 1]);
  });

  it('lingers for company, and not when a request is full', async () => {
    const { lanes, requests, clock } = lanesOf({ lingerMs: 5, maxBatchCount: 3 });
    void lanes.push('t', 0, [record('a')]);
    await clock.advance(4);
    void lanes.push('t', 0, [record('b')]);
    expect(requests.length).toBe(0);
    await clock.advance(1);
    expect(requests.map(({ values }) => values)).toEqual([['a', 'b']]);
    void lanes.push('t', 1, ['c', 'd', 'e'].map(record));
    await settle();
    expect(requests.length).toBe(2);
  });

  it('L7: lanes that linger go at one beat, counted from the first of them', async () => {
    const { lanes, requests, clock } = lanesOf({ lingerMs: 5 });
    void lanes.push('t', 0, [record('a')]);
    await clock.advance(4);
    void lanes.push('t', 1, [record('b')]);
    void lanes.push('u', 0, [record('c')]);
    await clock.advance(0.9);
    expect(requests).toEqual([]);
    await clock.advance(0.1);
    expect(requests.map(({ values }) => values)).toEqual([['a'], ['b'], ['c']]);
  });

  it('L7: what came while a lane was sending lingers too, unless it fills a request', async () => {
    const { lanes, requests, clock } = lanesOf({ lingerMs: 5, maxBatchCount: 2 });
    const sent = (): string[][] => requests.map(({ values }) => [...values]);
    void lanes.push('t', 0, [record('a')]);
    await clock.advance(5);
    void lanes.push('t', 0, [record('b')]);
    await requests[0]?.acknowledge();
    expect(sent()).toEqual([['a']]);
    await clock.advance(5);
    expect(sent()).toEqual([['a'], ['b']]);
    void lanes.push('t', 0, ['c', 'd', 'e'].map(record));
    await requests[1]?.acknowledge();
    expect(sent().at(-1)).toEqual(['c', 'd']);
    await requests[2]?.acknowledge();
    await clock.advance(5);
    expect(sent().at(-1)).toEqual(['e']);
  });

  it('L4: a job whose request is in flight at its deadline is told that it may still be written', async () => {
    const { lanes, requests, clock } = lanesOf();
    const first = outcomeOf(lanes.push('t', 0, [record('a')]));
    await clock.advance(500);
    const second = lanes.push('t', 0, [record('b')]);
    const failure = second.catch((error: Error) => error.message);
    await clock.advance(999);
    await requests[0]?.refuse(new Error('broken'));
    expect(await first).toBe('unavailable');
    expect(requests.length).toBe(2);
    await clock.advance(1);
    expect(await failure).toContain('some may still be written');
  });

  it('L4: after a missed deadline nothing overtakes the request that may still be written', async () => {
    const { lanes, requests, clock } = lanesOf();
    const first = outcomeOf(lanes.push('t', 0, [record('a')]));
    await settle();
    const behind = lanes.push('t', 0, [record('b')]).catch((error: Error) => error.message);
    await clock.advance(1_000);
    expect(await first).toBe('unavailable');
    expect(await behind).toContain('they were not sent');
    const later = outcomeOf(lanes.push('t', 0, [record('c')]));
    await clock.advance(500);
    expect(requests.map(({ values }) => values)).toEqual([['a']]);
    expect(lanes.queuedBytes()).toBe(2 * sizeOf(record('a')));
    await requests[0]?.acknowledge();
    expect(requests.map(({ values }) => values)).toEqual([['a'], ['c']]);
    await requests[1]?.acknowledge();
    expect(await later).toBe('done');
    expect(lanes.queuedBytes()).toBe(0);
  });

  it('L6: a request that is refused for its size fails only the call with the record that is too large', async () => {
    const sent: string[] = [];
    const { lanes } = lanesOf({
      send(_topic, _partition, records) {
        if (records.some(({ value }) => value.toString() === 'LARGE')) return Promise.reject(TOO_LARGE);
        sent.push(...records.map(({ value }) => value.toString()));
        return Promise.resolve();
      },
    });
    const pushes = [['a'], ['b', 'LARGE', 'c'], ['d'], ['e']].map((values) => outcomeOf(lanes.push('t', 0, values.map(record))));
    expect(await Promise.all(pushes)).toEqual(['done', 'too-large', 'done', 'done']);
    expect(sent).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(lanes.queuedBytes()).toBe(0);
  });

  it('drops the unsent rest of a call whose request failed', async () => {
    const { lanes, requests } = lanesOf({ maxBatchCount: 1 });
    const push = outcomeOf(lanes.push('t', 0, ['a', 'b'].map(record)));
    const next = outcomeOf(lanes.push('t', 0, [record('c')]));
    await settle();
    await requests[0]?.refuse(new Error('not authorised'));
    expect(await push).toBe('unavailable');
    expect(requests[1]?.values).toEqual(['c']);
    await requests[1]?.acknowledge();
    expect(await next).toBe('done');
  });

  it('is drained when no job is left, and then holds no timer', async () => {
    const { lanes, requests, clock } = lanesOf();
    await lanes.drained();
    void lanes.push('t', 0, [record('a')]);
    let drained = false;
    void lanes.drained().then(() => (drained = true));
    await settle();
    expect(drained).toBe(false);
    await requests[0]?.acknowledge();
    expect(drained).toBe(true);
    expect(clock.armed).toBe(0);
  });

  it.each(Array.from({ length: 30 }, (_, seed) => seed + 1))('L1-L5 hold over random histories (seed %i)', async (seed) => {
    const chance = randomOf(seed);
    const below = (limit: number): number => Math.floor(chance() * limit);
    const { lanes, requests, clock } = lanesOf({ maxBatchCount: 5, lingerMs: below(2) * 3, maxBatchBytes: 400 });
    const calls: { readonly partition: number; readonly values: string[]; outcome: string }[] = [];
    let next = 0;
    for (let step = 0; step < 300; step++) {
      const choice = chance();
      if (choice < 0.5) {
        const call = { partition: below(3), values: Array.from({ length: 1 + below(7) }, () => `${next++}`), outcome: 'open' };
        calls.push(call);
        void outcomeOf(lanes.push('t', call.partition, call.values.map(record))).then((outcome) => (call.outcome = outcome));
      } else if (choice < 0.6) {
        await clock.advance(below(120));
      } else {
        const open = requests.filter(({ ended }) => !ended);
        expect(new Set(open.map(({ partition }) => partition)).size).toBe(open.length); // L1
        const request = open[below(open.length)];
        if (request !== undefined) await (chance() < 0.9 ? request.acknowledge() : request.refuse(new Error('broken')));
      }
      await settle();
    }
    const drained = lanes.drained();
    await clock.advance(5_000);
    await drained;
    for (let open = requests.filter(({ ended }) => !ended); open.length > 0; open = requests.filter(({ ended }) => !ended)) {
      for (const request of open) await request.acknowledge();
    }
    expect(lanes.queuedBytes()).toBe(0); // L5
    for (const partition of [0, 1, 2]) {
      const sent = requests.filter((request) => request.partition === partition).flatMap(({ values }) => values.map(Number));
      expect(sent).toEqual([...new Set(sent)].sort((a, b) => a - b)); // L2, and nothing sent twice
      for (const { values } of requests) expect(values.length).toBeLessThanOrEqual(5); // L3
    }
    const sentAll = new Set(requests.flatMap(({ values }) => values));
    for (const { outcome, values } of calls) {
      expect(['done', 'unavailable']).toContain(outcome);
      if (outcome === 'done') for (const value of values) expect(sentAll).toContain(value);
    }
  });
});
