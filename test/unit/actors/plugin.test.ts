import { describe, expect, it } from 'vitest';
import { createPlugin, type PluginDeps, type RunnablePlugin } from '../../../actors/plugin/index.ts';
import type { PluginJournalMessage } from '../../../actors/plugin-journal/messages.ts';
import type { PluginAnswer, PluginLoadAnswer, PluginMessage } from '../../../actors/plugin/messages.ts';
import { failureDetails } from '../../../src/domain/brief-json.ts';
import type { PluginEvent } from '../../../src/domain/event.ts';
import { observe } from '../../../src/observe/facts.ts';
import type { ActorRef } from '../../../src/runtime/ref.ts';
import { SandboxError, type InvocationResult, type PluginSource, type Sandbox } from '../../../src/sandbox/port.ts';
import { pass, probe, settle, testSystem, type Probe } from '../../kit/actors.ts';
import { seededRandom } from '../../kit/clock.ts';

const DEADLINE_MS = 1_000;
const QUARANTINE_MS = 60_000;

const event = (name: string): PluginEvent => ({ uuid: name, event: name, distinct_id: 'd', team_id: 2, now: '', ip: null, properties: {} });

/**
 * A sandbox that does what the event's name says, after the batch is let go: `deadline` and `bomb` end the batch by force, with this
 * isolate to blame; `neighbour` the first time with another; `unknown` with nobody.
 */
function fakeSandbox() {
  const loads: PluginSource[] = [];
  const batches: string[][] = [];
  const unloaded: number[] = [];
  const loaded = new Set<number>();
  const seen = new Set<string>();
  const held: (() => void)[] = [];
  const control = { holds: false, refusal: undefined as string | undefined, methods: ['processEvent'], groupTooSlowAbove: Infinity };
  const force = (isolateId: number, code: 'deadline' | 'died', culprit: number | undefined): SandboxError => {
    loaded.delete(isolateId);
    return new SandboxError(code, `forced: ${code}`, { culprit });
  };
  function runOne(isolateId: number, one: PluginEvent): InvocationResult {
    const [kind = ''] = one.event.split(':');
    switch (kind) {
      case 'drop':
        return { type: 'dropped' };
      case 'throw':
        return { type: 'failed', message: 'thrown', event: { ...one, properties: { half: true } } };
      case 'team':
        return { type: 'event', event: { ...one, team_id: 99, properties: { done: true } } };
      case 'deadline':
        throw force(isolateId, 'deadline', isolateId);
      case 'bomb':
        throw force(isolateId, 'died', isolateId);
      case 'unknown':
        throw force(isolateId, 'died', undefined);
      case 'neighbour':
        if (!seen.has(one.event)) {
          seen.add(one.event);
          throw force(isolateId, 'died', -1);
        }
        return { type: 'event', event: { ...one, properties: { done: true } } };
      case 'bug':
        throw new RangeError('cannot be written as text');
      default:
        return { type: 'event', event: { ...one, properties: { done: true } } };
    }
  }
  const sandbox: Sandbox = {
    load(plugin) {
      loads.push(plugin);
      if (control.refusal !== undefined) return Promise.resolve({ type: 'refused', message: control.refusal });
      loaded.add(plugin.isolateId ?? 0);
      return Promise.resolve({ type: 'loaded', methods: control.methods });
    },
    async invoke(isolateId, events) {
      batches.push(events.map((one) => one.event));
      if (control.holds) await new Promise<void>((resolve) => held.push(resolve));
      if (!loaded.has(isolateId)) throw new SandboxError('not-loaded', 'not loaded');
      if (events.length > control.groupTooSlowAbove) throw force(isolateId, 'deadline', isolateId);
      return events.map((one) => runOne(isolateId, one));
    },
    unload(isolateId) {
      unloaded.push(isolateId);
      return Promise.resolve();
    },
    pid: () => undefined,
    close: () => Promise.resolve(),
  };
  return { sandbox, loads, batches, unloaded, control, release: () => held.splice(0).forEach((go) => go()) };
}

