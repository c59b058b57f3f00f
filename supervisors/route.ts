/** The way of one partition in one generation: its ledger, its router, how far it is committed. `routers.ts` opens and closes it. */
import type { RouterMessage } from '../actors/router/messages.ts';
import type { TopicPartition } from '../src/domain/ids.ts';
import type { Ledger } from '../src/kafka/ledger.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import type { ActorRef } from '../src/runtime/ref.ts';

export interface Route {
  readonly partition: TopicPartition;
  readonly generation: number;
  readonly ledger: Ledger;
  readonly ref: ActorRef<RouterMessage>;
  /** The watermark that Kafka has. */
  committed: number;
  /** The last record of each batch that is not below the watermark yet. */
  readonly batchEnds: { readonly offset: number; readonly timestampMs: number }[];
  /** Kafka timestamp of the newest record below the watermark, by the ends of batches (B-12). */
  processedMs: number;
  highWatermark: number | undefined;
  /** Resolves the consumer's wait for the batch in work (I4 of routers.ts). */
  release: (() => void) | undefined;
}

/** A route on which nothing was read yet. @param committed the group's committed offset */
export function openRoute(of: Pick<Route, 'partition' | 'generation' | 'ledger' | 'ref' | 'committed'>): Route {
  return { ...of, batchEnds: [], processedMs: 0, highWatermark: undefined, release: undefined };
}

/** Kafka has this watermark now: the ends of batches below it are behind us. */
export function moveCommitted(route: Route, offset: number): void {
  route.committed = offset;
  for (let end = route.batchEnds[0]; end !== undefined && end.offset < offset; end = route.batchEnds[0]) {
    route.processedMs = end.timestampMs;
    route.batchEnds.shift();
  }
  stateFact('router-watermark-committed', { ...route.partition, offset, messageTimestampMs: route.processedMs });
}

/** States what was settled since it was last stated. */
export function reportOutcomes({ partition: { topic }, ledger }: Route): void {
  ledger.drainOutcomes((outcome, reason, count) => stateFact('outcome-settled', { topic, outcome, reason, count }));
}
