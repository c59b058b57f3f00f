/**
 * Poison records to the dead-letter topic, with their original bytes, why, and where from.
 *
 *     idle ──dead-letter──▶ producing ──acknowledged──▶ idle | producing what came meanwhile
 *                              │ refused or away
 *                              ▼
 *                           waiting ──self:retry──▶ producing (the same records)
 *
 * Invariants
 * X1 A record is settled `dead-lettered` only after Kafka acknowledged its copy; until then its partition waits.
 * X2 Kafka away: records wait, however long. What waits is bounded by the routers' credit.
 * X3 A record whose partition is lost is left out: the new owner finds it again.
 * X4 A value that the topic cannot hold is cut, and says so (`dlq_truncated`); nothing is left unsettled for its size. When Kafka
 *    refuses a batch as too large, its records go one by one, and the one refused is halved until it fits; without its own
 *    headers at the very last.
 * X5 An event of a known team becomes a row for that team to see (L-2), after its bytes are safe. The row is a courtesy: nothing waits for it.
 */
import { deadLetterRow } from '../../src/domain/dead-letter-row.ts';
import { deadLettered } from '../../src/domain/outcome.ts';
import { goingOn } from '../../src/domain/record-headers.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import type { DeadLetterMessage, PoisonRecord } from './messages.ts';

export interface DeadLetterDeps {
  readonly producer: RecordProducer;
  /** X5 */
  readonly tellRows: (rows: readonly SideRow[]) => void;
  readonly options: {
    readonly topic: string;
    readonly mailboxCapacityCount: number;
    /** Values longer than this are cut. @defaultValue 900,000: below a broker's default message limit with room for headers */
    readonly maxValueBytes?: number;
  };
  readonly strategy: Strategy;
}

