import { parseEnvelope, type ParseFailure } from '../../src/domain/envelope.ts';
import type { Envelope } from '../../src/domain/event.ts';
import type { DropReason } from '../../src/domain/outcome.ts';
import type { DropList } from '../../src/domain/token.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import type { Arrival } from './arrivals.ts';
import { isRedirectedUnread, limiterKeyOf, partitionKeyOf, type OverflowPolicy } from './overflow.ts';

export interface AdmissionRules {
  readonly dropList: DropList;
  readonly overflow: OverflowPolicy;
  /** See RouterOptions. */
  readonly trustTeamId: boolean;
}

/** What becomes of the records of a slice before any team is looked up. Every record is in exactly one of the first four. */
export interface Admission {
  readonly arrivals: Arrival[];
  readonly unreadable: { readonly record: KafkaRecord; readonly failure: ParseFailure }[];
  readonly dropped: { readonly record: KafkaRecord; readonly envelope: Envelope; readonly reason: DropReason }[];
  /** For the overflow topic. */
  readonly aside: KafkaRecord[];
  /** Of those, how many were found here to be too many, by `team_id ?? token`, with the first of each. */
  readonly overflowed: Map<string, { readonly first: Arrival; count: number }>;
}

/**
 * Reads a slice, in the order of the rules: key taken away by capture (B-1), readable (K-21), blocked token (B-2), limiter (B-3),
 * disallowed id (T-1). A blocked token's records therefore cost no bucket, and those of a disallowed id do.
 */
export function admit(slice: readonly KafkaRecord[], rules: AdmissionRules): Admission {
  const { dropList, overflow, trustTeamId } = rules;
  const admission: Admission = { arrivals: [], unreadable: [], dropped: [], aside: [], overflowed: new Map() };
  for (const record of slice) {
    if (isRedirectedUnread(overflow, record)) {
      admission.aside.push(record);
      continue;
    }
    const parsed = parseEnvelope(record.value, rules);
    if (!parsed.ok) {
      admission.unreadable.push({ record, failure: parsed });
      continue;
    }
    const { envelope } = parsed;
    if (dropList.blocks(envelope)) {
      admission.dropped.push({ record, envelope, reason: 'blocked_token' });
    } else if (overflow.type === 'redirect' && !overflow.limiter.take(limiterKeyOf(envelope, trustTeamId), record.timestampMs)) {
      admission.aside.push(record);
      const key = partitionKeyOf(envelope, trustTeamId);
      const found = admission.overflowed.get(key);
      if (found === undefined) admission.overflowed.set(key, { first: { record, envelope, team: undefined }, count: 1 });
      else found.count++;
    } else if (dropList.disallows(envelope)) {
      admission.dropped.push({ record, envelope, reason: 'disallowed' });
    } else {
      admission.arrivals.push({ record, envelope, team: undefined });
    }
  }
  return admission;
}
