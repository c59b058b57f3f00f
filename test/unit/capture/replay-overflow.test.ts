import { describe, expect, test } from 'vitest';
import { watchReplayOverflow } from '../../../src/capture/replay-overflow.ts';
import { NO_RULES } from '../../../src/capture/rules.ts';
import { manualClock } from '../../kit/clock.ts';
import { facts, fakeProducer, serving, settled, type Served } from './kit.ts';

/** spec/capture.md 7.2, of recordings. */
const [BUSY, CALM] = ['018f0000-0000-7000-8000-0000000000aa', '018f0000-0000-7000-8000-0000000000bb'];
const recording = (session: string, token = 'phc_x'): { body: string } => ({
  body: JSON.stringify({ event: '$snapshot', properties: { token, distinct_id: 'u1', $session_id: session, $snapshot_data: [{}] } }),
});

describe('recordings that overflow', () => {
  const sendBoth = async (served: Served, token?: string): Promise<void> => {
    for (const session of [BUSY, CALM]) expect(await served.ask('/s', recording(session, token))).toMatchObject({ status: 200 });
  };

  test('7.2: a session in the set goes to the overflow topic until its score, with its session as key', async () => {
    const clock = manualClock();
    const asked: string[] = [];
    const rankFrom = (key: string, from: number) => {
      asked.push(key);
      return Promise.resolve([{ member: BUSY, score: from + 7 }]);
    };
    const replayOverflow = watchReplayOverflow({ store: { rankFrom }, keyPrefix: 'px', clock, intervalMs: 60_000 });
    await settled();
    const rerouted = facts('capture-events-rerouted');
    const producer = fakeProducer();
    const served = await serving(producer, { replayOverflow });
    await sendBoth(served);
    expect(producer.produced.map(({ topic, key }) => [topic, key])).toEqual([['recordings-overflow', BUSY], ['recordings', CALM]]); // prettier-ignore
    expect(rerouted).toEqual([{ to: 'overflow', reason: 'replay_limited', count: 1 }]);
    expect(asked).toEqual(['px@posthog/capture-overflow/replay']);
    clock.advance(7_000);
    await sendBoth(served);
    expect(producer.produced.slice(2).map(({ topic }) => topic)).toEqual(['recordings', 'recordings']);
    replayOverflow.close();
    expect(clock.pendingCount).toBe(0);
  });

  test('7.2: a listed token sends all of its recordings aside', async () => {
    const producer = fakeProducer();
    const served = await serving(producer, { rules: { ...NO_RULES, replayOverflowForced: ['phc_x'] } });
    await sendBoth(served);
    await sendBoth(served, 'phc_other');
    expect(producer.produced.map(({ topic }) => topic)).toEqual(['recordings-overflow', 'recordings-overflow', 'recordings', 'recordings']);
  });
});
