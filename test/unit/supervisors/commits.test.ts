import { describe, expect, it } from 'vitest';
import { offset } from '../../../src/domain/ids.ts';
import { STORED } from '../../../src/domain/outcome.ts';
import { createLedger } from '../../../src/kafka/ledger.ts';
import { createCommits } from '../../../supervisors/commits.ts';
import { openRoute, type Route } from '../../../supervisors/route.ts';
import { probe } from '../../kit/actors.ts';
import { manualClock } from '../../kit/clock.ts';

/** A route of which nothing is settled yet, and what settles its records below an offset. */
function route(partition: number, generation: number): Route & { readonly settleTo: (end: number) => void } {
  const ledger = createLedger({ topic: 't', partition, generation, watermark: 0, capacityCount: 100 });
  const open = openRoute({ partition: { topic: 't', partition }, generation, ledger, ref: probe('router'), committed: 0 });
  let settledTo = 0;
  return Object.assign(open, {
    settleTo(end: number) {
      for (; settledTo < end; settledTo++) {
        ledger.track(offset(settledTo));
        ledger.settlement.settle(offset(settledTo), STORED);
      }
    },
  });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(routes: readonly Route[], answer: (number: number) => Promise<'committed' | 'stale'> = () => Promise.resolve('committed')) {
  const clock = manualClock();
  const sent: string[] = [];
  const commits = createCommits({
    clock,
    everyMs: 100,
    intake: 'main',
    consumer: {
      commit(generation, watermarks) {
        sent.push(`${generation}: ${watermarks.map((one) => `${one.partition}=${one.offset}`).join()}`);
        return answer(sent.length);
      },
    },
    routes: () => routes,
  });
  return { clock, sent, commits };
}

describe('commits of an intake', () => {
  it('go out from time to time, when something has moved', async () => {
    const one = route(0, 1);
    const { clock, sent } = setUp([one]);
    for (let tick = 0; tick < 4; tick++) {
      if (tick === 1) one.settleTo(3);
      clock.advance(100);
      await turn();
    }
    expect(sent).toEqual(['1: 0=3']);
    expect(one.committed).toBe(3);
  });

  it('C1: one at a time: the second begins when the first has its answer', async () => {
    const one = route(0, 1);
    const first = Promise.withResolvers<'committed'>();
    const { sent, commits } = setUp([one], (number) => (number === 1 ? first.promise : Promise.resolve('committed')));
    one.settleTo(2);
    void commits.now();
    await turn();
    one.settleTo(5);
    const second = commits.now();
    await turn();
    expect(sent).toEqual(['1: 0=2']);
    first.resolve('committed');
    await second;
    expect(sent).toEqual(['1: 0=2', '1: 0=5']);
  });

  it('C2: go under the generation of their route, one call for each', async () => {
    const routes = [route(0, 1), route(1, 2), route(2, 1)];
    for (const one of routes) one.settleTo(4);
    const { sent, commits } = setUp(routes);
    await commits.now();
    expect(sent).toEqual(['1: 0=4,2=4', '2: 1=4']);
  });

  it('C3: one that failed or was stale is sent again, and holds up no other generation', async () => {
    const [old, young] = [route(0, 1), route(1, 2)];
    for (const one of [old, young]) one.settleTo(4);
    const { sent, commits } = setUp([old, young], (number) =>
      number === 1 ? Promise.reject(new Error('no coordinator')) : Promise.resolve(number === 2 ? 'stale' : 'committed'),
    );
    await commits.now();
    expect([old.committed, young.committed]).toEqual([0, 0]);
    await commits.now();
    expect(sent).toEqual(['1: 0=4', '2: 1=4', '1: 0=4', '2: 1=4']);
    expect([old.committed, young.committed]).toEqual([4, 4]);
  });

  it('none goes out after the end, and no timer is left', async () => {
    const one = route(0, 1);
    const { clock, sent, commits } = setUp([one]);
    one.settleTo(1);
    commits.end();
    await commits.now();
    clock.advance(1_000);
    await turn();
    expect([sent, clock.pendingCount]).toEqual([[], 0]);
  });

  it('B-12: what was processed last is the newest batch whose every record is below the watermark', async () => {
    const one = route(0, 1);
    one.batchEnds.push({ offset: 1, timestampMs: 10 }, { offset: 3, timestampMs: 30 }, { offset: 9, timestampMs: 90 });
    const { commits } = setUp([one]);
    one.settleTo(5);
    await commits.now();
    expect([one.processedMs, one.batchEnds]).toEqual([30, [{ offset: 9, timestampMs: 90 }]]);
  });
});
