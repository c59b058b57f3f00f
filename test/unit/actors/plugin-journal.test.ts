import { describe, expect, it } from 'vitest';
import { createPluginJournal, type PluginJournalOptions } from '../../../actors/plugin-journal/index.ts';
import type { JournaledPlugin, LogSource, LogType, PluginJournalMessage } from '../../../actors/plugin-journal/messages.ts';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import { failureDetails } from '../../../src/domain/brief-json.ts';
import type { SideRow } from '../../../src/domain/rows.ts';
import { observe } from '../../../src/observe/facts.ts';
import { isUuid } from '../../../src/domain/uuid.ts';
import { pass, probe, restarting, settle, testSystem } from '../../kit/actors.ts';

type LogRow = Extract<SideRow, { table: 'plugin_log_entries' }>;
type MetricRow = Extract<SideRow, { table: 'app_metrics' }>;

const FLUSH_MS = 20_000;
const PLUGIN: JournaledPlugin = { teamId: 2, pluginId: 70, pluginConfigId: 7, logLevel: undefined };
const OTHER: JournaledPlugin = { ...PLUGIN, pluginConfigId: 8 };
const INSTANCE = '01890000-0000-7000-8000-00000000000a';

const event = (properties: Record<string, unknown> = {}) => ({
  uuid: 'u',
  event: 'e',
  distinct_id: 'd',
  team_id: 2,
  now: '',
  ip: null,
  properties,
});
const failure = (message = 'no', properties = {}) => {
  const fault = { name: 'TypeError', message, stack: `TypeError: ${message}\n    at processEvent (plugin:1:1)` };
  return { fault, details: failureDetails(fault, event(properties)) };
};

function setUp(options: Partial<PluginJournalOptions> = {}) {
  const { system, clock } = testSystem();
  const writer = probe<Extract<RowWriterMessage, { type: 'store-side-rows' }>>('writer');
  const spec = createPluginJournal({
    rowWriter: writer,
    instanceId: INSTANCE,
    options: {
      flushEveryMs: FLUSH_MS,
      maxKeysCount: 10,
      defaultLogLevel: 0,
      linesPerSecondCount: 5,
      errorsPerSecondCount: 3,
      mailboxCapacityCount: 1_000,
      ...options,
    },
    strategy: restarting({ quarantineMs: 1_000 }),
  });
  const ref = system.spawn(spec, 'journal');
  const told: unknown[] = [];
  const tell = async (message: PluginJournalMessage): Promise<void> => {
    expect(ref.tell(message)).toBe('accepted');
    await settle(system);
  };
  const rows = <Table extends SideRow['table']>(table: Table) =>
    writer.messages.flatMap((message) => message.rows).filter((row): row is Extract<SideRow, { table: Table }> => row.table === table);
  return {
    system,
    clock,
    ref,
    writer,
    told,
    tell,
    runs: (successes: number, failures: ReturnType<typeof failure>[] = [], plugin = PLUGIN) =>
      tell({ type: 'count-runs', plugin, successes, failures }),
    log: (lines: readonly (readonly [LogType, string])[], source: LogSource = 'CONSOLE', plugin = PLUGIN, lostCount = 0) =>
      tell({ type: 'log-lines', plugin, source, lines: lines.map(([type, message]) => ({ type, message })), lostCount }),
    metrics: (): MetricRow[] => rows('app_metrics'),
    lines: (): LogRow[] => rows('plugin_log_entries'),
    pass: (ms: number) => pass(system, clock, ms),
  };
}