/** What the inspector shows of a dead letter: no key, no value. */
export interface RecentDeadLetter {
  readonly reason: string;
  readonly origin: string;
  readonly detail: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface DeadLetterState {
  waiting: PoisonRecord[];
  inFlight: readonly PoisonRecord[];
  /** Records still to be sent one by one, because a batch that held them was too large. */
  aloneCount: number;
  /** Bytes of value that the record in flight alone may have; undefined: as the options say. */
  cutToBytes: number | undefined;
  retryMs: number;
  producedCount: number;
  readonly recent: RecentDeadLetter[];
  readonly drains: Drains;
}

const BATCH_COUNT = 200;
const RECENT_COUNT = 200;
/** In `cutToBytes`: no value, and none of the record's own headers. */
const BARE = -1;
const RETRY_MS = { first: 100, max: 5_000 } as const;

export function createDeadLetter(deps: DeadLetterDeps): ActorSpec<DeadLetterState, DeadLetterMessage> {
  const { producer, options } = deps;
  const maxValueBytes = options.maxValueBytes ?? 900_000;

  function receive(state: DeadLetterState, message: DeadLetterMessage, ctx: ActorContext<DeadLetterMessage>): DeadLetterState {
    switch (message.type) {
      case 'dead-letter':
        for (const record of message.records) state.waiting.push(record);
        if (state.inFlight.length === 0) produce(state, ctx);
        return state;
      case 'self:produced':
        return message.error === undefined ? produced(state, ctx) : failed(state, message.error, ctx);
      case 'self:retry':
        send(state, ctx);
        return state;
      case 'drain':
        state.drains.push(message.replyTo);
        tellIfDrained(state);
        return state;
    }
  }

  function produce(state: DeadLetterState, ctx: ActorContext<DeadLetterMessage>): void {
    state.inFlight = state.waiting.splice(0, state.aloneCount > 0 ? 1 : BATCH_COUNT);
    state.aloneCount = Math.max(0, state.aloneCount - 1);
    state.cutToBytes = undefined;
    if (state.inFlight.length > 0) send(state, ctx);
    else tellIfDrained(state);
  }

  function send(state: DeadLetterState, ctx: ActorContext<DeadLetterMessage>): void {
    state.inFlight = state.inFlight.filter((record) => record.settlement.active); // X3
    if (state.inFlight.length === 0) return produce(state, ctx);
    const ended = (error: unknown): void => tellSelf(ctx, { type: 'self:produced', error });
    const limitBytes = state.cutToBytes ?? maxValueBytes;
    producer
      .send(
        options.topic,
        state.inFlight.map((record) => toRecord(record, limitBytes)),
      )
      .then(() => ended(undefined), ended);
  }

  /** X1 */
  function produced(state: DeadLetterState, ctx: ActorContext<DeadLetterMessage>): DeadLetterState {
    for (const record of state.inFlight) {
      record.settlement.settle(record.offset, deadLettered(record.reason));
      remember(state, record);
    }
    for (const [reason, records] of Map.groupBy(state.inFlight, (record) => record.reason)) {
      const places = records.map(({ settlement: { topic, partition }, offset }) => ({ topic, partition, offset }));
      stateFact('dead-letter-produced', { reason, count: records.length, places });
    }
    showTeams(state.inFlight, ctx.clock.now());
    state.producedCount += state.inFlight.length;
    state.retryMs = RETRY_MS.first;
    produce(state, ctx);
    return state;
  }

  /** X5 */
  function showTeams(records: readonly PoisonRecord[], nowMs: number): void {
    const rows = records.flatMap(({ teamId, settlement: { topic, partition }, value, offset, origin, detail }) =>
      teamId === undefined ? [] : [deadLetterRow({ value, teamId, topic, partition, offset, origin, detail }, nowMs)],
    );
    if (rows.length > 0) deps.tellRows(rows);
  }

  /** X2, X4 */
  function failed(state: DeadLetterState, error: unknown, ctx: ActorContext<DeadLetterMessage>): DeadLetterState {
    const code = error instanceof ProduceError ? error.code : 'unavailable';
    if (code === 'too-large' && makeSmaller(state)) {
      if (state.inFlight.length === 0) produce(state, ctx);
      else send(state, ctx);
      return state;
    }
    const reason = error instanceof Error ? error.message : 'unknown';
    const fields = { topic: options.topic, code, waiting: state.waiting.length + state.inFlight.length, error: reason };
    stateFact('log-written', { level: 'warn', message: 'Dead letters cannot be produced; their partitions wait.', fields });
    ctx.after(state.retryMs, { type: 'self:retry' });
    state.retryMs = Math.min(state.retryMs * 2, RETRY_MS.max);
    return state;
  }

  /** X4. False: the record in flight is as small as it can be. */
  function makeSmaller(state: DeadLetterState): boolean {
    const [first] = state.inFlight;
    if (state.inFlight.length > 1) {
      state.aloneCount += state.inFlight.length;
      state.waiting.unshift(...state.inFlight);
      state.inFlight = [];
      return true;
    }
    if (first === undefined || state.cutToBytes === BARE) return false;
    const lengthBytes = Math.min(first.value?.length ?? 0, state.cutToBytes ?? maxValueBytes);
    state.cutToBytes = lengthBytes === 0 ? BARE : lengthBytes >> 1;
    return true;
  }

  function remember(state: DeadLetterState, { reason, origin, detail, settlement, offset }: PoisonRecord): void {
    if (state.recent.length >= RECENT_COUNT) state.recent.shift();
    state.recent.push({ reason, origin, detail, topic: settlement.topic, partition: settlement.partition, offset });
  }

  function toRecord(record: PoisonRecord, limitBytes: number): OutgoingRecord {
    const { settlement, offset, value, key, reason, origin, detail, timestampMs } = record;
    const headers = goingOn(limitBytes === BARE ? undefined : record.headers);
    // K-13. PostHog adds `sentry-event-id` as well; an empty one would say that there is an issue in Sentry, so there is none.
    if (record.eventUuid !== undefined) headers['event-id'] = record.eventUuid;
    headers['dlq_reason'] = reason;
    headers['dlq_origin'] = origin;
    headers['dlq_detail'] = detail;
    headers['dlq_topic'] = settlement.topic;
    headers['dlq_partition'] = String(settlement.partition);
    headers['dlq_offset'] = String(offset);
    headers['dlq_timestamp'] = new Date(timestampMs).toISOString();
    const bytes = value ?? Buffer.alloc(0);
    if (bytes.length <= limitBytes) return { key, value: bytes, headers };
    headers['dlq_truncated'] = 'true'; // X4
    return { key, value: bytes.subarray(0, Math.max(0, limitBytes)), headers };
  }

  function tellIfDrained(state: DeadLetterState): void {
    if (state.waiting.length > 0 || state.inFlight.length > 0) return;
    tellDrained(state.drains);
  }

  return {
    kind: 'dead-letter',
    start: () => ({
      waiting: [],
      inFlight: [],
      aloneCount: 0,
      cutToBytes: undefined,
      retryMs: RETRY_MS.first,
      producedCount: 0,
      recent: [],
      drains: [],
    }),
    receive,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      waiting: state.waiting.length,
      inFlight: state.inFlight.length,
      produced: state.producedCount,
      recent: JSON.stringify(state.recent.slice(-20)),
    }),
  };
}
