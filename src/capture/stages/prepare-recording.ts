import type { Json } from '../../domain/event.ts';
import { own } from '../../domain/json.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { Random } from '../../runtime/clock.ts';
import { done, INVALID_COOKIELESS, INVALID_SESSION, NO_DISTINCT_ID, NO_SESSION_ID, NO_SNAPSHOT, refuse, type Attempt } from '../answers.ts';
import type { Batch, Take } from '../batch.ts';
import { randomBytes } from '../random-bytes.ts';
import type { Routed } from '../routed.ts';
import { isObject, type RawEvent } from '../shapes.ts';
import { timestampOf } from '../timestamp.ts';
import { distinctIdOf } from './prepare.ts';

/**
 * The recording of a request: all its snapshots together (spec/capture.md 6.7). Whose they are and of which session is what the first
 * one says; of the others only the items count.
 */
export interface PreparedRecording extends Routed {
  readonly sessionId: string;
  readonly distinctId: string;
  readonly timestampMs: number;
  readonly cookieless: boolean;
  /** The properties of the first snapshot. */
  readonly properties: Json;
  /** Of all snapshots, in their order. Their strings are bytes to others: they are only carried. */
  readonly items: readonly unknown[];
  /** Snapshots of the client that it is made of. */
  readonly eventCount: number;
}

const SESSION_ID = /^[A-Za-z0-9-]{1,70}$/;

/** From the snapshots of a request to its one recording, on which stages decide. */
export function prepareRecording(random: Random, next: Take<PreparedRecording>): Take<RawEvent> {
  return (batch) => {
    const prepared = recordingOf(batch, random);
    if (!prepared.ok) return Promise.resolve({ type: 'refused', answer: prepared.answer });
    return next({ ...batch, events: [prepared.value] });
  };
}

function recordingOf(batch: Batch<RawEvent>, random: Random): Attempt<PreparedRecording> {
  const [first] = batch.events;
  if (first === undefined) return refuse(NO_SNAPSHOT);
  const { properties } = first;
  const distinctId = distinctIdOf(first.distinctId, properties);
  if (distinctId === undefined) return refuse(NO_DISTINCT_ID);
  const sessionId = own(properties, '$session_id') ?? undefined;
  if (sessionId === undefined) return refuse(NO_SESSION_ID);
  if (typeof sessionId !== 'string' || !SESSION_ID.test(sessionId)) return refuse(INVALID_SESSION);
  const cookieless = own(properties, '$cookieless_mode') ?? false;
  if (typeof cookieless !== 'boolean') return refuse(INVALID_COOKIELESS);
  const items = itemsOf(batch.events);
  if (items === undefined) return refuse(NO_SNAPSHOT);
  const timestampMs = timestampOf(first, batch.exchange.receivedMs, batch.sentAtMs);
  return done({
    uuid: first.uuid ?? uuidV7({ nowMs: timestampMs, random: randomBytes(random) }),
    sessionId,
    distinctId,
    timestampMs,
    cookieless,
    properties,
    items,
    eventCount: batch.events.length,
    lane: 'recordings',
    topic: undefined,
    isKeyless: false,
    extraHeaders: undefined,
  });
}

/** Undefined when a snapshot has none. */
function itemsOf(snapshots: readonly RawEvent[]): readonly unknown[] | undefined {
  const items: unknown[] = [];
  for (const { properties } of snapshots) {
    const data = own(properties, '$snapshot_data');
    if (Array.isArray(data)) for (const item of data as readonly unknown[]) items.push(item);
    else if (isObject(data)) items.push(data);
    else return undefined;
  }
  return items;
}
