import { createRoster } from '../../domain/roster.ts';
import { messageOf } from '../../domain/strings.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../kafka/port.ts';
import { state as stateFact } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Spilled } from '../sink.ts';
import { encodeFrame } from './record.ts';
import type { ReplayResult } from './replay.ts';
import type { Segment, TopicWriter } from './topic-writer.ts';

/**
 * Role: the way of one topic's records: to Kafka, or through the spill while Kafka does not take them.
 *
 *     direct ──Kafka failed, or was silent for `kafkaMs`──▶ diverted ◀──failed, or took too long──┐
 *        ▲                                                     └──the last small segment is sent──▶ closing
 *        └──────────────acknowledged, and nothing is pending────────────────────────────────────────┘
 *
 *     direct    records go to Kafka; the disk is not touched
 *     diverted  records go to the spill, behind those that are there; the replay of the oldest is how we learn that Kafka answers again
 *     closing   Kafka answers again: records wait in memory for the last ones before them
 *
 * L1 `spilled` is said only of what the writer called durable (topic-writer.ts, W1), `acknowledged` only of what Kafka did.
 * L2 Nothing overtakes: what is on its way when Kafka fails follows into the spill in the order it came, what comes later goes behind it, and
 *    direct begins again only when nothing is pending. What was on its way may have been written too, or still be: such a record has another
 *    copy with the same uuid, in a place of its own (docs/adr/0020).
 * L3 Without a disk that takes them, records are `unavailable`, and the lane goes back to asking Kafka: no worse than without a spill.
 * L4 What waits in `closing` waits `closingMs` at most, then goes through the spill in the order it came.
 */
export interface TopicLane {
  send(records: readonly OutgoingRecord[]): Promise<LaneResult>;
  /** Kafka is away for it, so records go to the spill or nowhere. Not for a topic that Kafka does not have: the others may be well. */
  isShut(): boolean;
  /** No more replays. What waits is spilled, and what Kafka has not answered after `graceMs`; resolves when that is done. */
  stop(graceMs: number): Promise<void>;
}

export type LaneResult =
  | { readonly type: 'acknowledged' }
  | { readonly type: 'spilled'; readonly spilled: Spilled }
  | { readonly type: 'too-large'; readonly detail: string }
  | { readonly type: 'unavailable'; readonly error: Error };

export interface TopicLaneOptions {
  readonly topic: string;
  readonly producer: RecordProducer;
  readonly writer: TopicWriter;
  readonly replay: (segment: Segment) => Promise<ReplayResult>;
  readonly clock: Clock;
  /** How long Kafka may be silent about a record that somebody waits for. */
  readonly kafkaMs: number;
}

interface Entry {
  readonly records: readonly OutgoingRecord[];
  readonly sinceMs: number;
  readonly end: (result: LaneResult) => void;
  readonly ended: Promise<LaneResult>;
}

/** A segment so small that what comes meanwhile rather waits for it. */
const CLOSING_BYTES = 1 << 20;
const CLOSING_MS = 1_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

