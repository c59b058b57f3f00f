import { describe, expect, test } from 'vitest';
import type { FromWorker, ToWorker, WorkerEvents } from '../../../src/start/workers/protocol.ts';
import { superviseWorkers, type WorkerLimits } from '../../../src/start/workers/supervisor.ts';
import { mergeMetrics } from '../../../src/telemetry/merge-metrics.ts';
import { manualClock } from '../../kit/clock.ts';

/** Workers that are the test's own. */
function supervised(count: number, limits: Partial<WorkerLimits> = {}) {
  const clock = manualClock();
  const hopeless: string[] = [];
  const lives: { readonly slot: number; readonly told: ToWorker[]; readonly events: WorkerEvents; killed: boolean }[] = [];
  const workers = superviseWorkers({
    count,
    clock,
    graceMs: 30_000,
    onHopeless: (error) => void hopeless.push(error.message),
    limits: { firstRestMs: 100, maxRestMs: 400, calmMs: 60_000, deathCount: 5, deathWindowMs: 60_000, askMs: 1_000, ...limits },
    fork(slot, events) {
      const life = { slot, told: [] as ToWorker[], events, killed: false };
      lives.push(life);
      return { pid: lives.length, send: (message) => void life.told.push(message), kill: () => void (life.killed = true) };
    },
  });
  const life = (index: number) => {
    const found = lives[index];
    if (found === undefined) throw new Error(`there are ${lives.length} lives`);
    return found;
  };
  return {
    clock,
    workers,
    hopeless,
    lives,
    life,
    starts: (index: number) => life(index).events.heard({ type: 'started', url: `http://${index}` }),
    dies: (index: number) => life(index).events.ended(null, 'SIGKILL'),
    answers: (index: number, text: string): void => {
      for (const message of life(index).told)
        if (message.type === 'ask') life(index).events.heard({ type: 'answer', id: message.id, text } satisfies FromWorker);
    },
  };
}

describe('the supervisor of workers', () => {
  test('begins all of them, tells each its number, and is there when the first serves', async () => {
    const { workers, lives, starts } = supervised(3);
    expect(lives.map(({ told }) => told)).toEqual([1, 2, 3].map((slot) => [{ type: 'begin', slot }]));
    starts(1);
    expect(await workers.started).toBe('http://1');
  });

  test('I1, I2: one that dies is begun again under its number, after a rest that doubles up to its limit', () => {
    const { clock, lives, starts, dies } = supervised(2, { deathCount: 100 });
    starts(0);
    starts(1);
    const rests: number[] = [];
    for (let index = 1; rests.length < 5; index++) {
      dies(index);
      const begunMs = clock.monotonic();
      const count = lives.length;
      for (let waited = 0; waited < 10_000 && lives.length === count; waited += 10) clock.advance(10);
      rests.push(clock.monotonic() - begunMs);
    }
    expect(lives.map(({ slot }) => slot)).toEqual([1, 2, 2, 2, 2, 2, 2]);
    expect(rests).toEqual([100, 200, 400, 400, 400]);
  });

  test('I2: one that lived calmly begins with a short rest again', () => {
    const { clock, lives, starts, dies } = supervised(1, { deathCount: 100 });
    starts(0);
    dies(0);
    clock.advance(100);
    dies(1);
    clock.advance(200);
    clock.advance(60_000);
    dies(2);
    clock.advance(100);
    expect(lives).toHaveLength(4);
  });

  test('I3: more deaths within a minute than are allowed are hopeless, told once; as many over a longer time are not', () => {
    const { clock, hopeless, lives, starts, dies } = supervised(1, { deathCount: 3, calmMs: 1 });
    starts(0);
    for (let death = 0; death < 4; death++) {
      dies(lives.length - 1);
      clock.advance(20_000);
    }
    expect(hopeless).toEqual([]);
    for (let death = 0; death < 3; death++) {
      dies(lives.length - 1);
      clock.advance(1_000);
    }
    expect(hopeless).toEqual([expect.stringContaining('workers died within a minute, the last with SIGKILL')]);
  });

  test('I3: one that ends before any has started is hopeless at once', () => {
    const { hopeless, life } = supervised(2);
    life(0).events.ended(1, null);
    life(1).events.ended(1, null);
    expect(hopeless).toEqual([expect.stringContaining('a worker ended (code 1) before any had started')]);
  });

  test('I4: a stop tells all, begins none, and kills what has not ended in time', async () => {
    const { clock, workers, life, lives, starts, dies } = supervised(3);
    for (const index of [0, 1, 2]) starts(index);
    dies(2);
    const stopped = workers.stop();
    expect(workers.isStopping()).toBe(true);
    expect([0, 1].map((index) => life(index).told.at(-1))).toEqual([{ type: 'stop' }, { type: 'stop' }]);
    life(0).events.ended(0, null);
    clock.advance(29_999);
    expect(life(1).killed).toBe(false);
    clock.advance(1);
    expect(life(1).killed).toBe(true);
    dies(1);
    await expect(stopped).rejects.toThrow('1 of 3 workers did not end well');
    expect(lives).toHaveLength(3);
  });

  test('questions: who does not answer in time counts for nothing, and holds up nobody', async () => {
    const { clock, workers, starts, answers } = supervised(3);
    for (const index of [0, 1]) starts(index);
    const ready = workers.readyCount();
    answers(0, 'ready');
    clock.advance(1_000);
    expect(await ready).toBe(1);
    const metrics = workers.metrics();
    answers(1, 'up 1\n');
    clock.advance(1_000);
    expect(await metrics).toEqual(new Map([['2', 'up 1\n']]));
  });

  test('a reload is passed on to all', () => {
    const { workers, life } = supervised(2);
    const cause = { by: 'signal', who: 'SIGHUP' } as const;
    workers.reload(cause);
    expect([0, 1].map((index) => life(index).told.at(-1))).toEqual([
      { type: 'reload', cause },
      { type: 'reload', cause },
    ]);
  });
});

test('metrics of several processes: families stay together, each series has its worker', () => {
  const first = '# HELP a_total A.\n# TYPE a_total counter\na_total{path="/e"} 1\n\n# HELP b B {x} y.\n# TYPE b gauge\nb 2\n';
  const second = '# HELP a_total A.\n# TYPE a_total counter\na_total{path="/{e}"} 3\n\n# HELP c C.\n# TYPE c gauge\nc 4\n';
  expect(
    mergeMetrics(
      new Map([
        ['1', first],
        ['2', second],
      ]),
    ),
  ).toBe(
    [
      '# HELP a_total A.',
      '# TYPE a_total counter',
      'a_total{worker="1",path="/e"} 1',
      'a_total{worker="2",path="/{e}"} 3',
      '',
      '# HELP b B {x} y.',
      '# TYPE b gauge',
      'b{worker="1"} 2',
      '',
      '# HELP c C.',
      '# TYPE c gauge',
      'c{worker="2"} 4',
      '',
    ].join('\n'),
  );
});
