import type { Envelope, TraceContext } from '../../src/domain/event.ts';
import { newSpanId, parseTraceparent, sampleByUuid } from '../../src/domain/trace.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Clock, Random } from '../../src/runtime/clock.ts';

interface Chance {
  readonly clock: Clock;
  readonly random: Random;
}

/** Traces of one partition: a producer's own goes on, and a share of the records without one begins here. */
export interface Tracing {
  /** States the router's stage of a sampled record; undefined for the others. */
  traceOf(record: KafkaRecord, envelope: Envelope, chance: Chance): TraceContext | undefined;
}

export function createTracing(topic: string, partition: number, sampleRatio: number): Tracing {
  function traceOf(record: KafkaRecord, envelope: Envelope, { clock, random }: Chance): TraceContext | undefined {
    const header = record.headers?.['traceparent'];
    const parent = header === undefined ? undefined : parseTraceparent(header.toString('latin1'));
    const traceId =
      parent === undefined
        ? typeof envelope.uuid === 'string' && sampleByUuid(envelope.uuid, sampleRatio)
        : parent.sampled && parent.traceId;
    if (typeof traceId !== 'string') return undefined;
    const spanId = newSpanId(() => random.next());
    const nowMs = clock.now();
    stateFact('stage-ended', {
      name: `process ${topic}`,
      trace: { traceId, spanId: parent?.spanId ?? ROOT_SPAN },
      spanId,
      startMs: record.timestampMs,
      endMs: nowMs,
      attributes: {
        'messaging.destination.name': topic,
        'messaging.destination.partition.id': String(partition),
        'kafka.offset': record.offset,
      },
    });
    return { traceId, spanId };
  }

  return { traceOf };
}

/** Parent of a trace that starts here: no span has this id, so a viewer shows ours as the root. */
const ROOT_SPAN = '0000000000000000';
