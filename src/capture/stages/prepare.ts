import { own } from '../../domain/json.ts';
import { replaceNul } from '../../domain/strings.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { state } from '../../observe/facts.ts';
import type { Random } from '../../runtime/clock.ts';
import { done, INVALID_COOKIELESS, NO_DISTINCT_ID, NO_EVENT_NAME, refuse, type Attempt } from '../answers.ts';
import type { Batch, Take } from '../batch.ts';
import { laneOf } from '../classify.ts';
import { randomBytes } from '../random-bytes.ts';
import type { Routed } from '../routed.ts';
import type { RawEvent } from '../shapes.ts';
import { timestampOf } from '../timestamp.ts';

/** An event with everything its record needs to know (spec/capture.md 6). */
export interface PreparedEvent extends Routed {
  /** As the client sent it. */
  readonly raw: RawEvent;
  /** Normalised, 6.1; `raw` has the client's own. */
  readonly distinctId: string;
  /** Its (token, distinct_id), or (token, ip) of a cookieless one: what has an order (6.6). */
  readonly key: string;
  readonly timestampMs: number;
  readonly ip: string;
  readonly cookieless: boolean;
  readonly historical: boolean;
}

export interface PrepareOptions {
  readonly random: Random;
  /** 6.5: an event of the main lane that is so old is historical. Undefined: none is by its age. */
  readonly historicalAfterMs: number | undefined;
}

const MAX_DISTINCT_ID_CHARACTERS = 200;
const LOCALHOST = '127.0.0.1';

/** From what clients sent to what stages decide on. The first event that is refused refuses the request. */
export function prepare(options: PrepareOptions, next: Take<PreparedEvent>): Take<RawEvent> {
  return (batch) => {
    const events: PreparedEvent[] = [];
    let old = 0;
    for (const event of batch.events) {
      const prepared = prepareEvent(event, batch, options);
      if (!prepared.ok) return Promise.resolve({ type: 'refused', answer: prepared.answer });
      if (prepared.value.historical && !batch.historicalMigration) old++;
      events.push(prepared.value);
    }
    if (events.length === 1) batch.exchange.account.eventId = events[0]?.uuid;
    if (old > 0) state('capture-events-rerouted', { to: 'historical', reason: 'timestamp', count: old });
    return next({ ...batch, events });
  };
}

function prepareEvent(raw: RawEvent, batch: Batch<RawEvent>, { random, historicalAfterMs }: PrepareOptions): Attempt<PreparedEvent> {
  if (raw.event === '') return refuse(NO_EVENT_NAME);
  const cookieless = own(raw.properties, '$cookieless_mode');
  if (cookieless !== undefined && typeof cookieless !== 'boolean') return refuse(INVALID_COOKIELESS);
  const distinctId = distinctIdOf(raw.distinctId, raw.properties);
  if (distinctId === undefined) return refuse(NO_DISTINCT_ID);
  const { token, exchange } = batch;
  const nowMs = exchange.receivedMs;
  const timestampMs = timestampOf(raw, nowMs, batch.sentAtMs);
  const ip = Object.hasOwn(raw.properties, 'capture_internal') ? LOCALHOST : batch.ip;
  const isOld = historicalAfterMs !== undefined && timestampMs <= nowMs - historicalAfterMs;
  const lane = laneOf(raw.event, batch.historicalMigration || isOld);
  return done({
    raw,
    uuid: raw.uuid ?? uuidV7({ nowMs: timestampMs, random: randomBytes(random) }),
    distinctId,
    key: `${token}:${cookieless === true ? ip : distinctId}`,
    timestampMs,
    ip,
    cookieless: cookieless === true,
    historical: lane === 'historical',
    lane,
    topic: undefined,
    isKeyless: false,
    extraHeaders: undefined,
  });
}

/**
 * 6.1: at the top level, else in the properties; anything but a string as its JSON. Undefined when there is none, or only blanks.
 */
export function distinctIdOf(topLevel: unknown, properties: RawEvent['properties']): string | undefined {
  const raw = topLevel ?? own(properties, 'distinct_id') ?? undefined;
  if (raw === undefined) return undefined;
  const text = replaceNul(typeof raw === 'string' ? raw : JSON.stringify(raw)).toWellFormed();
  if (text.trim() === '') return undefined;
  // Characters are counted, not UTF-16 units; a text of so few units cannot have more characters.
  return text.length <= MAX_DISTINCT_ID_CHARACTERS ? text : [...text].slice(0, MAX_DISTINCT_ID_CHARACTERS).join('');
}
