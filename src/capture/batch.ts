import { state } from '../observe/facts.ts';
import type { Answer } from './answers.ts';
import type { Exchange } from './exchange.ts';
import type { QuotaResource } from './quotas.ts';
import type { TokenSettings } from './tokens/settings.ts';

/** The events of one request, all of one token, on their way to the sink. `E` grows as the stages learn more of them. */
export interface Batch<E> {
  readonly exchange: Exchange;
  readonly token: string;
  readonly events: readonly E[];
  /** The flag of the request; an event can be historical without it. */
  readonly historicalMigration: boolean;
  /** When the client sent the request, by its own clock, epoch ms. */
  readonly sentAtMs: number | undefined;
  /** Where the request came from. */
  readonly ip: string;
  /** What was left out on the way and why; shared by all stages. */
  readonly drops: Drop[];
  /** What becomes of an event that is larger than a record may be: it refuses the request, or it is left out. */
  readonly oversize: 'refuse' | 'drop';
  /** What is laid down for its token (stages/admitted.ts). Undefined: nothing. */
  readonly settings?: TokenSettings;
}

/** An event that was taken and will not be stored: spec/capture.md 7. Sending it again would help nobody. */
export interface Drop {
  /** As the client wrote it; undefined when it wrote none. */
  readonly uuid: string | undefined;
  readonly cause: DropCause;
  /** Events of the client that it stands for. @defaultValue 1 */
  readonly events?: number;
}

/** Labels of `capture_events_dropped_total`, and what v1 tells the client. */
export type DropCause =
  | 'token_dropper'
  | 'duplicate'
  | 'event_too_big'
  | 'event_restriction_drop'
  | 'type_not_allowed'
  | 'sampled_out'
  | 'rate_limited'
  | 'plugin'
  | `${QuotaResource}_over_quota`
  | V1DropCause;

/** What v1 leaves out by itself, where v0 refuses the request. */
export type V1DropCause =
  | 'no_event_name'
  | 'event_name_too_long'
  | 'no_distinct_id'
  | 'distinct_id_too_long'
  | 'invalid_timestamp'
  | 'invalid_properties'
  | 'invalid_options';

/** How the events of a request ended. `taken`: each is durable or was left out on purpose; `over-quota`: all of them were, for their quota. */
export type Verdict =
  | { readonly type: 'taken' }
  | { readonly type: 'over-quota'; readonly resource: QuotaResource }
  | { readonly type: 'refused'; readonly answer: Answer }
  | { readonly type: 'too-large'; readonly detail: string }
  | { readonly type: 'unavailable' };

/** What takes a batch to its verdict. Never rejects for what a client or an outside system does. */
export type Take<E> = (batch: Batch<E>) => Promise<Verdict>;

/**
 * One concern of a batch's way: hands on the batch, or one with fewer or altered events, and sees the verdict on its way
 * back: what is to be marked, counted or given back only when the events are durable is done there. It may also end the
 * batch by itself.
 */
export type Stage<E> = (next: Take<E>) => Take<E>;

/** The stages before a take; the first one meets the batch first. */
export function pipe<E>(stages: readonly Stage<E>[], last: Take<E>): Take<E> {
  return stages.reduceRight((next, stage) => stage(next), last);
}

/** The batch without the events that have a cause to be left out; those are counted. */
export function without<E extends { readonly uuid: string | undefined; readonly eventCount?: number }>(
  batch: Batch<E>,
  causeOf: (event: E) => DropCause | undefined,
): Batch<E> {
  const events: E[] = [];
  const counts = new Map<DropCause, number>();
  for (const event of batch.events) {
    const cause = causeOf(event);
    if (cause === undefined) {
      events.push(event);
      continue;
    }
    const { uuid, eventCount = 1 } = event;
    batch.drops.push({ uuid, cause, events: eventCount });
    counts.set(cause, (counts.get(cause) ?? 0) + eventCount);
  }
  if (counts.size === 0) return batch;
  for (const [cause, count] of counts) state('capture-events-dropped', { cause, count });
  return { ...batch, events };
}
