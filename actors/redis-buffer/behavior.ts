/**
 * What needs state shared by all processes, fast: which teams have events now, and which warnings were already shown this
 * hour. Both are hints, so a store that is away costs them and never an event.
 *
 *     idle ──seen, warn──▶ collecting ──flushEveryMs──▶ flushing ──answered──▶ idle | collecting
 *
 * Invariants
 * Z1 Nobody waits for it: every message is taken at once, and nothing here holds an event.
 * Z2 At most `maxPendingCount` warnings and as many presences wait; beyond it the newest are left out and counted by name.
 * Z3 A debounced warning passes once per (team, type, key) and hour over all processes (W-1). Store away: once per process,
 *    as far as the last `maxPendingCount` are remembered.
 * Z4 A warning that always passes does not ask the store.
 */
import { createHash } from 'node:crypto';
import { warningRow } from '../../src/domain/side-rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { StateStore } from '../../src/redis/port.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { RowWriterMessage } from '../row-writer/messages.ts';
import type { RedisBufferMessage, Warning } from './messages.ts';

export interface RedisBufferDeps {
  readonly store: StateStore;
  readonly rowWriter: ActorRef<RowWriterMessage>;
  readonly options: { readonly flushEveryMs: number; readonly maxPendingCount: number; readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

export interface RedisBufferState {
  /** Newest time per team and member. */
  seen: Map<string, { readonly teamId: number; readonly member: string; atMs: number }>;
  warnings: Warning[];
  asked: readonly Warning[];
  phase: 'idle' | 'collecting' | 'flushing';
  /** Debounce keys passed by this process, for when the store is away: key to the time it ends. */
  readonly passed: Map<string, number>;
  /** Left out for want of room since the start (Z2). */
  readonly dropped: { presence: number; warning: number };
  statedDroppedCount: number;
  storeAway: boolean;
  readonly drains: Drains;
}

const HOUR_MS = 3_600_000;
/** Presence is about "now": the same five minutes as the session buffer's active visitors. */
const PRESENCE_TTL_MS = 300_000;

export function createRedisBuffer(deps: RedisBufferDeps): ActorSpec<RedisBufferState, RedisBufferMessage> {
  const { store, options } = deps;

  function receive(state: RedisBufferState, message: RedisBufferMessage, ctx: ActorContext<RedisBufferMessage>): RedisBufferState {
    switch (message.type) {
      case 'seen':
        see(state, message);
        collect(state, ctx);
        return state;
      case 'warn':
        if (message.warning.alwaysSend) emitAlways(message.warning);
        else if (state.warnings.length >= options.maxPendingCount) state.dropped.warning++;
        else state.warnings.push(message.warning);
        collect(state, ctx);
        return state;
      case 'self:flush':
        flush(state, ctx);
        return state;
      case 'self:flushed':
        return flushed(state, message, ctx);
      case 'drain':
        state.drains.push(message.replyTo);
        if (state.phase === 'collecting') flush(state, ctx);
        else if (state.phase === 'idle') tellDrained(state.drains);
        return state;
    }
  }

  function see(state: RedisBufferState, { teamId, member, atMs }: { teamId: number; member: string; atMs: number }): void {
    const key = `${teamId}:${member}`;
    const known = state.seen.get(key);
    if (known !== undefined) known.atMs = Math.max(known.atMs, atMs);
    else if (state.seen.size >= options.maxPendingCount) state.dropped.presence++;
    else state.seen.set(key, { teamId, member, atMs });
  }

  function collect(state: RedisBufferState, ctx: ActorContext<RedisBufferMessage>): void {
    if (state.phase !== 'idle') return;
    if (state.seen.size === 0 && state.warnings.length === 0) return;
    state.phase = 'collecting';
    ctx.after(options.flushEveryMs, { type: 'self:flush' });
  }

  function flush(state: RedisBufferState, ctx: ActorContext<RedisBufferMessage>): void {
    if (state.phase !== 'collecting') return;
    state.phase = 'flushing';
    const seen = [...state.seen.values()];
    state.seen = new Map();
    state.asked = state.warnings;
    state.warnings = [];
    stateDropped(state);
    const work = async (): Promise<readonly boolean[]> => {
      const keepFrom = ctx.clock.now() - PRESENCE_TTL_MS;
      await store.rankAdd(
        seen.map(({ teamId, member, atMs }) => ({
          key: `troupe:presence:${teamId}`,
          member,
          score: atMs,
          ttlMs: PRESENCE_TTL_MS,
          keepFrom,
        })),
      );
      return store.setIfAbsent(state.asked.map((warning) => ({ key: keyOf(warning), ttlMs: HOUR_MS })));
    };
    const ended = (error: unknown, firsts: readonly boolean[]): void => {
      const message: RedisBufferMessage = { type: 'self:flushed', error, firsts };
      // a full mailbox must not swallow the answer, or nothing would ever be flushed again: the urgent lane takes it
      if (ctx.self.tell(message) === 'full') ctx.after(0, message);
    };
    work().then(
      (firsts) => ended(undefined, firsts),
      (error: unknown) => ended(error ?? new Error('unknown'), []),
    );
  }

  function flushed(
    state: RedisBufferState,
    { error, firsts }: Extract<RedisBufferMessage, { type: 'self:flushed' }>,
    ctx: ActorContext<RedisBufferMessage>,
  ): RedisBufferState {
    if (error !== undefined && !state.storeAway) {
      stateFact('state-store-unavailable', { operation: 'flush', message: error instanceof Error ? error.message : 'unknown' });
    }
    state.storeAway = error !== undefined;
    const nowMs = ctx.clock.now();
    const passing = state.asked.filter((warning, index) => {
      const first = error === undefined ? firsts[index] === true : !isPassed(state, warning, nowMs);
      if (first) pass(state, warning, nowMs);
      stateFact('warning-raised', { type: warning.type, debounced: !first });
      return first;
    });
    state.asked = [];
    emit(passing);
    state.phase = 'idle';
    collect(state, ctx);
    if (state.drains.length > 0) {
      // The phase is 'collecting' when something came meanwhile: that goes first.
      if ((state.phase as RedisBufferState['phase']) === 'collecting') flush(state, ctx);
      else tellDrained(state.drains);
    }
    return state;
  }

  /** Z3 without the store. */
  function isPassed(state: RedisBufferState, warning: Warning, nowMs: number): boolean {
    const untilMs = state.passed.get(keyOf(warning));
    return untilMs !== undefined && untilMs > nowMs;
  }

  function pass(state: RedisBufferState, warning: Warning, nowMs: number): void {
    const key = keyOf(warning);
    state.passed.delete(key);
    if (state.passed.size >= options.maxPendingCount) {
      const oldest = state.passed.keys().next().value;
      if (oldest !== undefined) state.passed.delete(oldest);
    }
    state.passed.set(key, nowMs + HOUR_MS);
  }

  function emit(warnings: readonly Warning[]): void {
    if (warnings.length === 0) return;
    const rows = warnings.map((warning) => warningRow(warning.teamId, warning, warning.atMs));
    // Only a writer that is being torn down refuses; a warning is not worth more than that.
    if (deps.rowWriter.tell({ type: 'store-side-rows', rows }) !== 'accepted') {
      stateFact('log-written', {
        level: 'warn',
        message: 'Warnings were lost with the writer that was to store them.',
        fields: { count: rows.length },
      });
    }
  }

  /** Z4 */
  function emitAlways(warning: Warning): void {
    stateFact('warning-raised', { type: warning.type, debounced: false });
    emit([warning]);
  }

  /** Z2: once a flush, however many they were. */
  function stateDropped(state: RedisBufferState): void {
    const { presence, warning } = state.dropped;
    if (presence + warning === state.statedDroppedCount) return;
    state.statedDroppedCount = presence + warning;
    stateFact('log-written', {
      level: 'warn',
      message: 'More hints wait than are kept; the newest are left out.',
      fields: { presence, warning },
    });
  }

  return {
    kind: 'redis-buffer',
    start: () => ({
      seen: new Map(),
      warnings: [],
      asked: [],
      phase: 'idle',
      passed: new Map(),
      dropped: { presence: 0, warning: 0 },
      statedDroppedCount: 0,
      storeAway: false,
      drains: [],
    }),
    receive,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      phase: state.phase,
      presences: state.seen.size,
      warnings: state.warnings.length,
      droppedPresences: state.dropped.presence,
      droppedWarnings: state.dropped.warning,
      storeAway: state.storeAway,
    }),
  };
}

/** Distinct ids may be part of the key: hashed, so that they are not in Redis in clear. */
function keyOf({ teamId, type, debounceKey }: Warning): string {
  const hash = debounceKey === '' ? '' : createHash('sha256').update(debounceKey).digest('base64url').slice(0, 22);
  return `troupe:warning:${teamId}:${type}:${hash}`;
}