function setUp(options: Partial<PluginDeps['options']> = {}) {
  const { system, clock } = testSystem();
  const fake = fakeSandbox();
  const journal = probe<PluginJournalMessage>('journal');
  const plugin: RunnablePlugin = { pluginConfigId: 7, pluginId: 70, logLevel: 2, teamId: 2, name: 'p', config: {}, files: {} };
  const spec = createPlugin({
    sandbox: fake.sandbox,
    clock,
    plugin,
    journal,
    instanceId: 'THIS-LIFE',
    options: { deadlineMs: DEADLINE_MS, batchCount: 10, lingerMs: 1, quarantineMs: QUARANTINE_MS, ...options },
    strategy: { directive: 'escalate' },
  });
  const ref: ActorRef<PluginMessage> = system.spawn(spec, 'plugin');
  const caller = probe<PluginAnswer>('caller');
  let ticket = 0;
  const tell = (...names: string[]): void => tellFrom(caller, ...names);
  const tellFrom = (from: Probe<PluginAnswer>, ...names: string[]): void => {
    for (const name of names)
      expect(ref.tell({ type: 'invoke', ticket: (ticket += 1), event: event(name), replyTo: from })).toBe('accepted');
  };
  const rest = async (ms = 20): Promise<void> => {
    await settle(system);
    await pass(system, clock, ms, 1);
  };
  return { system, clock, ref, caller, journal, tell, tellFrom, rest, ...fake };
}
const kinds = (from: Probe<PluginAnswer>): string[] => from.messages.map(({ result }) => result.type);
const tickets = (from: Probe<PluginAnswer>): number[] => from.messages.map(({ ticket }) => ticket);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('batches', () => {
  it('events told within the linger time share one batch, loaded once', async () => {
    const { tell, rest, batches, loads, caller } = setUp();
    tell('a', 'b', 'c');
    await rest();
    tell('d');
    await rest();
    expect(batches).toEqual([['a', 'b', 'c'], ['d']]);
    expect(loads).toHaveLength(1);
    expect(caller.messages[0]).toEqual({
      type: 'plugin-answered',
      ticket: 1,
      result: { type: 'event', event: { ...event('a'), properties: { done: true } } },
    });
  });
  it('a full batch does not linger', async () => {
    const { system, tell, batches } = setUp();
    tell(...upTo(10).map(String));
    await settle(system);
    expect(batches).toHaveLength(1);
  });
  it('G3: what comes while a batch is in flight waits, and goes in batches no larger than batchCount', async () => {
    const { tell, rest, batches, control, release, caller, system } = setUp();
    control.holds = true;
    tell('first');
    await rest();
    tell(...upTo(25).map(String));
    await rest();
    expect(batches).toHaveLength(1);
    control.holds = false;
    release();
    await settle(system);
    expect(batches.map((batch) => batch.length)).toEqual([1, 10, 10, 5]);
    expect(tickets(caller)).toEqual(upTo(26));
  });
});

describe('results', () => {
  it('G7: a falsy result drops, a throw keeps its mutations, a changed team_id is restored and counts as a failure', async () => {
    const { tell, rest, caller } = setUp();
    tell('drop', 'throw', 'team');
    await rest();
    expect(caller.messages.map(({ result }) => result)).toEqual([
      { type: 'dropped' },
      { type: 'failed', message: 'thrown', event: { ...event('throw'), properties: { half: true } } },
      { type: 'failed', message: 'Plugin tried to change event.team_id', event: { ...event('team'), properties: { done: true } } },
    ]);
  });
  it('each batch is stated once, with its failures', async () => {
    const facts: unknown[] = [];
    const stop = observe('plugin-batch-invoked', (fact) => facts.push(fact));
    const { tell, rest } = setUp();
    tell('a', 'throw', 'b');
    await rest();
    stop();
    expect(facts).toMatchObject([{ pluginConfigId: 7, events: 3, failed: 1 }]);
  });
});

