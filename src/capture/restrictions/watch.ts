import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { StateStore } from '../../redis/port.ts';
import type { Clock } from '../../runtime/clock.ts';
import { repeated, type Closing } from '../repeated.ts';
import { readEntries } from './entries.ts';
import { PIPELINES, RESTRICTIONS, type Restriction, type RestrictionType } from './rules.ts';

/** The restrictions of tokens, as they are known now. */
export interface Restrictions {
  /** Undefined when the token has none. Reads memory, never waits. */
  of(token: string): readonly Restriction[] | undefined;
}

export const NO_RESTRICTIONS: Restrictions = { of: () => undefined };

export interface RestrictionOptions {
  readonly store: Pick<StateStore, 'get'>;
  readonly clock: Clock;
  /** Topics that an entry may name. */
  readonly topics: ReadonlySet<string>;
  readonly intervalMs: number;
  /** For how long what was read applies. */
  readonly staleMs: number;
}

const KEY = 'event_ingestion_restriction_dynamic_config';

/**
 * Role: knows the event restrictions, from five JSON texts in Redis that PostHog's web writes (spec/capture.md 7.4).
 *
 *     reading ──answer──▶ resting ──intervalMs──▶ reading …          any ──close──▶ closed
 *
 * R1 A request only reads memory.
 * R2 A type that could not be read keeps what it had, for `staleMs` since it was read; then it restricts nothing. The others are not held up by it.
 * R3 A key that is missing is one without entries.
 * R4 An entry that cannot be read costs itself and is named; a text that is no list counts as not read.
 */
export function watchRestrictions(options: RestrictionOptions): Restrictions & Closing {
  const { store, clock, topics, staleMs } = options;
  const known = new Map<RestrictionType, { readonly restrictions: readonly Restriction[]; readonly untilMs: number }>();
  let byToken: ReadonlyMap<string, readonly Restriction[]> = new Map();
  /** When the first of what is known becomes stale. */
  let freshUntilMs = Infinity;

  /** From what is not stale; says so when something is (R2). */
  function rebuild(): void {
    const nowMs = clock.monotonic();
    const next = new Map<string, Restriction[]>();
    freshUntilMs = Infinity;
    for (const type of RESTRICTIONS) {
      const one = known.get(type);
      if (one === undefined) continue;
      if (one.untilMs <= nowMs) {
        known.delete(type);
        state('capture-restrictions-stale', { type });
        continue;
      }
      freshUntilMs = Math.min(freshUntilMs, one.untilMs);
      for (const restriction of one.restrictions) {
        const those = next.get(restriction.token);
        if (those === undefined) next.set(restriction.token, [restriction]);
        else those.push(restriction);
      }
    }
    byToken = next;
  }

  async function readType(type: RestrictionType): Promise<void> {
    let text: string | undefined;
    try {
      text = await store.get(`${KEY}:${type}`);
    } catch (error) {
      state('capture-restrictions-fetched', { type, result: 'error' });
      state('state-store-unavailable', {
        operation: 'event-restrictions',
        message: messageOf(error),
      });
      return; // R2
    }
    const entries = text === undefined ? { restrictions: [], faults: [] } : readEntries(type, text, topics);
    const result = text === undefined ? 'not_found' : entries === undefined ? 'parse_error' : 'success';
    state('capture-restrictions-fetched', { type, result });
    for (const fault of entries?.faults ?? []) state('capture-restriction-malformed', { type, ...fault });
    if (entries !== undefined) known.set(type, { restrictions: entries.restrictions, untilMs: clock.monotonic() + staleMs });
  }

  async function read(): Promise<void> {
    await Promise.all(RESTRICTIONS.map(readType));
    rebuild();
    if (known.size < RESTRICTIONS.length) return;
    const all = [...known.values()].flatMap(({ restrictions }) => restrictions);
    for (const pipeline of PIPELINES) {
      const its = all.filter(({ pipelines }) => pipelines.has(pipeline));
      const tokens = new Set(its.map(({ token }) => token)).size;
      state('capture-restrictions-read', { pipeline, entries: its.length, tokens, atMs: clock.now() });
    }
  }

  const { close } = repeated(options, read);
  return {
    of(token) {
      if (clock.monotonic() >= freshUntilMs) rebuild();
      return byToken.get(token);
    },
    close,
  };
}
