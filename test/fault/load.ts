import type { RecordProducer } from '../../src/kafka/port.ts';
import { eventRecord } from '../kit/records.ts';

/**
 * A stream of events whose end state can be told without knowing how they were interleaved.
 *
 * I1  Each distinct_id counts its own events from 0 (`seq`) and writes only person properties with its own name in them, so
 *     that persons can be merged at any moment and the result does not depend on which of two ids came first.
 * I2  Same seed, same events of each distinct_id in the same order; when they are sent depends on the machine.
 * I3  An event is in `sent` only when Kafka has acknowledged it.
 */
export interface Load {
  /** Of each distinct_id, the acknowledged events in the order of their `seq`. */
  readonly sent: ReadonlyMap<string, readonly SentEvent[]>;
  sentCount(): number;
  /** Stops sending and waits for what is on its way. @throws what the producer threw */
  stop(): Promise<void>;
}

export interface SentEvent {
  /** Its number among the events of its distinct_id, from 0. */
  readonly seq: number;
  readonly uuid: string;
  readonly event: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface LoadOptions {
  readonly producer: RecordProducer;
  readonly topic: string;
  readonly token: string;
  readonly seed: number;
  readonly eventsPerSecond: number;
  /** Users; each has an anonymous id too, and one in eight is never given a person. */
  readonly userCount: number;
}

const TICK_MS = 50;

/** Small, fast and the same everywhere: mulberry32. Numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function startLoad(options: LoadOptions): Load {
  const { producer, topic, token, userCount } = options;
  const random = seededRandom(options.seed);
  const made = new Map<string, SentEvent[]>();
  const sent = new Map<string, SentEvent[]>();
  let sentCount = 0;
  let stopped = false;
  let failure: unknown;
  const inFlight = new Set<Promise<void>>();

  function next(): { readonly distinctId: string; readonly event: SentEvent } {
    const user = Math.floor(random() * userCount);
    const distinctId = user % 8 === 7 ? `ghost-${user}` : random() < 0.3 ? `anon-${user}` : `user-${user}`;
    const before = made.get(distinctId) ?? [];
    made.set(distinctId, before);
    const event = eventOf(distinctId, before.length, random);
    before.push(event);
    return { distinctId, event };
  }

  function send(): void {
    const batch = Array.from({ length: Math.max(1, Math.round((options.eventsPerSecond * TICK_MS) / 1_000)) }, next);
    const records = batch.map(({ distinctId, event }) =>
      eventRecord({
        token,
        distinctId,
        event: event.event,
        uuid: event.uuid,
        properties: event.properties,
        timestamp: timestampOf(distinctId),
      }),
    );
    const sending = producer.send(topic, records).then(
      () => {
        for (const { distinctId, event } of batch) {
          const own = sent.get(distinctId) ?? [];
          sent.set(distinctId, own);
          own.push(event);
          // Acknowledgements of two batches may come in any order; the log has the order of the sends.
          own.sort((one, other) => one.seq - other.seq);
        }
        sentCount += batch.length;
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
    inFlight.add(sending);
    void sending.then(() => inFlight.delete(sending));
  }

  const timer = setInterval(() => {
    if (!stopped) send();
  }, TICK_MS);

  return {
    sent,
    sentCount: () => sentCount,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await Promise.all(inFlight);
      if (failure !== undefined) throw new Error('the load could not be produced', { cause: failure });
    },
  };
}

function eventOf(distinctId: string, seq: number, random: () => number): SentEvent {
  const uuid = uuidOf(random);
  const padding = 'x'.repeat(Math.floor(random() * 200));
  if (distinctId.startsWith('ghost')) return { seq, uuid, event: 'passed', properties: { seq, padding, $process_person_profile: false } };
  const properties: Record<string, unknown> = {
    seq,
    padding,
    $set: { [`${distinctId} last`]: seq },
    $set_once: { [`${distinctId} first`]: seq },
  };
  if (seq % 7 === 3) properties['$set'] = { [`${distinctId} last`]: seq, [`${distinctId} sometimes`]: seq };
  if (seq % 7 === 5) properties['$unset'] = [`${distinctId} sometimes`];
  if (distinctId.startsWith('user') && seq % 20 === 4) {
    return { seq, uuid, event: '$identify', properties: { ...properties, $anon_distinct_id: distinctId.replace('user', 'anon') } };
  }
  return { seq, uuid, event: 'worked', properties };
}

/** Each id has a month of its own out of four, so that blocks span table partitions and are stored part by part. */
function timestampOf(distinctId: string): string {
  const month = 1 + (Number(distinctId.replace(/\D/g, '')) % 4);
  return `2026-0${month}-15T12:00:00.000Z`;
}

function uuidOf(random: () => number): string {
  const digits = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20)}`;
}
