import kafkajs, { type Consumer, type EachBatchPayload } from 'kafkajs';
import type { TopicPartition } from '../domain/ids.ts';
import { state } from '../observe/facts.ts';
import { registerCodecs } from './codecs.ts';
import { asError, kafkajsConfig, PATIENT } from './connection.ts';
import { CONSUMER_DEFAULTS, type KafkaConsumerOptions } from './consumer-options.ts';
import { createOrdinalAffineAssigner } from './kafkajs-assigner.ts';
import { createHolds } from './holds.ts';
import { finalError, rebalanceError, watchGroups, type KafkajsGroup } from './kafkajs-group.ts';
import { installIdleSpinPatch } from './kafkajs-idle-spin.ts';
import { createMembership } from './membership.ts';
import type { ConsumerHandlers, RecordConsumer } from './port.ts';
import { toRecord } from './records.ts';
import { attempt, createTenure, type Tenure } from './tenure.ts';
import { untilTopicsAreKnown, within } from './waiting.ts';

/** Between two looks for the new leader of a partition. */
const LEADER_SEARCH_MS = 50;

/**
 * RecordConsumer over kafkajs: turns its fetch loop into generations with a beginning, an end and nothing in between
 * that belongs to another one (tenure.ts).
 *
 *   idle → starting → (joining → taking over → fetching → revoking)* → closing → closed
 *
 * C1  Every generation that was announced by `assigned` is ended by one `revoked`, before the next one is joined.
 * C2  No batch is handed over before `assigned` resolved, after `revoked` was called, of a partition that is not ours,
 *     or from a position other than the next (kafkajs may deliver what it fetched under an earlier generation).
 * C3  A partition whose batch is not accepted is not fetched; after `acceptanceGraceMs` it no longer holds up the
 *     others either. (kafkajs waits for all batches of one broker's answer before it asks that broker again.)
 * C4  A sign of a rebalance, from any request, ends the generation at once: what is in work is given up, not finished.
 * C5  `stop` ends within `stopTimeoutMs`, whatever kafkajs, the brokers or the handlers do.
 */
