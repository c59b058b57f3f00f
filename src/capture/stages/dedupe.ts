import { hash } from 'node:crypto';
import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { StateStore } from '../../redis/port.ts';
import { without, type Batch, type Stage } from '../batch.ts';
import type { PreparedEvent } from './prepare.ts';

export interface DedupeSettings {
  readonly store: Pick<StateStore, 'get' | 'set'>;
  /** How long an event is remembered. */
  readonly ttlMs: number;
}

/**
 * Leaves out what is known to be stored: what SDKs send again although its first sending had arrived. An event is told by its
 * token and the uuid the client gave it, else by its distinct_id, name and timestamp; with neither it is always new.
 *
 * D1 An event is remembered after its batch was taken, never before, and not when it was left out on its way: what is not stored can come again.
 * D2 A store that is away hides nothing: every event passes. Nobody waits for the remembering.
 * D3 Two sendings at the same time may both pass. They have one uuid, and become one row in ClickHouse.
 */
export function dedupe({ store, ttlMs }: DedupeSettings): Stage<PreparedEvent> {
  const tellAway = (error: unknown): void => state('state-store-unavailable', { operation: 'dedupe', message: messageOf(error) });

  async function storedAmong(keys: readonly string[]): Promise<ReadonlySet<string>> {
    try {
      const values = await Promise.all(keys.map((key) => store.get(key)));
      return new Set(keys.filter((_, index) => values[index] !== undefined));
    } catch (error) {
      tellAway(error); // D2
      return new Set();
    }
  }

  return (next) => async (batch) => {
    const keys = new Map(batch.events.map((event) => [event, keyOf(event, batch)] as const));
    const stored = await storedAmong([...new Set([...keys.values()].filter((key) => key !== undefined))]);
    const seen = new Set(stored);
    const fresh = without(batch, (event) => {
      const key = keys.get(event);
      if (key === undefined) return undefined;
      if (seen.has(key)) return 'duplicate';
      seen.add(key);
      return undefined;
    });
    const before = batch.drops.length;
    const verdict = await next(fresh);
    // D1
    if (verdict.type === 'taken') {
      const leftOut = new Set(batch.drops.slice(before).map(({ uuid }) => uuid));
      for (const event of fresh.events) {
        const key = keys.get(event);
        if (key !== undefined && !leftOut.has(event.uuid)) store.set(key, '1', ttlMs).catch(tellAway);
      }
    }
    return verdict;
  };
}

function keyOf({ raw, distinctId }: PreparedEvent, { token }: Batch<PreparedEvent>): string | undefined {
  if (raw.uuid !== undefined) return `troupe:captured:${token}:${raw.uuid}`;
  if (raw.timestamp === undefined) return undefined;
  return `troupe:captured:${token}:${hash('sha256', JSON.stringify([distinctId, raw.event, raw.timestamp]), 'base64url')}`;
}
