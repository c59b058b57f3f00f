import type { OutgoingRecord } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import { sleep } from '../../runtime/patience.ts';
import { done, EMPTY_PAYLOAD, json, oversize, TOPIC_MISSING, TOPIC_NOT_ALLOWED, TRY_AGAIN, type Answer } from '../answers.ts';
import type { Budget } from '../body.ts';
import type { Exchange, Handler } from '../exchange.ts';
import { withBody, type PayloadOptions } from '../payload.ts';
import type { EventSink, SinkResult } from '../sink.ts';
import type { ErrorLines } from './error-lines.ts';
import { messageOf } from './message.ts';

export interface PutmessageOptions {
  readonly payload: PayloadOptions;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly settings: PutmessageSettings;
  readonly errorLines: ErrorLines;
  /** Of messages that were answered before they are durable, in memory; beyond it the answer waits, as with `durable`. */
  readonly unacknowledged: Budget;
  /** Largest Kafka value. */
  readonly eventBytes: number;
  /** How long the sink may take. */
  readonly produceMs: number;
}

export interface PutmessageSettings {
  /** What the header may name. Empty: there is no such path. */
  readonly topics: readonly string[];
  /** `durable`: the answer waits for Kafka or the spill. `none`: it does not, and a killed process loses what was on its way. */
  readonly ack: 'durable' | 'none';
}

const RETRY_MS = 1_000;
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;
/** Row 7: a type and no body. */
const TAKEN: Answer = json('');

/**
 * `POST /putmessage` (spec/capture.md 16.2): the body, whatever it is, goes to the topic that the header `topic` names, without a key.
 *
 * U1 `durable` answers 200 only after the sink has the message.
 * U2 `none` gives up no message while the process lives: one that neither Kafka nor the disk took is tried again, within a bound of memory.
 */
export function putmessageHandler(options: PutmessageOptions): Handler {
  const { payload, sink, clock, settings, errorLines, unacknowledged, eventBytes, produceMs } = options;
  const allowed = new Set(settings.topics);

  async function deliver(topic: string, record: OutgoingRecord): Promise<SinkResult> {
    const result = await sink.send(new Map([[topic, [record]]]), produceMs);
    if (result.type === 'acknowledged' && result.spilled !== undefined) errorLines.note(topic, record, result.spilled);
    return result;
  }

  /** U2. The record's bytes are taken from the budget already. Never rejects, as the sink does not. */
  async function deliverLater(topic: string, record: OutgoingRecord): Promise<void> {
    const bytes = record.value.length;
    for (;;) {
      const result = await deliver(topic, record);
      if (result.type === 'acknowledged') break;
      if (result.type === 'too-large') {
        state('putmessage-refused-late', { topic, bytes, message: result.detail });
        break;
      }
      await sleep(clock, RETRY_MS);
    }
    unacknowledged.give(bytes);
  }

  return async (exchange) => {
    const topic = topicOf(exchange);
    if (topic === undefined) return TOPIC_MISSING;
    if (!allowed.has(topic)) return TOPIC_NOT_ALLOWED;
    const body = await withBody(exchange, payload, done);
    if (!body.ok) return body.answer;
    if (body.value.length === 0) return EMPTY_PAYLOAD;
    const value = messageOf(body.value);
    if (value.length > eventBytes) return oversize(`the message has ${value.length} bytes; the limit is ${eventBytes}`);
    exchange.account.eventCount = 1;
    const record: OutgoingRecord = { key: null, value };
    if (settings.ack === 'none' && unacknowledged.take(value.length)) {
      void deliverLater(topic, record);
      return TAKEN;
    }
    const result = await deliver(topic, record);
    switch (result.type) {
      case 'acknowledged':
        return TAKEN;
      case 'too-large':
        return oversize(result.detail);
      case 'unavailable':
        return TRY_AGAIN;
    }
  };
}

/** Row 2. Undefined when it is missing or no name of a topic. */
function topicOf({ request }: Exchange): string | undefined {
  const { topic } = request.headers;
  return typeof topic === 'string' && TOPIC.test(topic) ? topic : undefined;
}
