import { describe, expect, it } from 'vitest';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import type { ActorSystem } from '../../../src/runtime/system.ts';
import type { Intakes } from '../../../supervisors/intakes.ts';
import type { Plugins } from '../../../supervisors/plugins.ts';
import { runPhases } from '../../../supervisors/shutdown.ts';
import type { Writers } from '../../../supervisors/writers.ts';
import { manualClock } from '../../kit/clock.ts';

const LIMITS = { drainMs: 100, flushMs: 200, stopMs: 300 };

/** Runs the phases with this work in each, moving the clock until they have ended. */
async function run(work: {
  readonly drain?: () => Promise<void>;
  readonly flush?: () => Promise<void>;
  readonly stop?: () => Promise<void>;
}) {
  const clock = manualClock();
  const logs: Facts['log-written'][] = [];
  const calls: string[] = [];
  const end = observe('log-written', (fact) => void logs.push(fact));
  const step = (name: string, limitMs: number, how: (() => Promise<void>) | undefined): Promise<void> => {
    calls.push(`${name} ${limitMs}`);
    return how?.() ?? Promise.resolve();
  };
  let done = false;
  void runPhases(clock, LIMITS, {
    intakes: { stop: (limitMs) => step('drain', limitMs, work.drain) } as Intakes,
    plugins: { unload: (limitMs) => step('unload', limitMs, undefined) } as Plugins,
    writers: { drain: (limitMs) => step('flush', limitMs, work.flush) } as Writers,
    system: { shutdown: (limitMs) => step('stop', limitMs, work.stop) } as ActorSystem,
  }).then(() => (done = true));
  for (let turn = 0; turn < 100 && !done; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!done) clock.advance(100);
  }
  end();
  return { done, calls, phases: logs.map(({ fields }) => fields?.['phase']), errors: logs.map(({ fields }) => fields?.['error']), clock };
}

describe('the phases of an orderly end', () => {
  it('run one after another, each with its limit, and leave no timer', async () => {
    const { done, calls, phases, clock } = await run({});
    expect([done, calls, phases]).toEqual([true, ['drain 100', 'unload 50', 'flush 150', 'stop 300'], []]);
    expect(clock.pendingCount).toBe(0);
  });

  it('one that fails is named, and the next runs', async () => {
    const { done, calls, phases, errors } = await run({ flush: () => Promise.reject(new Error('no answer')) });
    expect([done, calls.length, phases, errors]).toEqual([true, 4, ['flush'], ['no answer']]);
  });

  it('one that never ends is given up after its limit and a grace', async () => {
    const { done, calls, phases, clock } = await run({ drain: () => new Promise(() => undefined) });
    expect([done, calls.length, phases]).toEqual([true, 4, ['drain']]);
    expect(clock.monotonic()).toBeLessThanOrEqual(LIMITS.drainMs + 1_000 + 200);
  });
});
