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
 * Z5 A flood of one warning takes one place and one question a minute, so that it pushes out nobody else's: what waits already, or was
 *    shown within the hour as far as is remembered here, is let go at once.
 */
import { createHash } from 'node:crypto';
import { warningRow } from '../../src/domain/side-rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { StateStore } from '../../src/redis/port.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
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
  /** By `localKeyOf`: the first of each. */
  warnings: Map<string, Warning>;
  asked: readonly Warning[];
  phase: 'idle' | 'collecting' | 'flushing';
  /** Debounced for sure until that time, by `localKeyOf`: passed by this process, or refused by the store a moment ago. */
  readonly shown: Map<string, number>;
  /** Left out for want of room since the start (Z2). */
  readonly dropped: { presence: number; warning: number };
  statedDroppedCount: number;
  storeAway: boolean;
  readonly drains: Drains;
}

const HOUR_MS = 3_600_000;
/** How long the store's no is believed: nobody here knows when the hour of another process began. */
const REFUSED_MS = 60_000;
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
        else wait(state, message.warning, ctx.clock.now());
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

  /** Z2, Z5 */
  function wait(state: RedisBufferState, warning: Warning, nowMs: number): void {
    const key = localKeyOf(warning);
    if (state.warnings.has(key) || isShown(state, key, nowMs)) stateFact('warning-raised', { type: warning.type, debounced: true });
    else if (state.warnings.size >= options.maxPendingCount) state.dropped.warning++;
    else state.warnings.set(key, warning);
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
    if (state.seen.size === 0 && state.warnings.size === 0) return;
    state.phase = 'collecting';
    ctx.after(options.flushEveryMs, { type: 'self:flush' });
  }

  function flush(state: RedisBufferState, ctx: ActorContext<RedisBufferMessage>): void {
    if (state.phase !== 'collecting') return;
    state.phase = 'flushing';
    const seen = [...state.seen.values()];
    state.seen = new Map();
    state.asked = [...state.warnings.values()];
    state.warnings = new Map();
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
    const ended = (error: unknown, firsts: readonly boolean[]): void => tellSelf(ctx, { type: 'self:flushed', error, firsts });
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
      const key = localKeyOf(warning);
      const first = error === undefined ? firsts[index] === true : !isShown(state, key, nowMs);
      remember(state, key, nowMs + (first ? HOUR_MS : REFUSED_MS));
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

  /** Z5, and Z3 without the store. */
  function isShown(state: RedisBufferState, key: string, nowMs: number): boolean {
    const untilMs = state.shown.get(key);
    return untilMs !== undefined && untilMs > nowMs;
  }

  function remember(state: RedisBufferState, key: string, untilMs: number): void {
    const known = state.shown.get(key) ?? 0;
    state.shown.delete(key);
    if (state.shown.size >= options.maxPendingCount) {
      const oldest = state.shown.keys().next().value;
      if (oldest !== undefined) state.shown.delete(oldest);
    }
    state.shown.set(key, Math.max(known, untilMs));
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
      warnings: new Map(),
      asked: [],
      phase: 'idle',
      shown: new Map(),
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
      warnings: state.warnings.size,
      droppedPresences: state.dropped.presence,
      droppedWarnings: state.dropped.warning,
      storeAway: state.storeAway,
    }),
  };
}

/** Never leaves this process, and costs no hash. */
const localKeyOf = ({ teamId, type, debounceKey }: Warning): string => `${teamId}\n${type}\n${debounceKey}`;

/** Distinct ids may be part of the key: hashed, so that they are not in Redis in clear. */
function keyOf({ teamId, type, debounceKey }: Warning): string {
  const hash = debounceKey === '' ? '' : createHash('sha256').update(debounceKey).digest('base64url').slice(0, 22);
  return `troupe:warning:${teamId}:${type}:${hash}`;
}