describe('force', () => {
  for (const kind of ['deadline', 'bomb'])
    it(`G4: a ${kind} in a batch: every event runs once more, alone; only the culprit has failed, order is kept`, async () => {
      const { tell, rest, batches, caller } = setUp();
      tell('a', kind, 'b');
      await rest();
      expect(batches).toEqual([['a', kind, 'b'], ['a'], [kind], ['b']]);
      expect(kinds(caller)).toEqual(['event', 'failed', 'event']);
      expect(tickets(caller)).toEqual([1, 2, 3]);
    });
  it('G2: events told meanwhile are answered after the suspects', async () => {
    const { tell, rest, control, release, batches, caller } = setUp();
    control.holds = true;
    tell('a', 'deadline');
    await rest();
    tell('later');
    control.holds = false;
    release();
    await rest();
    expect(batches).toEqual([['a', 'deadline'], ['a'], ['deadline'], ['later']]);
    expect(tickets(caller)).toEqual([1, 2, 3]);
  });
  it('a batch of one that is its own culprit is not tried twice', async () => {
    const { tell, rest, batches, caller } = setUp();
    tell('deadline');
    await rest();
    expect(batches).toEqual([['deadline']]);
    expect(kinds(caller)).toEqual(['failed']);
  });
  it('G5: a death that a neighbour caused costs nothing: the batch runs again as it was', async () => {
    const { tell, rest, batches, caller, loads } = setUp();
    tell('a', 'neighbour', 'b');
    await rest();
    expect(batches).toEqual([
      ['a', 'neighbour', 'b'],
      ['a', 'neighbour', 'b'],
    ]);
    expect(kinds(caller)).toEqual(['event', 'event', 'event']);
    expect(loads).toHaveLength(2);
  });
  it('a death without a known culprit makes every event of the batch a suspect', async () => {
    const { tell, rest, batches, caller } = setUp();
    tell('a', 'unknown');
    await rest();
    expect(batches).toEqual([['a', 'unknown'], ['a'], ['unknown']]);
    expect(kinds(caller)).toEqual(['event', 'failed']);
  });
  it('an event that cannot even be handed over fails alone, and the isolate stays', async () => {
    const { tell, rest, caller, loads } = setUp();
    tell('a', 'bug', 'b');
    await rest();
    expect(kinds(caller)).toEqual(['event', 'failed', 'event']);
    expect(loads).toHaveLength(1);
  });
  it('a batch that is too slow only as a whole makes the next ones smaller, and they grow again', async () => {
    const { tell, rest, batches, control, caller } = setUp();
    control.groupTooSlowAbove = 5;
    tell(...upTo(10).map(String));
    await rest();
    tell(...upTo(5).map(String));
    await rest();
    tell(...upTo(6).map(String));
    await rest();
    const sizes = batches.map((batch) => batch.length);
    expect(sizes.slice(0, 12)).toEqual([10, ...upTo(10).map(() => 1), 5]);
    expect(sizes[12]).toBe(6);
    expect(kinds(caller)).toEqual(upTo(21).map(() => 'event'));
  });
});

