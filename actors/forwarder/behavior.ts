/**
 * Records to other topics of Kafka: set aside (overflow, B-4) or copied (X-2). One lane per topic, one send of a lane at a time.
 *
 *     idle ──redirect | copy──▶ sending ──acknowledged──▶ idle | sending what came meanwhile
 *                                  │ refused or away
 *                                  ▼
 *                               waiting ──self:retry──▶ sending (the same records, in the same order)
 *
 * Invariants
 * F1 A record is settled `redirected`, a copy answered, only after Kafka acknowledged it.
 * F2 Kafka away: everything waits, however long. What waits is bounded by the routers' credit.
 * F3 A record whose partition is lost is left out: the new owner decides anew.
 * F4 Records of a topic are sent in the order they came; a topic that cannot be written holds up no other.
 * F5 A record too large for its topic is found by sending the batch one by one: a redirected one goes to the dead letters by name, a
 *    copy is answered `too-large`. Its neighbours arrive.
 */
import { redirected } from '../../src/domain/outcome.ts';
import { goingOn } from '../../src/domain/record-headers.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { ForwarderMessage, RedirectedRecord } from './messages.ts';

export interface ForwarderDeps {
  readonly producer: RecordProducer;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly options: { readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

type Copy = Extract<ForwarderMessage, { type: 'copy' }>;
type Item = RedirectedRecord | Copy;

interface Lane {
  waiting: Item[];
  inFlight: readonly Item[];
  /** Items still to be sent one by one, because a batch that held them was too large. */
  aloneCount: number;
  retryMs: number;
}

export interface ForwarderState {
  readonly lanes: Map<string, Lane>;
  redirectedCount: number;
  copiedCount: number;
  readonly drains: Drains;
}

type Context = ActorContext<ForwarderMessage>;

/** Enough that a round trip is shared by many; far below the bound of the producer's queue, which capture shares. */
const BATCH = { count: 1_000, bytes: 4 * 1024 * 1024 } as const;
const RETRY_MS = { first: 100, max: 5_000 } as const;

const isCopy = (item: Item): item is Copy => 'ticket' in item;
const bytesOf = ({ key, value }: Item): number => value.length + (key?.length ?? 0);

export function createForwarder({ producer, deadLetter, options, strategy }: ForwarderDeps): ActorSpec<ForwarderState, ForwarderMessage> {
  function receive(state: ForwarderState, message: ForwarderMessage, ctx: Context): ForwarderState {
    switch (message.type) {
      case 'redirect':
        take(state, message.topic, message.records, ctx);
        return state;
      case 'copy':
        take(state, message.topic, [message], ctx);
        return state;
      case 'self:sent': {
        const lane = laneOf(state, message.topic);
        if (message.error === undefined) sent(state, message.topic, lane, ctx);
        else failed(state, message.topic, lane, message.error, ctx);
        return state;
      }
      case 'self:retry':
        send(state, message.topic, laneOf(state, message.topic), ctx);
        return state;
      case 'drain':
        state.drains.push(message.replyTo);
        tellIfDrained(state);
        return state;
    }
  }

  function laneOf(state: ForwarderState, topic: string): Lane {
    let lane = state.lanes.get(topic);
    if (lane === undefined) {
      lane = { waiting: [], inFlight: [], aloneCount: 0, retryMs: RETRY_MS.first };
      state.lanes.set(topic, lane);
    }
    return lane;
  }

  function take(state: ForwarderState, topic: string, items: readonly Item[], ctx: Context): void {
    const lane = laneOf(state, topic);
    for (const item of items) lane.waiting.push(item);
    if (lane.inFlight.length === 0) next(state, topic, lane, ctx);
  }

  function next(state: ForwarderState, topic: string, lane: Lane, ctx: Context): void {
    lane.inFlight = lane.waiting.splice(0, lane.aloneCount > 0 ? 1 : countOfBatch(lane.waiting));
    lane.aloneCount = Math.max(0, lane.aloneCount - 1);
    if (lane.inFlight.length > 0) send(state, topic, lane, ctx);
    else tellIfDrained(state);
  }

  function send(state: ForwarderState, topic: string, lane: Lane, ctx: Context): void {
    lane.inFlight = lane.inFlight.filter((item) => isCopy(item) || item.settlement.active); // F3
    if (lane.inFlight.length === 0) return next(state, topic, lane, ctx);
    const ended = (error: unknown): void => tellSelf(ctx, { type: 'self:sent', topic, error });
    producer.send(topic, lane.inFlight.map(toRecord)).then(() => ended(undefined), ended);
  }

  /** F1 */
  function sent(state: ForwarderState, topic: string, lane: Lane, ctx: Context): void {
    let redirectedCount = 0;
    for (const item of lane.inFlight) {
      if (isCopy(item)) {
        item.replyTo.tell({ type: 'copied', ticket: item.ticket, result: 'acknowledged' });
      } else {
        item.settlement.settle(item.offset, redirected(topic));
        redirectedCount++;
      }
    }
    const copiedCount = lane.inFlight.length - redirectedCount;
    stateFact('forwarder-produced', { topic, redirected: redirectedCount, copied: copiedCount });
    state.redirectedCount += redirectedCount;
    state.copiedCount += copiedCount;
    lane.retryMs = RETRY_MS.first;
    next(state, topic, lane, ctx);
  }

  /** F2, F5 */
  function failed(state: ForwarderState, topic: string, lane: Lane, error: unknown, ctx: Context): void {
    const code = error instanceof ProduceError ? error.code : 'unavailable';
    if (code === 'too-large') {
      if (lane.inFlight.length > 1) {
        lane.aloneCount += lane.inFlight.length;
        lane.waiting.unshift(...lane.inFlight);
      } else {
        for (const item of lane.inFlight) giveUp(topic, item);
      }
      lane.inFlight = [];
      return next(state, topic, lane, ctx);
    }
    const reason = error instanceof Error ? error.message : 'unknown';
    const fields = { topic, code, waiting: lane.waiting.length + lane.inFlight.length, error: reason };
    stateFact('log-written', { level: 'warn', message: 'Records cannot be forwarded; their partitions wait.', fields });
    ctx.after(lane.retryMs, { type: 'self:retry', topic });
    lane.retryMs = Math.min(lane.retryMs * 2, RETRY_MS.max);
  }

  function giveUp(topic: string, item: Item): void {
    if (isCopy(item)) {
      item.replyTo.tell({ type: 'copied', ticket: item.ticket, result: 'too-large' });
      return;
    }
    const detail = `the record is larger than topic ${topic} takes`;
    const told = deadLetter.tell({
      type: 'dead-letter',
      records: [{ ...item, reason: 'redirect_too_large', origin: 'forwarder', detail }],
    });
    // 'stopped' is a tree that is being torn down: the record comes again.
    if (told === 'full') throw new Error('the mailbox of the dead-letter actor is full although it is sized for all credit');
  }

  function tellIfDrained(state: ForwarderState): void {
    for (const lane of state.lanes.values()) if (lane.waiting.length > 0 || lane.inFlight.length > 0) return;
    tellDrained(state.drains);
  }

  return {
    kind: 'forwarder',
    start: () => ({ lanes: new Map(), redirectedCount: 0, copiedCount: 0, drains: [] }),
    receive,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: strategy,
    inspect: (state) => ({
      waiting: sumOf(state, (lane) => lane.waiting.length),
      inFlight: sumOf(state, (lane) => lane.inFlight.length),
      redirected: state.redirectedCount,
      copied: state.copiedCount,
    }),
  };
}

/** How many of the waiting make the next batch: as many as fit, at least one. */
function countOfBatch(waiting: readonly Item[]): number {
  let bytes = 0;
  const end = Math.min(waiting.length, BATCH.count);
  for (let index = 0; index < end; index++) {
    const item = waiting[index];
    if (item !== undefined) bytes += bytesOf(item);
    if (bytes > BATCH.bytes && index > 0) return index;
  }
  return end;
}

const toRecord = ({ key, value, headers }: Item): OutgoingRecord => ({ key, value, headers: goingOn(headers) });

const sumOf = ({ lanes }: ForwarderState, count: (lane: Lane) => number): number =>
  [...lanes.values()].reduce((sum, lane) => sum + count(lane), 0);
