import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import { repeated, type Closing } from './repeated.ts';

export interface LimitedSets<Name extends string> {
  /** Whether a member stands in the set now. Reads memory, never waits. */
  readonly has: (name: Name, member: string) => boolean;
}

/** Where sets are read from, and how often. */
export interface LimitedSetsSource {
  readonly store: Pick<StateStore, 'rankFrom'>;
  /** In front of PostHog's keys. */
  readonly keyPrefix: string;
  readonly clock: Clock;
  /** @defaultValue 5,000 */
  readonly intervalMs?: number;
}

export interface LimitedSetsOptions<Name extends string> extends LimitedSetsSource {
  /** PostHog's key of each set. */
  readonly keys: ReadonlyMap<Name, string>;
  /** What the facts of a failure call this. */
  readonly operation: string;
  /** After each reading of a set. */
  readonly onRead: (name: Name, members: number) => void;
}

/**
 * Role: knows who is in PostHog's sorted sets of the limited, whose scores say until when, in seconds since 1970.
 *
 *     reading ──answer──▶ resting ──intervalMs──▶ reading …          any ──close──▶ closed
 *
 * Q1 A request only reads memory.
 * Q2 Without an answer the last sets stay; without any yet, nobody is limited.
 * Q3 A limit ends at its score, whether or not Redis answers then.
 * Q4 One reading at a time; after `close` none begins.
 */
export function watchLimitedSets<Name extends string>(options: LimitedSetsOptions<Name>): LimitedSets<Name> & Closing {
  const { store, keyPrefix, keys, clock, intervalMs = 5_000, operation, onRead } = options;
  const until = new Map<Name, ReadonlyMap<string, number>>();

  async function read(): Promise<void> {
    for (const [name, key] of keys) {
      try {
        const limited = await store.rankFrom(`${keyPrefix}${key}`, Math.floor(clock.now() / 1_000));
        until.set(name, new Map(limited.map(({ member, score }) => [member, score])));
        onRead(name, limited.length);
      } catch (error) {
        // Q2. The next one would fail as well, and each waits for its deadline.
        state('state-store-unavailable', { operation, message: messageOf(error) });
        break;
      }
    }
  }

  const { close } = repeated({ clock, intervalMs }, read);
  return { has: (name, member) => (until.get(name)?.get(member) ?? 0) * 1_000 > clock.now(), close };
}
