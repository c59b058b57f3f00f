/**
 * One intake: a consumer group with a topic of its own (docs/adr/0014), and one router per assigned partition and generation, started
 * after the takeover, drained at the revoke. intakes.ts has all of them.
 *
 *     (none) ──assigned──▶ taking over ──stored offsets known──▶ routing ──revoked──▶ draining ──settled | limit──▶ (none)
 *
 * Invariants
 * I1 No record of a partition is dispatched before the output was asked what earlier owners did (output.ts; with ClickHouse: which
 *    offsets are stored, after their inserts are surely over; delivery.md section 3).
 * I2 A watermark is committed only under the generation it was reached in.
 * I3 After `revoked` resolved, nothing of that generation is settled, written or inserted any more (the Settlement is inactive).
 * I4 A consumer's batch is accepted or its partition was revoked: no promise is left behind.
 * I5 A takeover that is still waiting when its generation ends makes no router.
 */
import type { Prefetch } from '../actors/person-writer/index.ts';
import { createRouter, type OverflowPolicy, type TeamCache } from '../actors/router/index.ts';
import type { BatchAccepted, RouterMessage } from '../actors/router/messages.ts';
import type { TopicPartition } from '../src/domain/ids.ts';
import { createLedger, type Ledger, type LedgerSnapshot } from '../src/kafka/ledger.ts';
import type { Assignment, RecordBatch, RecordConsumer } from '../src/kafka/port.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import { sleep, untilAvailable } from '../src/runtime/patience.ts';
import type { ActorRef, AnyRef } from '../src/runtime/ref.ts';
import type { ActorSystem, ParentRef } from '../src/runtime/system.ts';
import type { OffsetRange } from '../src/clickhouse/port.ts';
import { ROUTER_STRATEGY } from './budgets.ts';
import { isOutputAway, takeOver as askOutput, type TakenOver } from './output.ts';
import type { TroupeDeps } from './root.ts';
import type { Teams } from './teams.ts';
import type { Writers } from './writers.ts';

/** What an intake reads, and how it is known outside. */
export interface IntakeSpec {
  /** PostHog's id of the service (spec 1.1), e.g. `analytics-ingestion`: in health checks, log lines and paths. */
  readonly name: string;
  /** A consumer of its topic and group, not yet started; a new one for each tree. */
  readonly createConsumer: () => RecordConsumer;
  readonly overflow: OverflowPolicy;
}

export interface Intake {
  readonly name: string;
  start(): Promise<void>;
  /** Stops fetching, lets in-flight events settle for at most `limitMs`, commits, leaves the group. */
  stop(limitMs: number): Promise<void>;
  /** As a crash: nothing is drained or committed; the consumer leaves so that the records come again. Never rejects. */
  abandon(): Promise<void>;
  /** As kill -9: not even the group is left. */
  kill(): void;
  /** False when this process may have lost the partition without knowing it yet. */
  owns(topic: string, partition: number, generation: number): boolean;
  ledgers(): readonly (LedgerSnapshot & { readonly highWatermark: number | undefined })[];
  /** Joined, taken over and consuming. */
  ready(): boolean;
  /** HT-4: the brokers have answered lately. */
  healthy(): boolean;
  inFlightCount(): number;
}

/** What routers hand their groups to. */
export interface Below {
  readonly teams: Teams;
  readonly prefetch: Prefetch;
}

export interface IntakeParts {
  readonly system: ActorSystem;
  readonly parent: ParentRef;
  readonly deps: TroupeDeps;
  readonly spec: IntakeSpec;
  readonly teamCache: TeamCache;
  readonly below: Below;
  readonly writers: () => Writers;
  readonly onEscalate: (ref: AnyRef, error: unknown) => void;
}

