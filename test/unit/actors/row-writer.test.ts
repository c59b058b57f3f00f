/** What both row writers do, whatever their rows travel with: a carrier whose every flight the test decides. */
import { afterEach, describe, expect, it } from 'vitest';
import { createRowWriter } from '../../../actors/row-writer/behavior.ts';
import { GivenUpError, NotFreshError, type Carrier } from '../../../actors/row-writer/carrier.ts';
import { observe } from '../../../src/observe/facts.ts';
import { gate, pass, probe, settle, testSystem, type Gate } from '../../kit/actors.ts';
import { eventRow, testSettlement } from '../../kit/event-rows.ts';

interface Flight {
  readonly offsets: readonly number[];
}
class Away extends Error {}

const ears: (() => void)[] = [];
afterEach(() => {
  for (const end of ears.splice(0)) end();
});

/** @param fate what becomes of the n-th try, from 1 */
function setUp(fate: (number: number) => Promise<void> | void = () => undefined) {
  const { system, clock } = testSystem();
  const tries: { readonly atMs: number; readonly offsets: readonly number[] }[] = [];
  const landed: (readonly number[])[] = [];
  const logged: string[] = [];
  ears.push(observe('log-written', ({ level, fields }) => void logged.push(`${level} ${String(fields?.['retryMs'])}`)));
  let load: number[] = [];
  let givenUp = (): boolean => false;
  const carrier: Carrier<Flight> = {
    takeEvent: ({ pending }) => void load.push(pending.offset),
    takeSides: () => undefined,
    takeRowless: () => undefined,
    isEmpty: () => load.length === 0,
    isFull: () => load.length >= 4,
    takeOff() {
      const offsets = load;
      load = [];
      return { offsets };
    },
    async fly({ offsets }, isGivenUp) {
      givenUp = isGivenUp;
      if (isGivenUp()) throw new GivenUpError();
      tries.push({ atMs: clock.monotonic(), offsets });
      await fate(tries.length);
    },
    landed: ({ offsets }) => void landed.push(offsets),
    inspect: (flight) => ({ waiting: load.length, flying: flight?.offsets.length ?? 0 }),
  };
  const escalated: unknown[] = [];
  const spec = createRowWriter<Flight>({
    kind: 'row-writer',
    clock,
    options: { maxRowsCount: 4, maxBytes: 1_000, maxAgeMs: 20, mailboxCapacityCount: 100, stopFlushMs: 2_000 },
    strategy: { directive: 'escalate' },
    carrier: () => carrier,
    outageOf: (error) => (error instanceof Away ? { level: 'warn', message: 'Away.', fields: {} } : undefined),
    maxRetryMs: 400,
  });
  const writer = system.spawn(spec, 'row-writer', undefined, (_ref, error) => void escalated.push(error));
  const settlement = testSettlement();
  return {
    system,
    writer,
    tries,
    landed,
    logged,
    escalated,
    givenUp: () => givenUp(),
    store: (...offsets: number[]) =>
      expect(writer.tell({ type: 'store-events', rows: offsets.map((offset) => eventRow(settlement, offset)) })).toBe('accepted'),
    settle: () => settle(system),
    pass: async (ms: number, stepMs = 10) => {
      await settle(system);
      await pass(system, clock, ms, stepMs);
    },
    phase: () => system.inspect.one('/row-writer')?.details?.['phase'],
    clock,
  };
}

describe('a load takes off', () => {
  it('when it is full, when it is old, or when somebody waits for a drain; else it gathers', async () => {
    const { store, settle: settled, pass: passed, writer, landed, phase } = setUp();
    store(1);
    await settled();
    expect([landed, phase()]).toEqual([[], 'gathering']);
    await passed(20);
    store(2, 3, 4, 5);
    await settled();
    const drained = probe<{ readonly type: 'drained' }>();
    store(6);
    writer.tell({ type: 'drain', replyTo: drained });
    await settled();
    expect(landed).toEqual([[1], [2, 3, 4, 5], [6]]);
    expect(drained.messages).toEqual([{ type: 'drained' }]);
  });

  it('F1: only when the flight before has landed, with all that came meanwhile', async () => {
    const first: Gate = gate();
    const { store, settle: settled, tries, phase } = setUp((number) => (number === 1 ? first.promise : undefined));
    store(1, 2, 3, 4);
    await settled();
    store(5, 6, 7, 8);
    store(9);
    await settled();
    expect([tries.length, phase()]).toEqual([1, 'sending']);
    first.open();
    await settled();
    expect(tries.map(({ offsets }) => offsets)).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8, 9],
    ]);
  });
});