describe('app metrics (4.8)', () => {
  it('AM-1, AM-2, J1: runs of a config are one row of category processEvent, however many batches; another config has its own', async () => {
    const { runs, metrics, clock, pass: wait } = setUp();
    await runs(3);
    await runs(4);
    await runs(1, [], OTHER);
    expect(metrics()).toEqual([]);
    await wait(FLUSH_MS);
    const row = { table: 'app_metrics', teamId: 2, category: 'processEvent', jobId: undefined, successesOnRetry: 0, failures: 0 };
    expect(metrics()).toEqual([
      { ...row, pluginConfigId: 7, successes: 7, error: undefined, timestampMs: clock.now() - FLUSH_MS },
      { ...row, pluginConfigId: 8, successes: 1, error: undefined, timestampMs: clock.now() - FLUSH_MS },
    ]);
    await wait(3 * FLUSH_MS);
    expect(metrics()).toHaveLength(2);
  });

  it('AM-2, AM-3: a failure is a row of its own with its error and the event', async () => {
    const { runs, metrics, pass: wait } = setUp();
    await runs(1, [failure('first', { a: 1 }), failure('second')]);
    await wait(FLUSH_MS);
    const [counted, first, second] = metrics();
    expect(counted).toMatchObject({ successes: 1, failures: 0, error: undefined });
    expect([first, second]).toMatchObject([
      { successes: 0, failures: 1, error: { type: 'TypeError' } },
      { successes: 0, failures: 1, error: { type: 'TypeError' } },
    ]);
    expect(JSON.parse(first?.error?.details ?? '')).toEqual({
      error: { name: 'TypeError', message: 'first', stack: 'TypeError: first\n    at processEvent (plugin:1:1)' },
      event: event({ a: 1 }),
    });
    expect(isUuid(first?.error?.uuid)).toBe(true);
    expect(first?.error?.uuid).not.toBe(second?.error?.uuid);
  });

  it('AM-3: details are cut at depth 4, breadth 40, strings of 1,000; an event that is still too long is left out', async () => {
    const { runs, metrics, pass: wait } = setUp();
    const wide = Object.fromEntries(Array.from({ length: 42 }, (_, n) => [`k${n}`, n]));
    await runs(0, [failure('m', { deep: { at: { four: 1 } }, wide, long: 'x'.repeat(2_000) })]);
    await runs(0, [failure('m', Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, 'y'.repeat(1_000)])))]);
    await wait(FLUSH_MS);
    const [cut, tooLong] = metrics().map(({ error }) => JSON.parse(error?.details ?? '') as Record<string, never>);
    const { deep, wide: shown, long } = (cut?.['event'] as unknown as { properties: Record<string, Record<string, unknown>> }).properties;
    expect(deep).toEqual({ at: '[Object]' });
    expect(Object.keys(shown ?? {})).toHaveLength(41);
    expect(shown?.['...']).toBe('2 items not stringified');
    expect(long).toHaveLength(1_000);
    expect(Object.keys(tooLong ?? {})).toEqual(['error']);
  });

  it('J2: more failures than a config may tell in a second are counted without their error; none is missing', async () => {
    const { runs, metrics, pass: wait } = setUp();
    await runs(
      0,
      Array.from({ length: 8 }, () => failure()),
    );
    await runs(0, [failure()], OTHER);
    await wait(1_000);
    await runs(0, [failure()]);
    await wait(FLUSH_MS);
    const ofPlugin = metrics().filter(({ pluginConfigId }) => pluginConfigId === 7);
    expect(ofPlugin.filter(({ error }) => error !== undefined)).toHaveLength(4);
    expect(ofPlugin.reduce((sum, { failures }) => sum + failures, 0)).toBe(9);
    expect(metrics().filter(({ pluginConfigId, error }) => pluginConfigId === 8 && error !== undefined)).toHaveLength(1);
  });

  it('AM-2: more keys than APP_METRICS_FLUSH_MAX_QUEUE_SIZE are not waited with', async () => {
    const { runs, metrics } = setUp({ maxKeysCount: 3 });
    await runs(1, [failure(), failure()]);
    expect(metrics()).toEqual([]);
    await runs(0, [failure()]);
    expect(metrics()).toHaveLength(4);
  });

  it('AM-2: what is counted is written out when it is drained, and at an orderly stop', async () => {
    const { runs, metrics, tell, system, ref } = setUp();
    const asker = probe<{ readonly type: 'drained' }>('asker');
    await runs(1);
    await tell({ type: 'drain', replyTo: asker });
    expect(asker.messages).toEqual([{ type: 'drained' }]);
    expect(metrics()).toHaveLength(1);
    await runs(1);
    await Promise.all([system.stop(ref), settle(system)]);
    expect(metrics()).toHaveLength(2);
  });

  it('J6: a crash loses what was not flushed; the next life counts from zero', async () => {
    const { runs, metrics, tell, pass: wait } = setUp();
    await runs(5);
    await tell({ type: 'count-runs', plugin: PLUGIN, successes: 1, failures: undefined as never });
    await wait(100);
    await runs(2);
    await wait(FLUSH_MS);
    expect(metrics().map(({ successes }) => successes)).toEqual([2]);
  });
});