interface Route {
  readonly partition: TopicPartition;
  readonly generation: number;
  readonly ledger: Ledger;
  readonly ref: ActorRef<RouterMessage>;
  committed: number;
  /** The last record of each batch that is not below the watermark yet. */
  readonly batchEnds: { readonly offset: number; readonly timestampMs: number }[];
  /** Kafka timestamp of the newest record below the watermark, by the ends of batches (B-12). */
  processedMs: number;
  highWatermark: number | undefined;
  /** Resolves the consumer's wait for the batch in work (I4). */
  release: (() => void) | undefined;
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}.${partition}`;

export function createIntake({ system, parent, deps, spec: of, teamCache, below, writers, onEscalate }: IntakeParts): Intake {
  const { clock, random, settings } = deps;
  const { name } = of;
  const consumer = of.createConsumer();
  const routes = new Map<string, Route>();
  let ready = false;
  let abandoned = false;
  let committing: Promise<void> | undefined;
  let commitTimer = clock.after(settings.commitEveryMs, tick);

  // ── takeover ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The generation that may be taken over; a takeover that waits for ClickHouse gives up when it is another one by then. */
  let current: number | undefined;
  const isOver = (generation: number): boolean => abandoned || current !== generation;

  async function assigned(assignment: Assignment): Promise<void> {
    const { generation, partitions } = assignment;
    current = generation;
    await Promise.all(partitions.map((partition) => takeOver(partition, generation, partition.committed ?? 0)));
    ready = !isOver(generation);
  }

  async function takeOver(partition: TopicPartition, generation: number, watermark: number): Promise<void> {
    const patience = {
      clock,
      random,
      // The output away at takeover: wait. To route without having asked would show rows twice (I1).
      passing: isOutputAway,
      givenUp: () => isOver(generation),
      minMs: 100,
      maxMs: 2_000,
    };
    let taken: TakenOver;
    try {
      taken = await untilAvailable(patience, () => askOutput(deps.output, partition, watermark, settings.router.gapCount));
    } catch (error) {
      if (isOver(generation)) return;
      throw error;
    }
    // I5: a later generation may have the partition by now, with a router of its own.
    if (isOver(generation)) return;
    const ledger = createLedger({
      topic: partition.topic,
      partition: partition.partition,
      generation,
      watermark,
      capacityCount: settings.router.gapCount + settings.router.creditCount,
    });
    ledger.seedSettled(taken.stored);
    deps.accounts.open(partition.topic, ledger);
    const spec = createRouter({
      ledger,
      teams: teamCache,
      tellTeam: (team, message) => below.teams.tellTeam(team, message),
      prefetch: (keys) => below.prefetch.prefetch(keys),
      deadLetter: writers().deadLetter,
      forwarder: writers().forwarder,
      redisBuffer: writers().redisBuffer,
      overflow: of.overflow,
      dropList: deps.dropList,
      replayedBelow: taken.replayedBelow,
      options: settings.router,
      strategy: ROUTER_STRATEGY,
    });
    const ref = system.spawn(spec, `${partition.topic}.${partition.partition}+${generation}`, parent, onEscalate);
    routes.set(keyOf(partition), {
      partition: { topic: partition.topic, partition: partition.partition },
      generation,
      ledger,
      ref,
      committed: watermark,
      batchEnds: [],
      processedMs: 0,
      highWatermark: undefined,
      release: undefined,
    });
    const { topic, partition: number } = partition;
    stateFact('router-partition-assigned', { topic, partition: number, generation, watermark, alreadyStored: countOf(taken.stored) });
  }

  // ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async function batch(records: RecordBatch): Promise<void> {
    const route = routes.get(keyOf(records));
    if (route === undefined || route.generation !== records.generation || abandoned) return;
    route.highWatermark = records.highWatermark;
    const last = records.records.at(-1);
    if (last !== undefined) route.batchEnds.push({ offset: last.offset, timestampMs: last.timestampMs });
    await new Promise<void>((resolve) => {
      route.release = resolve;
      const replyTo: ActorRef<BatchAccepted> = { path: '/intake', kind: 'intake', tell: () => (resolve(), 'accepted') };
      // A router that takes no batch is being torn down with its tree; the records come again.
      if (route.ref.tell({ type: 'batch', batch: records, replyTo }) !== 'accepted') resolve();
    });
    route.release = undefined;
  }

  // ── revoke ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async function revoked(generation: number): Promise<void> {
    ready = false;
    if (current === generation) current = undefined;
    const lost = [...routes.values()].filter((route) => route.generation <= generation);
    await settleWithin(lost, settings.revokeDrainMs);
    await commit();
    for (const route of lost) {
      const { topic, partition } = route.partition;
      stateFact('router-partition-revoked', { topic, partition, generation: route.generation, unsettled: route.ledger.pendingCount() });
      close(route);
    }
    await Promise.all(lost.map((route) => system.stop(route.ref, settings.revokeDrainMs)));
  }

  function close(route: Route): void {
    reportOutcomes(route);
    route.ledger.close();
    deps.accounts.close(route.ledger);
    route.release?.();
    if (routes.get(keyOf(route.partition)) === route) routes.delete(keyOf(route.partition));
  }

  /** Waits until everything in flight is settled, helping it along by not waiting for ages and sizes. */
  async function settleWithin(waitedFor: readonly Route[], limitMs: number): Promise<void> {
    const deadline = clock.monotonic() + limitMs;
    while (!abandoned && waitedFor.some((route) => route.ledger.pendingCount() > 0) && clock.monotonic() < deadline) {
      await sleep(clock, Math.min(SETTLE_POLL_MS, limitMs));
    }
  }

  // ── commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  function tick(): void {
    void commit().finally(() => {
      if (!abandoned) commitTimer = clock.after(settings.commitEveryMs, tick);
    });
  }

  /** One commit at a time. A failed one is stated and tried again at the next tick: the watermark only grows. */
  function commit(): Promise<void> {
    committing = (committing ?? Promise.resolve()).then(commitNow);
    return committing;
  }

  async function commitNow(): Promise<void> {
    const byGeneration = new Map<number, { route: Route; offset: number }[]>();
    for (const route of routes.values()) {
      reportOutcomes(route);
      const offset = route.ledger.watermark();
      if (offset === route.committed || abandoned) continue;
      const moved = byGeneration.get(route.generation);
      if (moved === undefined) byGeneration.set(route.generation, [{ route, offset }]);
      else moved.push({ route, offset });
    }
    for (const [generation, moved] of byGeneration) {
      try {
        const result = await consumer.commit(
          generation,
          moved.map(({ route, offset }) => ({ ...route.partition, offset })),
        );
        if (result === 'stale') continue;
      } catch (error) {
        const message = error instanceof Error ? error.message : 'unknown';
        stateFact('log-written', {
          level: 'warn',
          message: 'A commit failed and is tried again.',
          fields: { intake: name, generation, error: message },
        });
        continue;
      }
      for (const { route, offset } of moved) {
        route.committed = offset;
        for (let end = route.batchEnds[0]; end !== undefined && end.offset < offset; end = route.batchEnds[0]) {
          route.processedMs = end.timestampMs;
          route.batchEnds.shift();
        }
        stateFact('router-watermark-committed', { ...route.partition, offset, messageTimestampMs: route.processedMs });
      }
    }
  }

  function reportOutcomes(route: Route): void {
    const { topic } = route.partition;
    route.ledger.drainOutcomes((outcome, reason, count) => stateFact('outcome-settled', { topic, outcome, reason, count }));
  }

  return {
    name,
    async start() {
      if (abandoned) return;
      const crashed = (error: Error): void => {
        if (!abandoned) onEscalate({ path: `/intake/${name}`, kind: 'intake' }, error);
      };
      await consumer.start({ assigned, batch, revoked, crashed });
    },
    async stop(limitMs) {
      const all = [...routes.values()];
      current = undefined; // whatever is still being taken over is given up
      // The consumer keeps its membership while what it has read is settled; then it revokes, which commits.
      consumer.pause(all.map((route) => route.partition));
      await settleWithin(all, limitMs);
      await consumer.stop();
      abandoned = true;
      commitTimer.cancel();
    },
    async abandon() {
      this.kill();
      for (const route of [...routes.values()]) close(route);
      try {
        await consumer.stop();
      } catch (error) {
        // Its session ends by itself then, and the records come again a little later.
        const message = error instanceof Error ? error.message : 'unknown';
        stateFact('log-written', {
          level: 'warn',
          message: 'The consumer did not leave its group.',
          fields: { intake: name, error: message },
        });
      }
    },
    kill() {
      abandoned = true;
      ready = false;
      commitTimer.cancel();
    },
    owns(topic, partition, generation) {
      const route = routes.get(keyOf({ topic, partition }));
      return (
        route !== undefined &&
        route.generation === generation &&
        route.ledger.settlement.active &&
        consumer.sinceHeartbeatMs() < settings.heartbeatMarginMs
      );
    },
    ledgers: () => [...routes.values()].map((route) => ({ ...route.ledger.snapshot(), highWatermark: route.highWatermark })),
    ready: () => ready,
    healthy: () => consumer.sincePollMs() < HEALTHY_POLL_MS,
    inFlightCount: () => [...routes.values()].reduce((sum, route) => sum + route.ledger.pendingCount(), 0),
  };
}

const SETTLE_POLL_MS = 20;
/** HT-4 */
const HEALTHY_POLL_MS = 60_000;

const countOf = (ranges: readonly OffsetRange[]): number => ranges.reduce((sum, { from, to }) => sum + to - from, 0);
