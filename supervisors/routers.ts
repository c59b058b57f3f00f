/**
 * One intake: a consumer group with a topic of its own (docs/adr/0014), and one router per assigned partition and generation, started
 * after the takeover, drained at the revoke. intakes.ts has all of them; one partition's way is route.ts, what Kafka is told of it commits.ts.
 *
 *     (none) ──assigned──▶ taking over ──stored offsets known──▶ routing ──revoked──▶ draining ──settled | limit──▶ (none)
 *
 * Invariants
 * I1 No record of a partition is dispatched before the output was asked what earlier owners did (output.ts; with ClickHouse: which
 *    offsets are stored, after their inserts are surely over; delivery.md section 3).
 * I2 A watermark is committed only under the generation it was reached in (commits.ts).
 * I3 After `revoked` resolved, nothing of that generation is settled, written or inserted any more (the Settlement is inactive).
 * I4 A consumer's batch is accepted or its partition was revoked: no promise is left behind.
 * I5 A takeover that is still waiting when its generation ends makes no router.
 */
import { createRouter } from '../actors/router/index.ts';
import type { BatchAccepted } from '../actors/router/messages.ts';
import type { OffsetRange } from '../src/clickhouse/port.ts';
import type { TopicPartition } from '../src/domain/ids.ts';
import { createLedger } from '../src/kafka/ledger.ts';
import type { Assignment, RecordBatch } from '../src/kafka/port.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import { sleep, untilAvailable } from '../src/runtime/patience.ts';
import type { ActorRef } from '../src/runtime/ref.ts';
import { ROUTER_STRATEGY } from './budgets.ts';
import { createCommits } from './commits.ts';
import type { Intake, IntakeParts } from './intake.ts';
import { isOutputAway, takeOver as askOutput, type TakenOver } from './output.ts';
import { openRoute, reportOutcomes, type Route } from './route.ts';

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}.${partition}`;

export function createIntake({ system, parent, deps, spec: of, teamCache, below, writers, onEscalate }: IntakeParts): Intake {
  const { clock, random, settings } = deps;
  const { name } = of;
  const consumer = of.createConsumer();
  const routes = new Map<string, Route>();
  let ready = false;
  let abandoned = false;
  const commits = createCommits({ clock, everyMs: settings.commitEveryMs, intake: name, consumer, routes: () => routes.values() });

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
    open({ topic: partition.topic, partition: partition.partition }, generation, watermark, taken);
  }

  function open(where: TopicPartition, generation: number, watermark: number, taken: TakenOver): void {
    const ledger = createLedger({
      ...where,
      generation,
      watermark,
      capacityCount: settings.router.gapCount + settings.router.creditCount,
    });
    ledger.seedSettled(taken.stored);
    deps.accounts.open(where.topic, ledger);
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
    const ref = system.spawn(spec, `${keyOf(where)}+${generation}`, parent, onEscalate);
    routes.set(keyOf(where), openRoute({ partition: where, generation, ledger, ref, committed: watermark }));
    stateFact('router-partition-assigned', { ...where, generation, watermark, alreadyStored: countOf(taken.stored) });
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
    await commits.now();
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
      commits.end();
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
      commits.end();
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
