import type { Envelope } from '../../src/domain/event.ts';
import { offset as toOffset } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { OverflowLimiter } from '../../src/domain/overflow.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import type { ForwarderMessage, RedirectedRecord } from '../forwarder/messages.ts';
import { namedBy } from './arrivals.ts';

/** What an intake does about keys that have too many records (spec 1.6). Whatever it is, events of one distinct_id keep their order. */
export type OverflowPolicy =
  /** Everything is processed here. */
  | { readonly type: 'keep' }
  /** Records beyond the limit go to another topic, with their key or without (B-1, B-3, B-4). The limiter is the process's. */
  | { readonly type: 'redirect'; readonly topic: string; readonly key: 'original' | 'none'; readonly limiter: OverflowLimiter }
  /** This is that other topic: the team is told whose events came this way (B-7). PostHog's batches there are groups or single events (B-6). */
  | { readonly type: 'warn'; readonly per: 'group' | 'event' };

export const KEEP: OverflowPolicy = { type: 'keep' };

/** PostHog's words for the same, as its metrics have them (`overflow_mode`, 9.4). */
export function overflowModeOf(policy: OverflowPolicy): string {
  if (policy.type === 'redirect') return policy.key === 'original' ? 'Reroute' : 'RerouteRandomly';
  if (policy.type === 'warn') return policy.per === 'group' ? 'ConsumeSplitByDistinctId' : 'ConsumeSplitEvenly';
  return 'Disabled';
}

/** B-1: capture has taken the key away because it saw too many. A record without a value cannot be written again: it is judged here. */
export function isRedirectedUnread(policy: OverflowPolicy, record: KafkaRecord): boolean {
  return policy.type === 'redirect' && record.key === null && record.value !== null;
}

/** `team_id ?? token`, where an untrusted team_id counts for nothing; a record with neither shares one key with all such. */
export function partitionKeyOf(envelope: Envelope, trustTeamId: boolean): string {
  const { teamId, token } = namedBy(envelope, trustTeamId);
  return teamId === undefined ? (token ?? '') : String(teamId);
}

/** B-3 */
export const limiterKeyOf = (envelope: Envelope, trustTeamId: boolean): string =>
  `${partitionKeyOf(envelope, trustTeamId)}:${envelope.distinctId}`;

/** B-4: the same value and headers; the key as the policy says. */
export function redirection(
  { topic, key }: Extract<OverflowPolicy, { type: 'redirect' }>,
  records: readonly KafkaRecord[],
  settlement: Settlement,
): ForwarderMessage {
  const redirected = records.map((record): RedirectedRecord => ({
    settlement,
    offset: toOffset(record.offset),
    key: key === 'original' ? record.key : null,
    value: record.value ?? Buffer.alloc(0),
    headers: record.headers,
    timestampMs: record.timestampMs,
  }));
  return { type: 'redirect', topic, records: redirected };
}
