import { describe, expect, it } from 'vitest';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import { createRedisBuffer } from '../../../actors/redis-buffer/index.ts';
import type { RedisBufferMessage, Warning } from '../../../actors/redis-buffer/messages.ts';
import { observe, type FactName } from '../../../src/observe/facts.ts';
import { StateStoreError, type RankEntry, type StateStore } from '../../../src/redis/port.ts';
import { pass, probe, settle, testSystem } from '../../kit/actors.ts';

const HOUR_MS = 3_600_000;

function setUp(maxPendingCount = 100) {
  const { system, clock } = testSystem();
  const keys = new Map<string, number>();
  const ranked: RankEntry[][] = [];
  const control = { away: false };
  let askedCount = 0;
  const answer = <T>(value: () => T): Promise<T> => (control.away ? Promise.reject(new StateStoreError('away')) : Promise.resolve(value()));
  const store: Pick<StateStore, 'rankAdd' | 'setIfAbsent'> = {
    rankAdd: (entries) => answer(() => void (entries.length > 0 && ranked.push([...entries]))),
    setIfAbsent: (entries) =>
      answer(() =>
        entries.map(({ key, ttlMs }) => {
          askedCount++;
          if ((keys.get(key) ?? 0) > clock.now()) return false;
          keys.set(key, clock.now() + ttlMs);
          return true;
        }),
      ),
  };
  const writer = probe<RowWriterMessage>('writer');
  const make = (name: string) =>
    system.spawn(
      createRedisBuffer({
        store: store as StateStore,
        rowWriter: writer,
        options: { flushEveryMs: 200, maxPendingCount, mailboxCapacityCount: 10_000 },
        strategy: { directive: 'escalate' },
      }),
      name,
    );
  const ref = make('redis-buffer');
  const tell = (message: RedisBufferMessage, to = ref) => expect(to.tell(message)).toBe('accepted');
  const warn = (more: Partial<Warning> = {}, to = ref) =>
    tell(
      {
        type: 'warn',
        warning: {
          teamId: 2,
          type: 'skipping_event_invalid_uuid',
          debounceKey: '',
          alwaysSend: false,
          details: { a: 1 },
          atMs: 5,
          ...more,
        },
      },
      to,
    );
  const stored = () => writer.messages.flatMap((message) => (message.type === 'store-side-rows' ? message.rows : []));
  const flushed = async () => {
    await settle(system); // the timer is made when the first message is handled
    await pass(system, clock, 200);
  };
  return { system, clock, ref, make, tell, warn, stored, flushed, keys, ranked, control, writer, asked: () => askedCount };
}
async function factsDuring(name: FactName, run: () => Promise<void>): Promise<unknown[]> {
  const facts: unknown[] = [];
  const stop = observe(name, (fact) => facts.push(fact));
  await run();
  stop();
  return facts;
}

