import { afterEach, describe, expect, it } from 'vitest';
import { startLagWatch } from '../../../src/start/lag-watch.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { manualClock } from '../../kit/clock.ts';

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

function setUp() {
  const clock = manualClock();
  const lags: Facts['router-lag-measured'][] = [];
  const warnings: string[] = [];
  const broker = { isAway: false, asked: [] as string[], whileAsked: (): void => undefined };
  const ours = [
    { topic: 'a', partition: 0, watermark: 90 },
    { topic: 'a', partition: 1, watermark: 100 },
    { topic: 'b', partition: 0, watermark: 0 },
  ];
  ends.push(observe('router-lag-measured', (fact) => void lags.push(fact)));
  ends.push(observe('log-written', ({ message }) => void warnings.push(message)));
  const watch = startLagWatch({
    clock,
    everyMs: 1_000,
    ledgers: () => ours,
    admin: {
      endOffsets(topic) {
        broker.asked.push(topic);
        broker.whileAsked();
        if (broker.isAway) return Promise.reject(new Error('away'));
        return Promise.resolve([0, 1].map((partition) => ({ partition, offset: 100 })));
      },
    },
  });
  ends.push(() => watch.stop());
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { broker, ours, lags, warnings, watch, pass };
}

describe('the lag', () => {
  it('is the end of the partition less its watermark, asked for once a topic', async () => {
    const { broker, lags, pass } = setUp();
    await pass(1_000);
    expect(broker.asked).toEqual(['a', 'b']);
    expect(lags).toEqual([
      { topic: 'a', partition: 0, lag: 10 },
      { topic: 'a', partition: 1, lag: 0 },
      { topic: 'b', partition: 0, lag: 100 },
    ]);
  });

  it('of a partition that is lost while the brokers are asked is not ours to tell', async () => {
    const { broker, ours, lags, pass } = setUp();
    broker.whileAsked = () => void ours.splice(0, 1);
    await pass(1_000);
    expect(lags.map(({ topic, partition }) => [topic, partition])).not.toContainEqual(['a', 0]);
  });

  it('is asked for again after the brokers were away, and not any more after the stop', async () => {
    const { broker, lags, warnings, watch, pass } = setUp();
    broker.isAway = true;
    await pass(1_000);
    expect(lags).toEqual([]);
    expect(warnings).toHaveLength(2);
    broker.isAway = false;
    await pass(1_000);
    expect(lags).toHaveLength(3);
    watch.stop();
    await pass(10_000);
    expect(lags).toHaveLength(3);
  });
});