describe('quarantine', () => {
  it('G6: a spent budget answers what waits and what comes at once, states it, and ends at the stated time', async () => {
    const facts: { untilMs: number; reason: string }[] = [];
    const stop = observe('plugin-quarantined', (fact) => facts.push(fact));
    const { tell, rest, batches, caller, clock, system } = setUp({ offences: { count: 1, periodMs: 10_000 } });
    const startMs = clock.now();
    tell('deadline:1', 'deadline:2', 'a', 'b');
    await rest(5);
    expect(kinds(caller)).toEqual(['failed', 'quarantined', 'quarantined', 'quarantined']);
    expect(tickets(caller)).toEqual([1, 2, 3, 4]);
    expect(facts).toHaveLength(1);
    expect(facts[0]?.reason).toBe('forced: deadline');
    expect((facts[0]?.untilMs ?? 0) - startMs).toBeGreaterThanOrEqual(QUARANTINE_MS);
    const before = batches.length;
    tell('c');
    await settle(system);
    expect(kinds(caller).at(-1)).toBe('quarantined');
    expect(batches).toHaveLength(before);
    clock.advance(QUARANTINE_MS);
    tell('d');
    await rest();
    expect(kinds(caller).at(-1)).toBe('event');
    stop();
  });
  it('offences further apart than the period are forgiven', async () => {
    const { tell, rest, clock, caller } = setUp({ offences: { count: 1, periodMs: 10_000 } });
    for (let round = 0; round < 5; round += 1) {
      tell('deadline');
      await rest();
      clock.advance(10_001);
    }
    expect(kinds(caller)).toEqual(upTo(5).map(() => 'failed'));
  });
  it('code that does not load costs no event: all pass without it, and it is tried again after the quarantine', async () => {
    const { tell, rest, clock, control, caller, batches, loads } = setUp();
    control.refusal = 'SyntaxError';
    tell('a', 'b');
    await rest();
    expect(kinds(caller)).toEqual(['quarantined', 'quarantined']);
    expect(batches).toEqual([]);
    control.refusal = undefined;
    clock.advance(QUARANTINE_MS);
    tell('c');
    await rest();
    expect(kinds(caller).at(-1)).toBe('event');
    expect(loads).toHaveLength(2);
  });
  it('a plugin without processEvent is passed by', async () => {
    const { tell, rest, control, caller } = setUp();
    control.methods = ['onEvent'];
    tell('a');
    await rest();
    expect(kinds(caller)).toEqual(['quarantined']);
  });
});

describe('answers', () => {
  it('G1, G2: a full mailbox holds back its own answers only, and gets them in order when it has room', async () => {
    const { tell, tellFrom, rest, caller } = setUp();
    const slow = probe<PluginAnswer>('slow');
    slow.answer('full');
    tellFrom(slow, 'a', 'b');
    tell('c');
    await rest();
    expect(slow.messages).toEqual([]);
    expect(tickets(caller)).toEqual([3]);
    slow.answer('accepted');
    await rest();
    expect(tickets(slow)).toEqual([1, 2]);
  });
  it('G1: an ordered stop answers what was taken, and gives the isolate back', async () => {
    const { system, ref, tell, rest, control, release, caller, loads, unloaded, clock } = setUp();
    control.holds = true;
    tell('a');
    await rest();
    tell('b', 'drop');
    await settle(system);
    const stopped = system.stop(ref, 5_000);
    control.holds = false;
    release();
    await pass(system, clock, 50, 1);
    await stopped;
    expect(kinds(caller)).toEqual(['event', 'event', 'dropped']);
    expect(tickets(caller)).toEqual([1, 2, 3]);
    expect(unloaded).toEqual([loads[0]?.isolateId]);
  });
  it('two versions of one config have isolates of their own', async () => {
    const one = setUp();
    const two = setUp();
    one.tell('a');
    two.tell('a');
    await one.rest();
    await two.rest();
    expect(one.loads[0]?.isolateId).not.toBe(two.loads[0]?.isolateId);
  });

  for (const seed of upTo(12))
    it(`G1, G2, G3 hold for any mixture of events, callers and refusals (seed ${String(seed)})`, async () => {
      const random = seededRandom(seed);
      const { tellFrom, rest, batches, clock } = setUp({ offences: { count: 6, periodMs: 5_000 }, quarantineMs: 300 });
      const callers = upTo(4).map((index) => probe<PluginAnswer>(`caller${String(index)}`));
      const expected = new Map<unknown, number[]>(callers.map((caller) => [caller, []]));
      let last = 0;
      for (let round = 0; round < 40; round += 1) {
        for (let count = random.below(12); count > 0; count -= 1) {
          const from = random.pick(callers);
          const kind =
            random.next() < 0.15
              ? random.pick(['deadline', 'bomb', 'unknown', `neighbour:${String(last)}`, 'bug'])
              : random.pick(['a', 'drop', 'throw', 'team']);
          tellFrom(from, kind);
          expected.get(from)?.push((last += 1));
        }
        for (const caller of callers) caller.answer(random.next() < 0.2 ? 'full' : 'accepted');
        await rest(random.below(4));
        if (random.next() < 0.1) clock.advance(400);
      }
      for (const caller of callers) caller.answer('accepted');
      await rest(50);
      for (const caller of callers) expect(tickets(caller)).toEqual(expected.get(caller));
      expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(10);
    });
});

