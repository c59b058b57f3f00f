import { state } from '../../observe/facts.ts';
import type { Batch, Drop, Stage } from '../batch.ts';
import type { RawEvent } from '../shapes.ts';

/** States what became of each batch: the first stage, so that it sees the whole of it and its verdict. */
export const accounted: Stage<RawEvent> = (next) => async (batch) => {
  const dropsBefore = batch.drops.length;
  const verdict = await next(batch);
  const { events, sentAtMs, exchange } = batch;
  state('capture-batch-ended', {
    verdict: verdict.type,
    events: events.length,
    ingested: verdict.type === 'taken' ? events.length - eventsOf(batch.drops.slice(dropsBefore)) : 0,
    clientSkewMs: sentAtMs === undefined ? undefined : sentAtMs - exchange.receivedMs,
    paddedIds: paddedIds(batch),
  });
  return verdict;
};

const eventsOf = (drops: readonly Drop[]): number => drops.reduce((sum, { events = 1 }) => sum + events, 0);

/** Ids with blanks around them are kept (6.1), and are nearly always a client's mistake. */
function paddedIds({ events }: Batch<RawEvent>): number {
  let count = 0;
  for (const { distinctId } of events) if (typeof distinctId === 'string' && distinctId !== distinctId.trim()) count++;
  return count;
}