describe('log entries (4.6)', () => {
  const ALL: readonly (readonly [LogType, string])[] = [
    ['DEBUG', 'd'],
    ['LOG', 'l'],
    ['INFO', 'i'],
    ['WARN', 'w'],
    ['ERROR', 'e'],
  ];
  for (const [level, passes] of [
    [0, 'dliwe'],
    [1, 'liwe'],
    [2, 'iwe'],
    [3, 'we'],
    [4, 'e'],
  ] as const)
    it(`LG-1: level ${level} lets ${passes.length} of the five types through`, async () => {
      const byDefault = setUp({ defaultLogLevel: level });
      await byDefault.log(ALL);
      expect(
        byDefault
          .lines()
          .map(({ message }) => message)
          .join(''),
      ).toBe(passes);
    });
  it("LG-1: the plugin's own level counts before the default, and its 0 is no level of its own", async () => {
    const { log, lines } = setUp({ defaultLogLevel: 3 });
    await log(ALL, 'CONSOLE', { ...PLUGIN, logLevel: 4 });
    await log(ALL, 'PLUGIN', { ...PLUGIN, logLevel: 0 });
    expect(lines().map(({ source, message }) => `${source} ${message}`)).toEqual(['CONSOLE e', 'PLUGIN w', 'PLUGIN e']);
  });

  it('4.6: a row has the ids, the source, the type, the text and the instance', async () => {
    const { log, lines, clock } = setUp();
    await log([['WARN', 'careful']]);
    expect(lines()).toEqual([
      {
        table: 'plugin_log_entries',
        id: expect.any(String) as string,
        teamId: 2,
        pluginId: 70,
        pluginConfigId: 7,
        source: 'CONSOLE',
        type: 'WARN',
        message: 'careful',
        instanceId: INSTANCE,
        timestampMs: clock.now(),
      },
    ]);
  });

  it('J5: lines of one millisecond have different times and growing ids, since the table keeps one row a millisecond', async () => {
    const { log, lines, clock } = setUp();
    await log([...ALL.slice(0, 2)]);
    await log([...ALL.slice(2, 4)]);
    expect(lines().map(({ timestampMs }) => timestampMs - clock.now())).toEqual([0, 1, 2, 3]);
    const ids = lines().map(({ id }) => id);
    expect(ids.every((id) => isUuid(id))).toBe(true);
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(4);
  });

  it('LG-2, LG-3, J3, J4: too long, too many and lost before are not sent and are counted; a chatty console hides no error', async () => {
    const facts: unknown[] = [];
    const stop = observe('plugin-log-written', (fact) => facts.push(fact));
    const { log, lines, pass: wait } = setUp();
    await log([
      ['LOG', 'x'.repeat(50_000)],
      ['LOG', 'x'.repeat(50_001)],
    ]);
    await log(
      Array.from({ length: 9 }, () => ['LOG', 'again'] as const),
      'CONSOLE',
      PLUGIN,
      30,
    );
    await log([['ERROR', 'heard']], 'PLUGIN');
    await wait(1_000);
    await log([['LOG', 'a new second']]);
    stop();
    const { pluginId } = PLUGIN;
    expect(facts).toEqual([
      { pluginId, source: 'CONSOLE', sent: 1, lost: 0, long: 1, rate: 0, refused: 0 },
      { pluginId, source: 'CONSOLE', sent: 4, lost: 30, long: 0, rate: 5, refused: 0 },
      { pluginId, source: 'PLUGIN', sent: 1, lost: 0, long: 0, rate: 0, refused: 0 },
      { pluginId, source: 'CONSOLE', sent: 1, lost: 0, long: 0, rate: 0, refused: 0 },
    ]);
    expect(lines()).toHaveLength(7);
  });

  it('J4: a writer that is gone makes lines uncounted as sent, and no crash', async () => {
    const facts: unknown[] = [];
    const stop = observe('plugin-log-written', (fact) => facts.push(fact));
    const { log, runs, writer, pass: wait } = setUp();
    writer.answer('stopped');
    await log([['LOG', 'a']]);
    await runs(1);
    await wait(FLUSH_MS);
    stop();
    expect(facts).toMatchObject([{ sent: 0, refused: 1 }]);
  });
});