describe('what the journal is told', () => {
  const plugin = { teamId: 2, pluginId: 70, pluginConfigId: 7, logLevel: 2 };
  const of = (journal: Probe<PluginJournalMessage>, type: PluginJournalMessage['type']) =>
    journal.messages.filter((message) => message.type === type);
  const linesOf = (journal: Probe<PluginJournalMessage>): string[] =>
    journal.messages.flatMap((message) =>
      message.type === 'log-lines' ? message.lines.map((line) => `${message.source} ${line.type} ${line.message}`) : [],
    );

  const failed = (fault: { readonly name: string; readonly message: string }, one: PluginEvent) => ({
    fault,
    details: failureDetails(fault, one),
  });

  it('PE-7, G8: a batch is one message: how many succeeded, dropped ones among them, and each failure with its event as it goes on', async () => {
    const { tell, rest, journal } = setUp();
    tell('a', 'throw', 'drop', 'team');
    await rest();
    expect(of(journal, 'count-runs')).toEqual([
      {
        type: 'count-runs',
        plugin,
        successes: 2,
        failures: [
          failed({ name: 'Error', message: 'thrown' }, { ...event('throw'), properties: { half: true } }),
          failed(
            { name: 'IllegalOperationError', message: 'Plugin tried to change event.team_id' },
            { ...event('team'), properties: { done: true } },
          ),
        ],
      },
    ]);
  });
  it('AM-3: a failure is told with the event as it was then, whatever becomes of the event afterwards', async () => {
    const { tell, rest, journal, sandbox } = setUp();
    const goesOn = { ...event('throw'), properties: {} as Record<string, unknown> };
    sandbox.invoke = () => Promise.resolve([{ type: 'failed', message: 'no', event: goesOn }]);
    tell('throw');
    await rest();
    goesOn.properties['$plugins_failed'] = ['later'];
    expect(JSON.stringify(of(journal, 'count-runs'))).not.toContain('later');
  });
  it('PE-3, V-23: each failure is a line of PLUGIN ERROR, the stack where there is one', async () => {
    const { tell, rest, journal, sandbox } = setUp();
    const fault = { name: 'TypeError', message: 'no', stack: 'TypeError: no\n    at processEvent (plugin:1:1)' };
    sandbox.invoke = () => Promise.resolve([{ type: 'failed', message: 'no', event: undefined, fault }]);
    tell('a');
    await rest();
    expect(linesOf(journal)).toContain(`PLUGIN ERROR ${fault.stack}`);
  });
  it('G4, G8: of a batch stopped by force only the guilty event is a failure, by the name PostHog gives a deadline', async () => {
    const { tell, rest, journal } = setUp();
    tell('a', 'deadline', 'b');
    await rest();
    expect(of(journal, 'count-runs')).toMatchObject([
      { successes: 1, failures: [] },
      { successes: 0, failures: [failed({ name: 'TimeoutError', message: 'forced: deadline' }, event('deadline'))] },
      { successes: 1, failures: [] },
    ]);
  });
  it('V-22: that it is loaded, set up and unloaded, in the words tools wait for', async () => {
    const { system, ref, tell, rest, journal, sandbox } = setUp();
    const load = sandbox.load.bind(sandbox);
    sandbox.load = async (source) => ({ ...(await load(source)), setupMs: 3 }) as never;
    tell('a');
    await rest();
    await Promise.all([system.stop(ref), rest()]);
    expect(linesOf(journal)).toEqual([
      'SYSTEM DEBUG Plugin loaded (instance ID THIS-LIFE).',
      'SYSTEM DEBUG setupPlugin succeeded (instance ID THIS-LIFE).',
      'SYSTEM DEBUG Plugin unloaded (instance ID THIS-LIFE).',
    ]);
  });
  it('V-22: a plugin that is told to load does so without an event, once, and says how it stands', async () => {
    const { ref, rest, journal, loads, batches } = setUp();
    const asker = probe<PluginLoadAnswer>('asker');
    ref.tell({ type: 'load', replyTo: asker });
    ref.tell({ type: 'load', replyTo: asker });
    await rest();
    ref.tell({ type: 'load', replyTo: asker });
    await rest();
    expect(asker.messages).toHaveLength(3);
    expect(asker.messages.at(-1)).toEqual({ type: 'plugin-load-ended', loaded: true });
    expect(loads).toHaveLength(1);
    expect(batches).toEqual([]);
    expect(of(journal, 'count-runs')).toEqual([]);
    expect(linesOf(journal)).toEqual(['SYSTEM DEBUG Plugin loaded (instance ID THIS-LIFE).']);
  });
  it('V-3: code that does not load is told when it is asked to, and events pass without it', async () => {
    const { ref, rest, journal, control, tell, caller } = setUp();
    const asker = probe<PluginLoadAnswer>('asker');
    control.refusal = 'Could not load source code';
    ref.tell({ type: 'load', replyTo: asker });
    await rest();
    tell('a');
    await rest();
    expect(asker.messages).toEqual([{ type: 'plugin-load-ended', loaded: false }]);
    expect(linesOf(journal)).toEqual(['PLUGIN ERROR Could not load source code']);
    expect(kinds(caller)).toEqual(['quarantined']);
  });
  it('V-20: a setupPlugin that failed is told with when it is tried again', async () => {
    const { tell, rest, journal, sandbox } = setUp();
    const setup = { fault: { name: 'RangeError', message: 'no key', stack: 'RangeError: no key\n    at setupPlugin' }, setupMs: 1 };
    sandbox.load = () => Promise.resolve({ type: 'refused', message: 'setupPlugin failed with no key', setup });
    tell('a');
    await rest();
    expect(linesOf(journal)).toEqual([
      `PLUGIN ERROR ${setup.fault.stack}`,
      'SYSTEM ERROR setupPlugin failed with RangeError: no key (instance ID THIS-LIFE). Retrying in 60 s...',
    ]);
  });
  it('V-7: of a plugin without processEvent nothing is told: nothing is wrong with it', async () => {
    const { tell, rest, control, journal } = setUp();
    control.methods = ['onEvent'];
    tell('a');
    await rest();
    expect(linesOf(journal).filter((line) => line.includes('ERROR'))).toEqual([]);
  });
  it('what it writes to its console goes there as it is, and so does what it left rejected (PE-8)', async () => {
    const { tell, rest, journal, sandbox } = setUp();
    const load = sandbox.load.bind(sandbox);
    sandbox.load = (source, listener) => {
      listener?.consoleWritten?.(
        [
          { level: 'warn', text: 'w' },
          { level: 'strange', text: 's' },
        ],
        4,
      );
      listener?.rejectionLeft?.({ name: 'Error', message: 'm' });
      return load(source);
    };
    tell('a');
    await rest();
    expect(of(journal, 'log-lines').slice(0, 2)).toEqual([
      {
        type: 'log-lines',
        plugin,
        source: 'CONSOLE',
        lines: [
          { type: 'WARN', message: 'w' },
          { type: 'LOG', message: 's' },
        ],
        lostCount: 4,
      },
      { type: 'log-lines', plugin, source: 'PLUGIN', lines: [{ type: 'ERROR', message: 'm' }], lostCount: 0 },
    ]);
  });
  it('a journal that is full costs no event anything, and is counted', async () => {
    const refused: unknown[] = [];
    const stop = observe('plugin-journal-refused', (fact) => refused.push(fact));
    const { tell, rest, journal, caller } = setUp();
    journal.answer('full');
    tell('a', 'throw');
    await rest();
    stop();
    expect(kinds(caller)).toEqual(['event', 'failed']);
    expect(refused).toContainEqual({ pluginId: 70, messageType: 'count-runs', told: 'full' });
  });
});
