/**
 * Names of events and properties into PostgreSQL (spec/ingestion.md 2.9), and a team's first event (2.10): hints for PostHog's menus.
 *
 *     idle ──seen──▶ collecting ──flushEveryMs | drain──▶ writing ──written | refused──▶ idle | collecting
 *                                                           │  ▲
 *                                        PostgreSQL away    ▼  │ self:flush
 *                                                         waiting
 *
 * Invariants
 * F1 No event waits for it, and none is at fault for it: every message is taken at once, every failure ends here (D-8).
 * F2 At most `maxPendingCount` names wait. Beyond it new ones are left out, counted, and handed out again: `forget` is told.
 * F3 One write is under way at a time; a name that is seen again meanwhile is written once more.
 * F4 Refused names are given up, with an error in the log; PostgreSQL away means the same write again.
 * F5 A crash here costs what waits, never the tree: a new life has everything handed out again.
 */
import { definitionCount, noDefinitions, type Definitions, type PropertySeen } from '../../src/domain/definitions.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { PostgresError, type DefinitionStore } from '../../src/postgres/port.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import type { DefinitionWriterMessage } from './messages.ts';

export interface DefinitionWriterDeps {
  readonly store: DefinitionStore;
  readonly clock: Clock;
  /** What was handed out may not have been written: all names are to be handed out again. */
  readonly forget: () => void;
  /** F-1: these teams need not be told of again. */
  readonly ingested: (teamIds: readonly number[]) => void;
  readonly options: { readonly flushEveryMs: number; readonly maxPendingCount: number; readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

/** Names by a key of their own, so that the many who see one name ask for one write. */
interface Pending {
  readonly events: Map<string, Definitions['events'][number]>;
  readonly properties: Map<string, PropertySeen>;
  readonly eventProperties: Map<string, Definitions['eventProperties'][number]>;
  readonly firstTeams: Set<number>;
}

export interface DefinitionWriterState {
  pending: Pending;
  /** Being written, or to be written again. */
  inFlight: { readonly definitions: Definitions; readonly firstTeams: readonly number[] } | undefined;
  phase: 'idle' | 'collecting' | 'writing' | 'waiting';
  startedMs: number;
  writing: Promise<unknown> | undefined;
  retryMs: number;
  writtenCount: number;
  lostCount: number;
  /** Names left out since the last flush began. */
  leftOutCount: number;
  readonly drains: Drains;
}

type Context = ActorContext<DefinitionWriterMessage>;

const RETRY_MS = { first: 500, max: 10_000 } as const;
const noPending = (): Pending => ({ events: new Map(), properties: new Map(), eventProperties: new Map(), firstTeams: new Set() });
const sizeOf = (pending: Pending): number =>
  pending.events.size + pending.properties.size + pending.eventProperties.size + pending.firstTeams.size;

export function createDefinitionWriter(deps: DefinitionWriterDeps): ActorSpec<DefinitionWriterState, DefinitionWriterMessage> {
  const { store, options, clock } = deps;

  function receive(state: DefinitionWriterState, message: DefinitionWriterMessage, ctx: Context): DefinitionWriterState {
    switch (message.type) {
      case 'definitions-seen':
        see(state, message.definitions);
        collect(state, ctx);
        return state;
      case 'first-event-seen':
        if (sizeOf(state.pending) < options.maxPendingCount) state.pending.firstTeams.add(message.teamId);
        collect(state, ctx);
        return state;
      case 'self:flush':
        flush(state, ctx);
        return state;
      case 'self:flushed':
        flushed(state, message.error, ctx);
        return state;
      case 'drain':
        state.drains.push(message.replyTo);
        if (state.phase === 'collecting') flush(state, ctx);
        else if (state.phase === 'idle') tellDrained(state.drains);
        return state;
    }
  }

  /** F2 */
  function see(state: DefinitionWriterState, definitions: Definitions): void {
    const { pending } = state;
    if (sizeOf(pending) + definitionCount(definitions) > options.maxPendingCount) {
      state.leftOutCount += definitionCount(definitions);
      return;
    }
    for (const one of definitions.events) pending.events.set(`${one.teamId}:${one.name}`, one);
    for (const one of definitions.eventProperties) pending.eventProperties.set(JSON.stringify([one.teamId, one.event, one.property]), one);
    for (const one of definitions.properties) {
      const key = `${one.teamId}:${one.parent}:${one.groupTypeIndex ?? ''}:${one.name}`;
      // The first type that a value showed stays (D-3).
      if (pending.properties.get(key)?.propertyType === undefined) pending.properties.set(key, one);
    }
  }

  function collect(state: DefinitionWriterState, ctx: Context): void {
    if (state.phase !== 'idle' || sizeOf(state.pending) === 0) return;
    state.phase = 'collecting';
    ctx.after(options.flushEveryMs, { type: 'self:flush' });
  }

  function flush(state: DefinitionWriterState, ctx: Context): void {
    if (state.phase !== 'collecting' && state.phase !== 'waiting') return;
    state.inFlight ??= takeOff(state);
    if (state.leftOutCount > 0) lose(state, state.leftOutCount, 'full', 'more names wait than are kept');
    state.leftOutCount = 0;
    state.phase = 'writing';
    state.startedMs = clock.monotonic();
    const ended = (error: unknown): void => tellSelf(ctx, { type: 'self:flushed', error });
    state.writing = write(state.inFlight).then(() => ended(undefined), ended);
  }

  function takeOff(state: DefinitionWriterState): NonNullable<DefinitionWriterState['inFlight']> {
    const { events, properties, eventProperties, firstTeams } = state.pending;
    state.pending = noPending();
    const definitions = {
      ...noDefinitions(),
      events: [...events.values()],
      properties: [...properties.values()],
      eventProperties: [...eventProperties.values()],
    };
    return { definitions, firstTeams: [...firstTeams] };
  }

  async function write({ definitions, firstTeams }: NonNullable<DefinitionWriterState['inFlight']>): Promise<void> {
    await store.write(definitions);
    await store.markIngested(firstTeams);
    if (firstTeams.length > 0) deps.ingested(firstTeams);
  }

  function flushed(state: DefinitionWriterState, error: unknown, ctx: Context): void {
    const { inFlight } = state;
    if (inFlight === undefined) return; // the stop has finished it
    const count = definitionCount(inFlight.definitions);
    if (error instanceof PostgresError && error.kind === 'unavailable') {
      state.phase = 'waiting'; // F4
      ctx.after(state.retryMs * (1 + ctx.random.next() * 0.2), { type: 'self:flush' });
      state.retryMs = Math.min(state.retryMs * 2, RETRY_MS.max);
      return;
    }
    state.inFlight = undefined;
    state.phase = 'idle';
    state.retryMs = RETRY_MS.first;
    if (error === undefined) {
      state.writtenCount += count;
      written(inFlight, clock.monotonic() - state.startedMs);
    } else {
      lose(state, count, error instanceof PostgresError ? error.kind : 'bug', error instanceof Error ? error.message : 'unknown');
    }
    collect(state, ctx);
    if (state.drains.length === 0) return;
    if (state.phase === 'idle') tellDrained(state.drains);
    else flush(state, ctx);
  }

  function written({ definitions, firstTeams }: NonNullable<DefinitionWriterState['inFlight']>, durationMs: number): void {
    const { events, properties, eventProperties } = definitions;
    stateFact('definitions-written', {
      events: events.length,
      properties: properties.length,
      eventProperties: eventProperties.length,
      firstTeams: firstTeams.length,
      durationMs,
    });
  }

  function lose(state: DefinitionWriterState, count: number, reason: 'full' | 'bug' | PostgresError['kind'], detail: string): void {
    state.lostCount += count;
    stateFact('definitions-lost', { count, reason, detail });
    // What is refused once is refused again; only names that found no room are worth another try.
    if (reason === 'full') deps.forget();
  }

  /** One last try with what waits; after a crash everything is handed out again anyway (F5). */
  async function stopping(state: DefinitionWriterState, reason: StopReason): Promise<void> {
    await state.writing;
    if (reason === 'restarted' || reason === 'budget-spent' || state.phase === 'waiting') return tellDrained(state.drains);
    if (sizeOf(state.pending) > 0) {
      const last = takeOff(state);
      const startedMs = clock.monotonic();
      await write(last).then(
        () => written(last, clock.monotonic() - startedMs),
        (error: unknown) => lose(state, definitionCount(last.definitions), 'bug', error instanceof Error ? error.message : 'unknown'),
      );
    }
    tellDrained(state.drains);
  }

  return {
    kind: 'definition-writer',
    start() {
      deps.forget();
      return {
        pending: noPending(),
        inFlight: undefined,
        phase: 'idle',
        startedMs: 0,
        writing: undefined,
        retryMs: RETRY_MS.first,
        writtenCount: 0,
        lostCount: 0,
        leftOutCount: 0,
        drains: [],
      };
    },
    receive,
    stopping,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      phase: state.phase,
      waiting: sizeOf(state.pending),
      written: state.writtenCount,
      lost: state.lostCount,
    }),
  };
}
