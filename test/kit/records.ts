import { randomUUID } from 'node:crypto';
import type { OutgoingRecord } from '../../src/kafka/port.ts';

export interface EventOptions {
  readonly token: string;
  readonly distinctId: string;
  readonly event: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly uuid?: string;
  /** Of the event. @defaultValue now */
  readonly timestamp?: string;
  /** Fields of the inner event, over what it would have. */
  readonly inner?: Readonly<Record<string, unknown>>;
  /** Fields of the envelope, over what it would have. */
  readonly envelope?: Readonly<Record<string, unknown>>;
}

/** A Kafka record as PostHog's capture writes it: envelope, inner event, key `token:distinct_id`. */
export function eventRecord(options: EventOptions): OutgoingRecord {
  const { token, distinctId, event, properties = {}, uuid = randomUUID(), timestamp } = options;
  const now = new Date().toISOString();
  const inner = { event, uuid, distinct_id: distinctId, properties, timestamp: timestamp ?? now, ...options.inner };
  const envelope = {
    uuid,
    distinct_id: distinctId,
    ip: '127.0.0.1',
    data: JSON.stringify(inner),
    now,
    sent_at: '',
    token,
    ...options.envelope,
  };
  return { key: Buffer.from(`${token}:${distinctId}`), value: Buffer.from(JSON.stringify(envelope)) };
}
