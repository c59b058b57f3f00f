/**
 * A member of a fake group, with the habits of the real adapter (src/kafka/consumer.ts): heartbeats on a timer of their own,
 * a watchdog for silence, `revoked` before the next join, one batch of a partition at a time.
 *
 *     idle ──start──▶ (joining → taking over → fetching → revoking)* ──stop──▶ stopped
 */
import type { TopicPartition } from '../../src/domain/ids.ts';
import type { ConsumerHandlers, KafkaRecord, RecordConsumer } from '../../src/kafka/port.ts';
import type { Clock, Random, Timer } from '../../src/runtime/clock.ts';
import type { FakeGroup } from './fake-kafka-group.ts';
import type { FakeBrokers } from './fake-kafka.ts';
import { STRAIGHT, type Link } from './link.ts';

export interface FakeConsumerOptions {
  readonly brokers: FakeBrokers;
  readonly group: FakeGroup;
  readonly memberId: string;
  readonly topics: readonly string[];
  /** The process's clock. */
  readonly clock: Clock;
  readonly link?: Link;
  readonly heartbeatIntervalMs?: number;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
  /** Handlers that hang hold up neither the group nor a stop for longer. */
  readonly handlerLimitMs?: number;
  /** Records of a batch: a number of them, or as many as fit. */
  readonly maxBatchCount?: () => number;
  readonly maxBatchBytes?: number;
  /** Sometimes brings records a second time in one generation, as a fetch from a stale position does. */
  readonly redeliver?: { readonly random: Random; readonly ratio: number; readonly upToCount: number };
}