export function createKafkaConsumer(given: KafkaConsumerOptions): RecordConsumer {
  const options = { ...CONSUMER_DEFAULTS, ...given };
  const {
    clock,
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    heartbeatIntervalMs,
    commitTimeoutMs,
    revokeTimeoutMs,
    acceptanceGraceMs,
    stopTimeoutMs,
  } = options;
  installIdleSpinPatch();
  registerCodecs();

  let handlers: ConsumerHandlers | undefined;
  let held: Tenure | undefined;
  let running: Promise<void> | undefined;
  let closing = false;
  let closed: Promise<void> | undefined;
  const leavingGate = Promise.withResolvers<void>();
  const holds = createHolds({
    pause: ({ topic, partition }) => consumer.pause([{ topic, partitions: [partition] }]),
    resume: ({ topic, partition }) => consumer.resume([{ topic, partitions: [partition] }]),
  });
  let polledAtMs = -Infinity;

  const retry = { ...PATIENT, initialRetryTime: options.firstRetryMs };
  const consumer: Consumer = new kafkajs.Kafka(kafkajsConfig(options.connection, retry)).consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: rebalanceTimeoutMs,
    heartbeatInterval: heartbeatIntervalMs,
    maxWaitTimeInMs: options.maxWaitMs,
    maxBytesPerPartition: options.maxBatchBytes,
    maxBytes: options.maxFetchBytes,
    allowAutoTopicCreation: false,
    ...(options.rack !== undefined && { rackId: options.rack }),
    ...(options.metadataRefreshMs !== undefined && { metadataMaxAge: options.metadataRefreshMs }),
    retry: { ...retry, restartOnFailure: () => Promise.resolve(!closing) },
    partitionAssigners: [
      (context) => {
        watchGroups(context.cluster, { leaving, joined, leaderMoved });
        return createOrdinalAffineAssigner(context, options.place);
      },
    ],
  });
  consumer.on(consumer.events.REQUEST, ({ payload: { apiName } }) => {
    if (apiName === 'Fetch') polledAtMs = clock.monotonic();
  });
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (closing) return;
    state('kafka-consumer-crashed', { groupId, message: error.message });
    if (restart) void revoke(error);
    else void crash(error);
  });

  // ── the life of a generation ────────────────────────────────────────────────────────────────────────────────────

  async function leaving(next: 'join' | 'leave'): Promise<void> {
    await revoke(new Error(`the member must ${next}`));
    if (closing && next === 'join') throw finalError('the consumer is closing and joins no more');
  }

  function joined(group: KafkajsGroup): void {
    if (closing) return;
    holds.clear();
    const membership = createMembership({ group, clock, heartbeatIntervalMs, sessionTimeoutMs, rebalanceTimeoutMs, commitTimeoutMs });
    state('kafka-generation-changed', { groupId, generation: membership.generation, partitions: membership.partitions.length });
    held = createTenure({ membership, group, handlers, clock, revokeTimeoutMs, crash: (error) => void crash(error) });
  }

  function leaderMoved(): Promise<void> {
    return new Promise((resolve) => void clock.after(LEADER_SEARCH_MS, resolve));
  }

  function revoke(reason: Error): Promise<void> {
    return held?.revoke(reason) ?? Promise.resolve();
  }

  // ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const mine = held;
    const to = handlers;
    if (mine === undefined || to === undefined) return refuse();
    const { membership, group } = mine;
    await Promise.race([mine.ready, membership.ended]);
    if (membership.over || closing) return refuse();
    const { batch } = payload;
    const { topic, partition } = batch;
    const { fetchedOffset } = batch as unknown as { fetchedOffset: string | number };
    if (!membership.owns(topic, partition)) return;
    if (String(fetchedOffset) !== group.offsetManager.nextOffset(topic, partition).toString()) return; // C2
    const last = batch.messages.at(-1);
    if (last === undefined) return;

    payload.resolveOffset(last.offset); // only where to fetch next; what is committed is the caller's business
    const of = { topic, partition };
    let accepted = false;
    holds.handedOver(of);
    const { generation } = membership;
    const records = batch.messages.map(toRecord);
    const highWatermark = Number(batch.highWatermark);
    const acceptance = attempt(() => to.batch({ topic, partition, generation, highWatermark, records }))
      .then(() => {
        accepted = true;
        if (!membership.over) holds.accepted(of);
      })
      .catch(mine.failed);
    await within(clock, acceptanceGraceMs, Promise.race([acceptance, membership.ended]));
    if (accepted || membership.over) return;
    holds.setAside(of); // C3
  }

  /** A batch that nobody may take. While closing the fetch loop is held still; otherwise it is told to join anew. */
  async function refuse(): Promise<void> {
    if (!closing) throw rebalanceError('the generation is over');
    await leavingGate.promise;
  }

  // ── beginning and end ───────────────────────────────────────────────────────────────────────────────────────────

  async function begin(): Promise<void> {
    try {
      await consumer.connect();
      if (!closing)
        await untilTopicsAreKnown(clock, options.topicTimeoutMs, () =>
          consumer.subscribe({ topics: [...options.topics], fromBeginning: true }),
        );
    } catch (error) {
      if (!closing) throw error; // else it was `stop` that cut the connection
    }
    if (closing) return consumer.disconnect(); // what `stop` disconnected may have connected again
    running = consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: options.partitionsConsumedConcurrently,
      eachBatch,
    });
    void running.catch((error: unknown) => crash(asError(error)));
  }

  async function crash(error: Error): Promise<void> {
    if (closing) return;
    state('kafka-consumer-crashed', { groupId, message: error.message });
    const ending = close();
    await revoke(error);
    handlers?.crashed(error);
    await ending;
  }

  function close(): Promise<void> {
    closing = true;
    closed ??= (async () => {
      const answer = await within(clock, stopTimeoutMs, leaveAndDisconnect());
      if (answer === 'late') warn('The Kafka consumer did not end in time.', { stopTimeoutMs });
    })();
    return closed;
  }

  async function leaveAndDisconnect(): Promise<void> {
    await revoke(new Error('the consumer stops'));
    // kafkajs forgets to leave a group that it is just joining: wait for the join to be over, then leave.
    await running?.catch(() => undefined); // `crash` was told
    const disconnecting = consumer.disconnect();
    leavingGate.resolve(); // only now: before, kafkajs would have fetched the refused batches again
    await disconnecting.catch((error: unknown) => warn('The Kafka consumer could not disconnect.', { error: asError(error).message }));
  }

  function warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    state('log-written', { level: 'warn', message, fields: { groupId, ...fields } });
  }

  return {
    start(to) {
      if (handlers !== undefined || closing) return Promise.reject(new Error('a Kafka consumer is started once, and not after stop'));
      handlers = to;
      polledAtMs = clock.monotonic();
      return begin();
    },

    commit(generation, watermarks) {
      const membership = held?.membership;
      if (membership === undefined || membership.generation !== generation || membership.released) return Promise.resolve('stale');
      return watermarks.length === 0 ? Promise.resolve('committed') : membership.commit(watermarks);
    },

    sinceHeartbeatMs: () => held?.membership.sinceConfirmedMs() ?? Infinity,

    sincePollMs() {
      const sinceFetchMs = clock.monotonic() - polledAtMs;
      const membership = held?.membership;
      if (membership === undefined || membership.over || wantsRecords()) return sinceFetchMs;
      return Math.min(sinceFetchMs, membership.sinceConfirmedMs());
    },

    pause(partitions) {
      for (const one of ours(partitions)) holds.pause(one);
    },

    resume(partitions) {
      for (const one of ours(partitions)) holds.resume(one);
    },

    stop: close,
  };

  /** Whether any partition should be fetched now. */
  function wantsRecords(): boolean {
    return held?.taken === true && held.membership.partitions.some((one) => !holds.isHeld(one));
  }

  function ours(partitions: readonly TopicPartition[]): readonly TopicPartition[] {
    const membership = held?.membership;
    if (membership === undefined || membership.over) return [];
    return partitions.filter(({ topic, partition }) => membership.owns(topic, partition));
  }
}