export function createTopicLane({ topic, producer, writer, replay, clock, kafkaMs }: TopicLaneOptions): TopicLane {
  let state: 'direct' | 'diverted' | 'closing' = 'direct';
  /** Given to Kafka and not answered, oldest first. */
  const onTheWay = createRoster<Entry>();
  let waiting: Entry[] = [];
  let patience: Timer | undefined;
  let closing: Timer | undefined;
  let wake: (() => void) | undefined;
  /** Why the lane is not direct. */
  let why: Spilled = { code: 'unavailable', error: '' };
  const spilling = new Set<Promise<void>>();
  let stopped = false;

  function sendDirect(entry: Entry): void {
    const place = onTheWay.add(entry);
    armPatience();
    producer.send(topic, entry.records).then(
      () => {
        if (onTheWay.leave(place)) entry.end({ type: 'acknowledged' });
      },
      (error: unknown) => {
        if (!place.isIn) return; // it is in the spill
        if (error instanceof ProduceError && error.code === 'too-large') {
          onTheWay.leave(place);
          entry.end({ type: 'too-large', detail: error.message });
        } else {
          divert(error instanceof ProduceError ? error.code : 'unknown', messageOf(error));
        }
      },
    );
  }

  /** One timer for all: the oldest is the first whose time is up. */
  function armPatience(): void {
    const oldest = onTheWay.oldest();
    if (patience !== undefined || oldest === undefined) return;
    patience = clock.after(Math.max(0, oldest.sinceMs + kafkaMs - clock.monotonic()), () => {
      patience = undefined;
      const first = onTheWay.oldest();
      if (first !== undefined && clock.monotonic() - first.sinceMs >= kafkaMs) divert('late', `no acknowledgement within ${kafkaMs} ms`);
      else armPatience();
    });
  }

  /** L2 */
  function divert(code: string, error: string): void {
    if (state !== 'direct') return;
    state = 'diverted';
    why = { code, error };
    stateFact('spill-diverted', { topic, code, message: error });
    for (const entry of onTheWay.clear()) spill(entry, why);
    void goHome();
  }

  function spill({ records, end }: Entry, { code, error }: Spilled): void {
    const timeMs = clock.now();
    const begunMs = clock.monotonic();
    const frames = records.map((record) => encodeFrame({ ...record, topic, timeMs, code, error }));
    const written = writer.append(frames).then(
      () => {
        stateFact('spill-written', { topic, records: records.length, code, durationMs: clock.monotonic() - begunMs });
        end({ type: 'spilled', spilled: { code, error } });
      },
      (refused: unknown) => {
        const cause = refused instanceof Error ? refused : new Error(String(refused));
        stateFact('spill-refused', {
          topic,
          records: records.length,
          code: (cause as { code?: string }).code ?? 'disk',
          message: cause.message,
        });
        end({ type: 'unavailable', error: cause });
      },
    );
    spilling.add(written);
    void written.finally(() => spilling.delete(written));
  }

  /** Replays until nothing is pending; then the lane is direct. */
  async function goHome(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    // Nobody waits for a replay that only asks whether Kafka is back.
    let hasAnswered = false;
    while (!stopped) {
      await writer.seal();
      const segment = writer.oldest();
      if (segment === undefined) {
        if (writer.pendingCount() > 0) continue;
        becomeDirect();
        return;
      }
      if (hasAnswered && writer.pendingCount() === segment.records && segment.bytes <= CLOSING_BYTES) beginClosing();
      const result = await replay(segment);
      hasAnswered = result.type === 'done';
      if (result.type === 'failed') {
        const { message } = result.error;
        const code = result.error instanceof ProduceError ? result.error.code : 'disk';
        if (code !== 'disk') why = { code, error: message };
        if (!stopped) stateFact('spill-replay-failed', { topic, code, message });
        endClosing();
        await sleep(pauseMs);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      } else {
        writer.forget(segment);
        pauseMs = FIRST_PAUSE_MS;
      }
      statePending();
    }
  }

  function beginClosing(): void {
    if (state === 'closing' || stopped) return;
    state = 'closing';
    closing = clock.after(CLOSING_MS, endClosing);
  }

  /** L4 */
  function endClosing(): void {
    if (state !== 'closing') return;
    state = 'diverted';
    closing?.cancel();
    const entries = waiting;
    waiting = [];
    for (const entry of entries) spill(entry, why);
    statePending();
  }

  function becomeDirect(): void {
    state = 'direct';
    closing?.cancel();
    stateFact('spill-returned', { topic });
    const entries = waiting;
    waiting = [];
    // Kafka's time begins now; and sending one of them may divert the lane anew.
    for (const entry of entries) take({ ...entry, sinceMs: clock.monotonic() });
  }

  function take(entry: Entry): void {
    switch (state) {
      case 'direct':
        return sendDirect(entry);
      case 'closing':
        return void waiting.push(entry);
      case 'diverted':
        spill(entry, why);
        statePending();
    }
  }

  function statePending(): void {
    stateFact('spill-pending-changed', { topic, records: writer.pendingCount() });
  }

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(ms, resolve);
      wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  return {
    send(records) {
      const { promise, resolve } = Promise.withResolvers<LaneResult>();
      take({ records, end: resolve, ended: promise, sinceMs: clock.monotonic() });
      return promise;
    },
    isShut: () => state === 'diverted' && why.code !== 'unknown-topic',
    async stop(graceMs) {
      stopped = true;
      endClosing();
      wake?.();
      if (onTheWay.size > 0) {
        await Promise.race([Promise.all(onTheWay.list().map(({ ended }) => ended)), sleep(graceMs)]);
        if (onTheWay.size > 0) divert('late', 'the process ends');
      }
      await Promise.all(spilling);
    },
  };
}
