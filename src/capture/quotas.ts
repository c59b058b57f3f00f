import { state } from '../observe/facts.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

/** What PostHog's billing limits, each by itself (spec/capture.md 7.3). */
export const QUOTA_RESOURCES = ['events', 'recordings', 'exceptions', 'surveys', 'llm_events'] as const;
export type QuotaResource = (typeof QUOTA_RESOURCES)[number];

export interface Quotas {
  /** Whether the token has used up what it has paid for. Reads memory, never waits. */
  isLimited(resource: QuotaResource, token: string): boolean;
}

/** Nobody is limited. */
export const NO_QUOTAS: Quotas = { isLimited: () => false };

export interface QuotaOptions {
  readonly store: Pick<StateStore, 'rankFrom'>;
  /** In front of PostHog's keys. */
  readonly keyPrefix: string;
  readonly clock: Clock;
  /** @defaultValue 5,000 */
  readonly intervalMs?: number;
}

/**
 * Role: knows which tokens PostHog's billing has limited, from sorted sets in Redis whose scores say until when.
 *
 *     reading ──answer──▶ resting ──intervalMs──▶ reading …          any ──close──▶ closed
 *
 * Q1 A request only reads memory.
 * Q2 Without an answer the last sets stay; without any yet, nobody is limited.
 * Q3 A limit ends at its score, whether or not Redis answers then.
 * Q4 One reading at a time; after `close` none begins.
 */
export function watchQuotas({ store, keyPrefix, clock, intervalMs = 5_000 }: QuotaOptions): Quotas & { close(): void } {
  /** Seconds since 1970 until which each token is limited. */
  const until = new Map<QuotaResource, ReadonlyMap<string, number>>();
  let resting: Timer | undefined;
  let isClosed = false;

  async function read(): Promise<void> {
    for (const resource of QUOTA_RESOURCES) {
      try {
        const limited = await store.rankFrom(`${keyPrefix}@posthog/quota-limits/${resource}`, Math.floor(clock.now() / 1_000));
        until.set(resource, new Map(limited.map(({ member, score }) => [member, score])));
        state('capture-quotas-read', { resource, tokens: limited.length });
      } catch (error) {
        // Q2. The next one would fail as well, and each waits for its deadline.
        state('state-store-unavailable', { operation: 'quota-limits', message: error instanceof Error ? error.message : String(error) });
        break;
      }
    }
    if (!isClosed) resting = clock.after(intervalMs, () => void read());
  }
  void read();

  return {
    isLimited: (resource, token) => (until.get(resource)?.get(token) ?? 0) * 1_000 > clock.now(),
    close() {
      isClosed = true;
      resting?.cancel();
    },
  };
}