describe('F2: in an outage', () => {
  it('the same flight is tried again, ever more rarely up to a limit, and each time it is said', async () => {
    const {
      store,
      pass: passed,
      tries,
      landed,
      logged,
      phase,
    } = setUp((number) => {
      if (number <= 5) throw new Away();
    });
    store(1, 2, 3, 4);
    await passed(90);
    expect(phase()).toBe('waiting');
    await passed(2_000);
    expect(tries.map(({ offsets }) => offsets)).toEqual(Array.from({ length: 6 }, () => [1, 2, 3, 4]));
    expect(logged).toEqual(['warn 100', 'warn 200', 'warn 400', 'warn 400', 'warn 400']);
    expect(landed).toEqual([[1, 2, 3, 4]]);
  });

  it('that is over, the next one begins with short waits again', async () => {
    const {
      store,
      pass: passed,
      logged,
    } = setUp((number) => {
      if (number <= 2 || number === 4) throw new Away();
    });
    store(1, 2, 3, 4);
    await passed(1_000);
    store(5, 6, 7, 8);
    await passed(1_000);
    expect(logged).toEqual(['warn 100', 'warn 200', 'warn 100']);
  });

  it('of our own heartbeat it tries again soon, and says nothing', async () => {
    const {
      store,
      pass: passed,
      tries,
      logged,
    } = setUp((number) => {
      if (number <= 3) throw new NotFreshError();
    });
    store(1, 2, 3, 4);
    await passed(300);
    expect(tries.map(({ atMs }) => atMs)).toEqual([0, 100, 200, 300]);
    expect(logged).toEqual([]);
  });

  it('that is none but a bug, the writer crashes', async () => {
    const {
      store,
      settle: settled,
      escalated,
    } = setUp(() => {
      throw new TypeError('a bug');
    });
    store(1, 2, 3, 4);
    await settled();
    expect(escalated).toEqual([expect.objectContaining({ message: 'a bug' })]);
  });
});

describe('F3: a stop', () => {
  it('sends what is left, also behind a flight, and through an outage', async () => {
    const first: Gate = gate();
    const {
      system,
      writer,
      store,
      settle: settled,
      pass: passed,
      landed,
    } = setUp((number) => {
      if (number === 2) throw new Away();
      return number === 1 ? first.promise : undefined;
    });
    store(1, 2, 3, 4);
    store(5);
    await settled();
    const stopped = system.stop(writer, 10_000);
    first.open();
    await passed(200);
    await stopped;
    expect(landed).toEqual([[1, 2, 3, 4], [5]]);
  });

  it('gives up after its limit, and begins nothing after it', async () => {
    const {
      system,
      writer,
      store,
      pass: passed,
      tries,
      landed,
      givenUp,
    } = setUp(() => {
      throw new Away();
    });
    store(1, 2, 3, 4);
    await passed(50);
    const stopped = system.stop(writer, 10_000);
    await passed(2_200);
    await stopped;
    const { length } = tries;
    await passed(5_000);
    expect([landed, tries.length, givenUp()]).toEqual([[], length, true]);
  });

  it('after a crash tries nothing: what is left comes again from Kafka', async () => {
    const {
      store,
      settle: settled,
      tries,
      givenUp,
    } = setUp(() => {
      throw new TypeError('a bug');
    });
    store(1, 2, 3, 4);
    store(5);
    await settled();
    expect([tries.length, givenUp()]).toEqual([1, true]);
  });
});
