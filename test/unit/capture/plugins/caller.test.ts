import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCaller, type Called } from '../../../../src/capture/plugins/caller.ts';
import { copyJson } from '../../../../src/capture/plugins/copy-json.ts';
import { readJson } from '../../../../src/capture/json-text.ts';
import { manualClock } from '../../../kit/clock.ts';
import { facts } from '../kit.ts';
import { never } from './kit.ts';

const same = (given: unknown): unknown => given;

function called() {
  const clock = manualClock();
  const caller = createCaller({ plugin: 'p', kind: 'data', timeoutMs: 100, pauseMs: 1_000, clock });
  const once = async (work: () => unknown): Promise<Called<unknown>> => {
    const session = caller.begin();
    try {
      return await session.run(work, same);
    } finally {
      session.end();
    }
  };
  const fail = (): never => {
    throw new Error('no');
  };
  return { clock, caller, once, fail, failed: facts('capture-plugin-failed'), suspended: facts('capture-plugin-suspended') };
}

describe('a call of a plugin', () => {
  test.each<[string, () => unknown]>([
    ['a value', () => 1],
    ['a promise', () => Promise.resolve(1)],
    ['something that can be awaited', () => ({ then: (resolve: (value: number) => void) => resolve(1) })],
  ])('brings %s', async (_, work) => {
    expect(await called().once(work)).toEqual({ type: 'done', value: 1 });
  });

  test.each<[string, () => unknown, string]>([
    ['throws', () => called().fail(), 'no'],
    ['rejects', () => Promise.reject(new Error('later')), 'later'],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what plugins do
    ['rejects with what is no Error', () => Promise.reject('text'), 'text'],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- it has no toString either
    ['rejects with what cannot be a text', () => Promise.reject(Object.create(null)), '[object Object]'],
  ])('G2: that %s is a failure by name, and no rejection', async (_, work, message) => {
    const { once, failed } = called();
    expect(await once(work)).toEqual({ type: 'failed' });
    expect(failed).toEqual([{ plugin: 'p', kind: 'data', why: 'error', message }]);
  });

  test('G2: what is read from its answer and is none is a failure too', async () => {
    const { caller, failed } = called();
    const session = caller.begin();
    const refuse = (): never => {
      throw new Error('no event');
    };
    expect(await session.run(() => 1, refuse)).toEqual({ type: 'failed' });
    expect(failed).toMatchObject([{ message: 'no event' }]);
  });

  test('G1: one that hangs ends with its time, its signal is aborted, and calls after it are not made', async () => {
    const { clock, caller, failed } = called();
    const told = facts('capture-plugin-called');
    const session = caller.begin();
    const hanging = session.run(never, same);
    clock.advance(99);
    expect(session.signal.aborted).toBe(false);
    clock.advance(1);
    expect(await hanging).toEqual({ type: 'failed' });
    expect(session.signal.aborted).toBe(true);
    let calls = 0;
    expect(await session.run(() => calls++, same)).toEqual({ type: 'failed' });
    session.end();
    expect([calls, failed.length]).toEqual([0, 1]);
    expect(failed[0]).toMatchObject({ why: 'timeout', message: 'no answer within 100 ms' });
    expect(told).toEqual([{ plugin: 'p', kind: 'data', done: 0, failed: 1, skipped: 1, durationMs: 100 }]);
  });

  test('G1: a request that has less time gives it less', async () => {
    const { clock, caller, failed } = called();
    const hanging = caller.begin(10).run(never, same);
    clock.advance(10);
    expect(await hanging).toEqual({ type: 'failed' });
    expect(failed).toMatchObject([{ message: 'no answer within 10 ms' }]);
  });

  test('G5: a rejection that comes after its time is nobody’s', async () => {
    const { clock, caller, failed } = called();
    const session = caller.begin();
    const { promise, reject } = Promise.withResolvers();
    const late = session.run(() => promise, same);
    clock.advance(100);
    await late;
    reject(new Error('too late'));
    await new Promise(setImmediate); // an unhandled rejection would fail the run
    expect(failed).toHaveLength(1);
  });

  test('G3: five failures in a row, and it is left alone; others that were at work then change nothing', async () => {
    const { caller, clock, once, fail, suspended } = called();
    const hanging = Array.from({ length: 7 }, () => caller.begin().run(never, same));
    clock.advance(100);
    await Promise.all(hanging);
    expect(suspended).toEqual([{ plugin: 'p', kind: 'data', failures: 5, pauseMs: 1_000 }]);
    let calls = 0;
    expect(await once(() => calls++)).toEqual({ type: 'failed' });
    expect(calls).toBe(0);
    expect(fail).toThrow();
  });

  test('G3: a success in between begins the count anew', async () => {
    const { once, fail, suspended } = called();
    for (let round = 0; round < 3; round++) {
      for (let failures = 0; failures < 4; failures++) await once(fail);
      await once(() => 1);
    }
    expect(suspended).toEqual([]);
  });

  test('G4: a request whose events all make it fail counts as one failure; five such, and it is left alone', async () => {
    const { caller, fail, failed, suspended } = called();
    for (let sessions = 1; sessions <= 5; sessions++) {
      expect(suspended).toEqual([]);
      const session = caller.begin();
      for (let calls = 0; calls < 10; calls++) await session.run(fail, same);
      session.end();
    }
    expect(suspended).toMatchObject([{ failures: 5 }]);
    expect(failed.length).toBe(41); // the last nine calls were not made
  });

  test('what a plugin says is cut short in facts', async () => {
    const { once, failed } = called();
    await once(() => Promise.reject(new Error('x'.repeat(10_000))));
    expect(failed[0]?.message).toHaveLength(500);
  });

  test('G3: after the pause it is tried by one call at a time; well, and it is called again', async () => {
    const { clock, caller, once, fail, suspended } = called();
    const resumed = facts('capture-plugin-resumed');
    for (let failures = 0; failures < 5; failures++) await once(fail);
    clock.advance(1_000);
    const { promise, resolve } = Promise.withResolvers();
    const trial = caller.begin().run(() => promise, same);
    expect(await once(() => 1)).toEqual({ type: 'failed' }); // while it is tried
    resolve(1);
    expect(await trial).toEqual({ type: 'done', value: 1 });
    expect(resumed).toEqual([{ plugin: 'p', kind: 'data' }]);
    expect(await once(() => 2)).toEqual({ type: 'done', value: 2 });
    expect(suspended).toHaveLength(1);
  });

  test('G3: a trial that fails is another pause', async () => {
    const { clock, once, fail, suspended } = called();
    for (let failures = 0; failures < 5; failures++) await once(fail);
    clock.advance(1_000);
    await once(fail);
    expect(suspended).toHaveLength(2);
    clock.advance(999);
    let calls = 0;
    await once(() => calls++);
    expect(calls).toBe(0);
  });
});