describe('warnings', () => {
  it('Z3, W-1: one passes per team, type and key in an hour, over all processes', async () => {
    const { make, warn, stored, flushed, clock } = setUp();
    const other = make('other-process');
    warn();
    warn();
    warn({ teamId: 3 });
    warn({ type: 'message_size_too_large' });
    warn({ debounceKey: 'ada' });
    await flushed();
    warn({}, other);
    await flushed();
    expect(stored()).toHaveLength(4);
    expect(stored()[0]).toEqual({
      table: 'ingestion_warnings',
      teamId: 2,
      type: 'skipping_event_invalid_uuid',
      details: '{"a":1}',
      timestampMs: 5,
    });
    clock.advance(HOUR_MS);
    warn({}, other);
    await flushed();
    expect(stored()).toHaveLength(5);
  });
  it('a debounce key is not in the store in clear', async () => {
    const { warn, flushed, keys } = setUp();
    warn({ debounceKey: 'ada@example.com' });
    await flushed();
    expect([...keys.keys()]).toEqual([expect.stringMatching(/^troupe:warning:2:skipping_event_invalid_uuid:[\w-]{22}$/) as unknown]);
  });
  it('Z4: one that always passes waits for no flush and no store', async () => {
    const { warn, stored, system, control } = setUp();
    control.away = true;
    const facts = await factsDuring('warning-raised', async () => {
      warn({ alwaysSend: true });
      warn({ alwaysSend: true });
      await settle(system);
    });
    expect(stored()).toHaveLength(2);
    expect(facts).toMatchObject([{ debounced: false }, { debounced: false }]);
  });
  it('Z3: with the store away this process debounces by itself, and says so once', async () => {
    const { warn, stored, flushed, control, clock } = setUp();
    const facts = await factsDuring('state-store-unavailable', async () => {
      control.away = true;
      warn();
      await flushed();
      warn();
      warn({ teamId: 9 });
      await flushed();
      expect(stored().map((row) => row.teamId)).toEqual([2, 9]);
      clock.advance(HOUR_MS);
      warn();
      await flushed();
    });
    expect(stored()).toHaveLength(3);
    expect(facts).toHaveLength(1);
  });
  it('Z5: a flood of one warning pushes out nobody else and asks the store once a minute, then passes again in its hour', async () => {
    const { make, warn, stored, flushed, clock, system, asked } = setUp(3);
    const other = make('other-process');
    for (let count = 0; count < 1_000; count++) warn();
    warn({ teamId: 9 });
    await flushed();
    expect(stored().map((row) => row.teamId)).toEqual([2, 9]);
    expect(JSON.stringify(system.inspect.list())).not.toMatch(/"droppedWarnings":[1-9]/);
    // Another process hears the store's no, and believes it for a minute.
    const before = asked();
    for (let count = 0; count < 3; count++) {
      warn({}, other);
      await flushed();
    }
    expect(asked()).toBe(before + 1);
    clock.advance(60_000);
    warn({}, other);
    await flushed();
    expect(asked()).toBe(before + 2);
    clock.advance(HOUR_MS);
    warn({}, other);
    await flushed();
    expect(stored()).toHaveLength(3);
  });
  it('Z5: what is let go is counted as debounced', async () => {
    const { warn, flushed } = setUp();
    const facts = await factsDuring('warning-raised', async () => {
      warn();
      warn();
      await flushed();
      warn();
      await flushed();
    });
    expect(facts.map((fact) => (fact as { debounced: boolean }).debounced)).toEqual([true, false, true]);
  });
  it('Z3: what passed while the store answered is remembered for when it does not', async () => {
    const { warn, stored, flushed, control } = setUp();
    warn();
    await flushed();
    control.away = true;
    warn();
    await flushed();
    expect(stored()).toHaveLength(1);
  });
});

describe('presence', () => {
  it('is coalesced to the newest time per team and member, and old members leave', async () => {
    const { tell, flushed, ranked, clock } = setUp();
    tell({ type: 'seen', teamId: 2, member: 'm', atMs: 10 });
    tell({ type: 'seen', teamId: 2, member: 'm', atMs: 30 });
    tell({ type: 'seen', teamId: 2, member: 'm', atMs: 20 });
    tell({ type: 'seen', teamId: 3, member: 'm', atMs: 5 });
    await flushed();
    const common = { ttlMs: 300_000, keepFrom: clock.now() - 300_000 };
    expect(ranked).toEqual([
      [
        { key: 'troupe:presence:2', member: 'm', score: 30, ...common },
        { key: 'troupe:presence:3', member: 'm', score: 5, ...common },
      ],
    ]);
  });
  it('Z2: beyond the bound it is left out, counted by name and stated once a flush', async () => {
    const { tell, warn, flushed, ranked, stored, system } = setUp(3);
    const facts = await factsDuring('log-written', async () => {
      for (let member = 0; member < 10; member += 1) tell({ type: 'seen', teamId: 2, member: String(member), atMs: 1 });
      for (let team = 0; team < 5; team += 1) warn({ teamId: team });
      await flushed();
    });
    expect(ranked[0]).toHaveLength(3);
    expect(stored()).toHaveLength(3);
    expect(facts).toMatchObject([{ fields: { presence: 7, warning: 2 } }]);
    expect(JSON.stringify(system.inspect.list())).toContain('"droppedPresences":7');
  });
});

describe('a drain', () => {
  it('flushes what waits at once, and is answered when nothing waits', async () => {
    const { system, tell, warn, stored } = setUp();
    const drained = probe<{ readonly type: 'drained' }>();
    warn();
    await settle(system);
    tell({ type: 'drain', replyTo: drained });
    await settle(system);
    expect(stored()).toHaveLength(1);
    expect(drained.messages).toHaveLength(1);
    tell({ type: 'drain', replyTo: drained });
    await settle(system);
    expect(drained.messages).toHaveLength(2);
  });
  it('is answered also while the store is away', async () => {
    const { system, tell, warn, stored, control } = setUp();
    control.away = true;
    const drained = probe<{ readonly type: 'drained' }>();
    warn();
    tell({ type: 'drain', replyTo: drained });
    await settle(system);
    expect([stored().length, drained.messages.length]).toEqual([1, 1]);
  });
});
