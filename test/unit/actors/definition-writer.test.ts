import { describe, expect, it, onTestFinished } from 'vitest';
import { createDefinitionWriter } from '../../../actors/definition-writer/index.ts';
import type { DefinitionWriterMessage } from '../../../actors/definition-writer/messages.ts';
import { noDefinitions, PARENT, type Definitions } from '../../../src/domain/definitions.ts';
import { observe } from '../../../src/observe/facts.ts';
import { PostgresError, type DefinitionStore } from '../../../src/postgres/port.ts';
import { gate, pass, probe, restarting, settle, testSystem } from '../../kit/actors.ts';

const HOUR_MS = 3_600_000;
const event = (name: string, teamId = 1): Definitions => ({ ...noDefinitions(), events: [{ teamId, name, hourMs: HOUR_MS }] });
const property = (name: string, propertyType?: 'String' | 'Numeric'): Definitions => ({
  ...noDefinitions(),
  properties: [{ teamId: 1, name, parent: PARENT.event, groupTypeIndex: undefined, propertyType }],
});

function setUp(fate: (call: number) => Promise<void> | undefined = () => undefined, maxPendingCount = 100) {
  const { system, clock } = testSystem();
  const writes: Definitions[] = [];
  const marked: (readonly number[])[] = [];
  const ingested: number[] = [];
  const lost: { readonly count: number; readonly reason: string }[] = [];
  onTestFinished(observe('definitions-lost', ({ count, reason }) => lost.push({ count, reason })));
  const forgotten = { count: 0 };
  let calls = 0;
  const store: DefinitionStore = {
    async write(definitions) {
      await fate(calls++);
      writes.push(definitions);
    },
    markIngested: (ids) => Promise.resolve(void (ids.length > 0 && marked.push(ids))),
  };
  const spec = createDefinitionWriter({
    store,
    clock,
    forget: () => void forgotten.count++,
    ingested: (ids) => ingested.push(...ids),
    options: { flushEveryMs: 1_000, maxPendingCount, mailboxCapacityCount: 1_000 },
    strategy: restarting({ quarantineMs: 60_000 }),
  });
  const ref = system.spawn(spec, 'definition-writer');
  const tell = (message: DefinitionWriterMessage): void => expect(ref.tell(message)).toBe('accepted');
  const see = (...seen: Definitions[]): void => seen.forEach((definitions) => tell({ type: 'definitions-seen', definitions }));
  const flushed = async (ms = 1_000): Promise<void> => {
    await settle(system);
    await pass(system, clock, ms, 500);
  };
  const names = (): string[][] => writes.map(({ events, properties }) => [...events, ...properties].map(({ name }) => name));
  return { system, clock, ref, writes, marked, ingested, lost, forgotten, tell, see, flushed, names };
}

const away = (): Promise<void> => Promise.reject(new PostgresError('unavailable', 'away'));

describe('definition-writer', () => {
  it('writes what was seen within a second in one go, each name once', async () => {
    const { see, flushed, names } = setUp();
    see(event('a'), event('b'), event('a'), property('p'));
    await flushed(500);
    expect(names()).toEqual([]);
    await flushed(500);
    expect(names()).toEqual([['a', 'b', 'p']]);
  });

  it('D-3: of several types of one property the first that says something is written', async () => {
    const { see, flushed, writes } = setUp();
    see(property('p'), property('p', 'String'), property('p', 'Numeric'), property('p'));
    await flushed();
    expect(writes[0]?.properties.map(({ propertyType }) => propertyType)).toEqual(['String']);
  });

  it('F-1: a team that had no event so far is marked once, and whoever keeps the team hears of it', async () => {
    const { tell, flushed, marked, ingested } = setUp();
    for (let times = 0; times < 3; times++) tell({ type: 'first-event-seen', teamId: 7 });
    await flushed();
    expect([marked, ingested]).toEqual([[[7]], [7]]);
  });

  it('F3: what is seen while a write is under way is written after it', async () => {
    const first = gate();
    const { see, flushed, names } = setUp((call) => (call === 0 ? first.promise : undefined));
    see(event('a'));
    await flushed();
    see(event('b'));
    await flushed();
    expect(names()).toEqual([]);
    first.open();
    await flushed();
    expect(names()).toEqual([['a'], ['b']]);
  });

  it('F4: PostgreSQL away means the same write again, and nothing is lost', async () => {
    const { see, flushed, names, lost } = setUp((call) => (call < 3 ? away() : undefined));
    see(event('a'));
    await flushed();
    see(event('b'));
    await flushed(20_000);
    expect(names()).toEqual([['a'], ['b']]);
    expect(lost).toEqual([]);
  });

  it('F4, D-8: refused names are given up and counted, later ones are written', async () => {
    const { see, flushed, names, lost } = setUp((call) => (call === 0 ? Promise.reject(new PostgresError('refused', 'no')) : undefined));
    see(event('a'), event('b'));
    await flushed();
    see(event('c'));
    await flushed();
    expect([names(), lost]).toEqual([[['c']], [{ count: 2, reason: 'refused' }]]);
  });

  it('F2: beyond its bound names are left out, counted, and handed out again', async () => {
    const { see, flushed, names, lost, forgotten } = setUp(() => undefined, 2);
    see(event('a'), event('b'), event('c'));
    await flushed();
    // Once at its start, once because of this.
    expect([names(), lost, forgotten.count]).toEqual([[['a', 'b']], [{ count: 1, reason: 'full' }], 2]);
  });

  it('a drain is answered when everything is written', async () => {
    const { see, tell, system, names } = setUp();
    const asker = probe<{ readonly type: 'drained' }>();
    see(event('a'));
    tell({ type: 'drain', replyTo: asker });
    await settle(system);
    expect([names(), asker.messages]).toEqual([[['a']], [{ type: 'drained' }]]);
    tell({ type: 'drain', replyTo: asker });
    await settle(system);
    expect(asker.messages).toHaveLength(2);
  });

  it('writes what waits when it is stopped', async () => {
    const { see, system, ref, names } = setUp();
    see(event('a'));
    await settle(system);
    await system.stop(ref);
    expect(names()).toEqual([['a']]);
  });

  it('F5: a crash begins a new life that has everything handed out again', async () => {
    const { see, flushed, names, tell, forgotten } = setUp();
    see(event('a'));
    tell({ type: 'definitions-seen', definitions: undefined as never });
    await flushed();
    expect(forgotten.count).toBe(2);
    see(event('b'));
    await flushed();
    expect(names().flat()).toContain('b');
  });
});
