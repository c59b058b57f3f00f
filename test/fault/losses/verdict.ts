import type { KafkaRecord } from '../../../src/kafka/port.ts';
import type { Posted } from './posts.ts';
import { numberOf } from './posts.ts';

/** Numbers of posts. */
export interface Loss {
  readonly answered: number;
  readonly refused: number;
  /** Answered 200, and not in Kafka as they were posted. */
  readonly lost: number;
  /** In Kafka more than once: what at least once allows. */
  readonly twice: number;
  /** Of the lost: in batches that the error log tells of. What it does not tell of is lost in silence. */
  readonly told: number;
  /** Of those: there as a whole, for an operator to bring back by hand. */
  readonly whole: number;
}

/** @param records everything that the topic has. */
export function lossOf({ answered, refused }: Posted, records: readonly KafkaRecord[], errorLog: string, bodyBytes: number): Loss {
  const arrived = new Map<number, number>();
  for (const { value } of records) {
    const n = numberInValue(value?.toString() ?? '', bodyBytes);
    if (n !== undefined) arrived.set(n, (arrived.get(n) ?? 0) + 1);
  }
  const lost = new Set(answered.filter((n) => !arrived.has(n)));
  const { told, whole } = readErrorLog(errorLog, bodyBytes);
  return {
    answered: answered.length,
    refused,
    lost: lost.size,
    twice: [...arrived.values()].filter((count) => count > 1).length,
    told: Math.min(told, lost.size),
    whole: whole.filter((n) => lost.has(n)).length,
  };
}

/** The collector's lines (16.2 row 8): how many messages its failed batches had, and the numbers of those that are there to their end. */
export function readErrorLog(text: string, bodyBytes: number): { readonly told: number; readonly whole: readonly number[] } {
  let told = 0;
  const whole: number[] = [];
  for (const [, entries = '0', json = ''] of text.matchAll(/Error handle: index (\d+) partition_id \S+ retryable \S+ json \[(.*)/g)) {
    told += Number(entries) / 2; // key and message
    for (const [entry] of json.matchAll(/"(?:[^"\\]|\\.)*"/g)) {
      const n = numberInValue(JSON.parse(entry) as string, bodyBytes);
      if (n !== undefined) whole.push(n);
    }
  }
  return { told, whole };
}

function numberInValue(value: string, bodyBytes: number): number | undefined {
  if (!value.startsWith('{"body_data":')) return undefined;
  return numberOf((JSON.parse(value) as { body_data: string }).body_data, bodyBytes);
}