interface Session {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
  confirmedMs: number;
  /** When the last heartbeat was sent that met no rebalance (M2 of src/kafka/membership.ts). */
  stableMs: number;
  isOver: boolean;
  isReleased: boolean;
  readonly over: PromiseWithResolvers<void>;
  beat: Timer | undefined;
  watchdog: Timer | undefined;
  ready: Promise<void>;
  announced: boolean;
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
const away = (): Error => new Error('the coordinator cannot be reached');

export function createFakeConsumer(options: FakeConsumerOptions): RecordConsumer {
  const { brokers, group, memberId, clock, link = STRAIGHT, heartbeatIntervalMs = 1_000, sessionTimeoutMs = 10_000 } = options;
  const { rebalanceTimeoutMs = 10_000 } = options;
  const handlerLimitMs = options.handlerLimitMs ?? 10_000;
  const maxBatchCount = options.maxBatchCount ?? (() => 500);
  const paused = new Map<string, PromiseWithResolvers<void>>();
  let handlers: ConsumerHandlers | undefined;
  let session: Session | undefined;
  let isClosing = false;
  const closing = Promise.withResolvers<void>();
  let running: Promise<void> = Promise.resolve();
  let stopped: Promise<void> | undefined;

  async function live(to: ConsumerHandlers): Promise<void> {
    while (!isClosing) {
      const joined = await Promise.race([link.call('join', () => group.join(memberId, options.topics)), closing.promise]);
      if (joined === undefined || isClosing) break;
      const mine = (session = begin(joined.generation, joined.partitions));
      mine.ready = takeOver(mine, to);
      await mine.over.promise;
      await revoke(mine, to);
    }
    await link.call('leave', () => group.leave(memberId)).catch(() => undefined); // the session ends by itself
  }

  function begin(generation: number, partitions: readonly TopicPartition[]): Session {
    const mine: Session = {
      generation,
      partitions,
      confirmedMs: clock.monotonic(),
      stableMs: -Infinity,
      isOver: false,
      isReleased: false,
      over: Promise.withResolvers(),
      beat: undefined,
      watchdog: undefined,
      ready: Promise.resolve(),
      announced: false,
    };
    confirm(mine, mine.confirmedMs);
    void beat(mine);
    return mine;
  }

  function end(mine: Session): void {
    mine.isOver = true;
    mine.over.resolve();
    for (const gate of paused.values()) gate.resolve();
    paused.clear();
  }

  function confirm(mine: Session, sentMs: number): void {
    mine.confirmedMs = Math.max(mine.confirmedMs, sentMs);
    mine.watchdog?.cancel();
    if (!mine.isReleased)
      mine.watchdog = clock.after(Math.max(0, mine.confirmedMs + sessionTimeoutMs - clock.monotonic()), () => end(mine));
  }

  async function beat(mine: Session): Promise<void> {
    const sentMs = clock.monotonic();
    const answer = await link
      .call('heartbeat', () => group.heartbeat(memberId, mine.generation), { away, lost: away })
      .catch(() => 'silence' as const);
    if (mine.isReleased) return;
    if (answer === 'ok') mine.stableMs = sentMs;
    if (answer === 'ok' || answer === 'rebalance') confirm(mine, sentMs);
    if (answer === 'rebalance' || answer === 'unknown') end(mine);
    mine.beat = clock.after(heartbeatIntervalMs, () => void beat(mine));
  }

  async function takeOver(mine: Session, to: ConsumerHandlers): Promise<void> {
    const committed = await untilAnswered(mine, () =>
      link.call('fetch-offsets', () => mine.partitions.map((one) => ({ ...one, committed: group.committed(one) })), { away, lost: away }),
    );
    if (committed === undefined || mine.isOver) return;
    mine.announced = true;
    try {
      await to.assigned({ generation: mine.generation, memberId, partitions: committed });
    } catch (error) {
      if (!mine.isOver) to.crashed(error instanceof Error ? error : new Error('a handler failed', { cause: error }));
      return;
    }
    if (!mine.isOver) for (const one of committed) void deliver(mine, one, to);
  }

  async function untilAnswered<Answer>(mine: Session, call: () => Promise<Answer>): Promise<Answer | undefined> {
    while (!mine.isOver) {
      try {
        return await call();
      } catch {
        await sleep(100); // the coordinator is away: asked again until the generation is over
      }
    }
    return undefined;
  }

  async function deliver(
    mine: Session,
    { committed, ...of }: TopicPartition & { committed: number | undefined },
    to: ConsumerHandlers,
  ): Promise<void> {
    const startOffset = committed ?? 0;
    let position = startOffset;
    while (!mine.isOver) {
      const from = again(startOffset, position);
      const fetched = await Promise.race([untilAnswered(mine, () => fetch(of, from, position)), mine.over.promise]);
      if (fetched === undefined) continue;
      await untilResumed(of);
      if (mine.isOver) return;
      position = (fetched.at(-1)?.offset ?? position - 1) + 1;
      await Promise.race([
        to.batch({ ...of, generation: mine.generation, records: fetched, highWatermark: brokers.log(of).length }),
        mine.over.promise,
      ]);
    }
  }

  /** Where the next fetch begins: now and then before what was delivered. */
  function again(startOffset: number, position: number): number {
    const { redeliver } = options;
    if (redeliver === undefined || redeliver.random.next() >= redeliver.ratio) return position;
    return Math.max(startOffset, position - 1 - Math.floor(redeliver.random.next() * redeliver.upToCount));
  }

  /** At least the record at `position`, with what lies before and after it. */
  async function fetch(of: TopicPartition, from: number, position: number): Promise<readonly KafkaRecord[]> {
    while (brokers.log(of).length <= position) await new Promise<void>((resolve) => brokers.onAppend(of, resolve));
    return link.call('fetch', () => cut(brokers.log(of).slice(from, position + Math.max(1, maxBatchCount()))), { away, lost: away });
  }

  function cut(records: readonly KafkaRecord[]): readonly KafkaRecord[] {
    let bytes = 0;
    const count = records.findIndex(({ value }, index) => (bytes += value?.length ?? 0) > (options.maxBatchBytes ?? Infinity) && index > 0);
    return count === -1 ? records : records.slice(0, count);
  }

  async function untilResumed(of: TopicPartition): Promise<void> {
    for (let gate = paused.get(keyOf(of)); gate !== undefined; gate = paused.get(keyOf(of))) await gate.promise;
  }

  async function revoke(mine: Session, to: ConsumerHandlers): Promise<void> {
    if (mine.announced) await Promise.race([to.revoked(mine.generation), sleep(handlerLimitMs)]);
    mine.isReleased = true;
    mine.beat?.cancel();
    mine.watchdog?.cancel();
    if (session === mine) session = undefined;
  }

  function sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void clock.after(delayMs, resolve));
  }

  function owned(partitions: readonly TopicPartition[]): readonly TopicPartition[] {
    if (session === undefined || session.isOver) return [];
    const keys = new Set(session.partitions.map(keyOf));
    return partitions.filter((one) => keys.has(keyOf(one)));
  }

  return {
    start(to) {
      handlers = to;
      running = live(to);
      return Promise.resolve();
    },
    async commit(generation, watermarks) {
      const mine = session;
      if (mine?.generation !== generation || mine.isReleased) return 'stale';
      return link.call('commit', () => group.commit(memberId, generation, watermarks), { away, lost: away });
    },
    sinceHeartbeatMs() {
      if (session === undefined) return Infinity;
      return clock.monotonic() - Math.min(session.confirmedMs, session.stableMs + Math.max(0, rebalanceTimeoutMs - sessionTimeoutMs));
    },
    sincePollMs: () => (session === undefined ? Infinity : clock.monotonic() - session.confirmedMs),
    pause(partitions) {
      for (const one of owned(partitions)) if (!paused.has(keyOf(one))) paused.set(keyOf(one), Promise.withResolvers());
    },
    resume(partitions) {
      for (const one of partitions) {
        paused.get(keyOf(one))?.resolve();
        paused.delete(keyOf(one));
      }
    },
    stop() {
      isClosing = true;
      closing.resolve();
      if (session !== undefined) end(session);
      stopped ??= handlers === undefined ? Promise.resolve() : running;
      return stopped;
    },
  };
}