describe('copies of JSON', () => {
  test('are equal, and share nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        const copy = copyJson(value);
        expect(JSON.stringify(copy)).toBe(before);
        if (typeof value === 'object' && value !== null) expect(copy).not.toBe(value);
      }),
    );
  });

  test('keep long numbers, order and __proto__', () => {
    const text = '{"z":123456789012345678901234567890,"__proto__":{"a":[1,{"b":null}]},"a":""}';
    const read = readJson(text);
    expect(JSON.stringify(copyJson(read.ok && read.value))).toBe(text);
  });

  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  test.each<[string, unknown, string]>([
    ['a function', { f: () => 1 }, 'a function is no JSON'],
    ['a bigint', { n: 1n }, 'a bigint is no JSON'],
    ['NaN', [NaN], 'NaN is no JSON'],
    ['a Date', { at: new Date() }, 'a Date is no JSON'],
    ['a Map', new Map(), 'a Map is no JSON'],
    ['a circle', circle, 'it nests deeper than 500 levels, or in a circle'],
  ])('refuse %s by name', (_, value, message) => {
    expect(() => copyJson(value)).toThrow(message);
  });

  test('leave out what is undefined in objects, and keep the places of arrays', () => {
    expect(copyJson({ a: undefined, b: [undefined, 1] })).toEqual({ b: [null, 1] });
  });
});
