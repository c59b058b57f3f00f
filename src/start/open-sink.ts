import { resolve } from 'node:path';
import { createKafkaSink } from '../capture/kafka-sink.ts';
import type { EventSink } from '../capture/sink.ts';
import { openSpill } from '../capture/spill/spill.ts';
import type { Config } from '../config/schema.ts';
import type { RecordProducer } from '../kafka/port.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

export interface SinkParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly producer: RecordProducer;
}

export interface OpenedSink extends EventSink {
  /** Whether records would be taken now, whatever Kafka does. */
  isTaking(): boolean;
}

/** Where capture's records become durable: Kafka with the spill behind it, or the embedded log, which is a disk already. */
export async function openSink({ config, clock, closers, producer }: SinkParts): Promise<OpenedSink> {
  if (config.kafka.hosts.length === 0) return { ...createKafkaSink({ producer, clock }), isTaking: () => true };
  const { spillDir = '', spillInstance = '', spillSegmentBytes, spillMaxBytes, spillLeaseMs } = config.capture;
  const spill = await openSpill({
    dir: resolve(spillDir),
    instance: spillInstance,
    producer,
    clock,
    segmentBytes: spillSegmentBytes,
    maxBytes: spillMaxBytes,
    leaseMs: spillLeaseMs,
  });
  closers.push('the spill', () => spill.close());
  spill.watch();
  return spill;
}
