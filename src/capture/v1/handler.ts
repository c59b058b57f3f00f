import { isUtf8 } from 'node:buffer';
import { isIllegalDistinctId } from '../../domain/merge.ts';
import { put } from '../../domain/json.ts';
import { state } from '../../observe/facts.ts';
import { done, EMPTY_PAYLOAD, oversize, refuse, undecodable, type Answer, type Attempt } from '../answers.ts';
import type { Batch, Drop, Take } from '../batch.ts';
import { clientIp } from '../client-ip.ts';
import type { Exchange, Handler } from '../exchange.ts';
import type { Compression, Inflate } from '../inflate.ts';
import { withBody, type PayloadOptions } from '../payload.ts';
import type { RawEvent } from '../shapes.ts';
import { dropped, jsonError, resultsAnswer, type EventResult } from './answers.ts';
import { readHeaders, type V1Headers } from './headers.ts';
import { parseV1 } from './shapes.ts';

export interface V1Options {
  readonly payload: PayloadOptions;
  readonly inflate: Inflate;
  readonly take: Take<RawEvent>;
}

/** The v1 protocol (spec/capture.md 12): a result for each event, so that a client sends again only what is not stored. */
export function v1Handler(options: V1Options): Handler {
  return async (exchange) => {
    const headers = readHeaders(exchange.request.headers);
    if (!headers.ok) return jsonError(headers.answer);
    const text = await withBody(exchange, options.payload, (body) =>
      decode(body, headers.value.compression, options.inflate, options.payload.limits.decodedBytes),
    );
    if (!text.ok) return jsonError(text.answer);
    const parsed = parseV1(text.value, headers.value);
    if (!parsed.ok) return jsonError(parsed.answer);
    const { events, drops, historicalMigration } = parsed.value;
    exchange.account.token = headers.value.token;
    exchange.account.eventCount = events.length + drops.length;
    for (const { cause } of drops) state('capture-events-dropped', { cause, count: 1 });
    const batch = batchOf(exchange, headers.value, events, [...drops]);
    return answerOf({ ...batch, historicalMigration }, options.take);
  };
}

async function decode(body: Buffer, compression: Compression | undefined, inflate: Inflate, limitBytes: number): Promise<Attempt<string>> {
  if (body.length === 0) return refuse(EMPTY_PAYLOAD);
  let bytes: Buffer | 'too-large' = body;
  if (compression !== undefined) {
    try {
      bytes = await inflate(compression, body, limitBytes);
    } catch {
      return refuse(undecodable(`invalid ${compression.toUpperCase()} data`)); // zlib has no other complaint than that these are not its bytes
    }
  } else if (body.length > limitBytes) bytes = 'too-large';
  if (bytes === 'too-large') return refuse(oversize(`the decompressed request exceeds ${limitBytes} bytes`));
  return isUtf8(bytes) ? done(bytes.toString()) : refuse(undecodable('invalid UTF8 in request payload'));
}

function batchOf(exchange: Exchange, { token, sentAtMs }: V1Headers, events: readonly RawEvent[], drops: Drop[]): Batch<RawEvent> {
  const ip = clientIp(exchange.request);
  return { exchange, token, events, historicalMigration: false, sentAtMs, ip, drops, oversize: 'drop' };
}

async function answerOf(batch: Batch<RawEvent>, take: Take<RawEvent>): Promise<Answer> {
  const results = new Map<string, EventResult>();
  for (const event of batch.events) {
    if (event.uuid === undefined) continue;
    const isShared = typeof event.distinctId === 'string' && isIllegalDistinctId(event.distinctId);
    // An id that many people have: the event counts, a person made of it would be nobody.
    if (isShared) put(event.properties, '$process_person_profile', false);
    results.set(event.uuid, isShared ? { result: 'warning', details: 'person_processing_disabled' } : { result: 'ok' });
  }
  const verdict = batch.events.length === 0 ? ({ type: 'taken' } as const) : await take(batch);
  if (verdict.type === 'refused') return jsonError(verdict.answer);
  if (verdict.type === 'too-large') return jsonError(oversize(verdict.detail));
  // Some of the records may be stored; sent again they have the same uuid.
  if (verdict.type === 'unavailable') for (const uuid of results.keys()) results.set(uuid, { result: 'retry', details: 'not_persisted' });
  for (const drop of batch.drops) if (drop.uuid !== undefined) results.set(drop.uuid, dropped(drop));
  return resultsAnswer(results);
}
