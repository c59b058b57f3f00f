/** What a router may have under way (R4), and how it hears that there is room again. */
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Ctx, Shared } from './shared.ts';
import type { RouterState, WaitReason } from './state.ts';

/** R4, with so many records taken already. Undefined when the record may go. */
export function whyWait(
  { deps: { ledger, options } }: Shared,
  state: RouterState,
  record: KafkaRecord,
  takenCount: number,
  takenBytes: number,
): WaitReason | undefined {
  if (state.refused.length > 0) return 'full';
  const inFlightCount = state.inFlightCount + takenCount;
  if (inFlightCount >= options.creditCount) return 'credit';
  // One record larger than the whole credit still goes, alone.
  if (inFlightCount > 0 && state.spentBytes + takenBytes >= options.creditBytes) return 'credit';
  // With nothing pending there is no gap to bound: a log may begin far above the watermark (expired, compacted).
  if (ledger.pendingCount() > 0 && record.offset >= ledger.watermark() + options.gapCount) return 'gap';
  if (state.parkedCount >= options.gapCount) return 'gap';
  return undefined;
}

/** States what a partition waits for, and that it no longer does. */
export function noteWait({ partition: { topic, partition } }: Shared, state: RouterState, reason: WaitReason | undefined): void {
  const before = state.waitsFor;
  if (reason === before) return;
  state.waitsFor = reason;
  if (reason !== undefined) stateFact('router-backpressure-changed', { topic, partition, waiting: true, reason });
  else if (before !== undefined) stateFact('router-backpressure-changed', { topic, partition, waiting: false, reason: before });
}

export function spendBytes(state: RouterState, bytes: number, upTo: number): void {
  state.spent.push({ upTo, bytes });
  state.spentBytes += bytes;
}

/** Bytes are freed when the watermark has passed the slice they came in. */
export function releaseBytes({ deps: { ledger } }: Shared, state: RouterState): void {
  const watermark = ledger.watermark();
  while (state.spent[0] !== undefined && state.spent[0].upTo < watermark) {
    state.spentBytes -= state.spent[0].bytes;
    state.spent.shift();
  }
}

/** One event less in flight: whoever waits for credit, or for the watermark, looks again. */
export function freed(state: RouterState, ctx: Ctx): void {
  state.inFlightCount--;
  if ((state.waiting === undefined && state.parkedCount === 0) || state.wakePending) return;
  state.wakePending = true;
  ctx.after(0, { type: 'self:credit-freed' });
}
