import type { KafkaMessage } from 'kafkajs';
import type { KafkaRecord } from './port.ts';

/** A record as kafkajs decodes it, in the words of the port. */
export function toRecord(message: KafkaMessage): KafkaRecord {
  return {
    offset: Number(message.offset),
    key: message.key,
    value: message.value,
    headers: toHeaders(message.headers),
    timestampMs: Number(message.timestamp),
  };
}

/** Of a header that is there several times the last counts, as for the Java client's `lastHeader`. */
function toHeaders(headers: KafkaMessage['headers']): Record<string, Buffer> | undefined {
  let found: Record<string, Buffer> | undefined;
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) (found ??= {})[name] = typeof last === 'string' ? Buffer.from(last) : last;
  }
  return found;
}
