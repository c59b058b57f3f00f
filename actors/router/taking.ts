/** From the batch to what can be dispatched: the next records within credit, those that end here sorted out. */
import { offset as toOffset } from '../../src/domain/ids.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { isObserved, state as stateFact } from '../../src/observe/facts.ts';
import { admit } from './admission.ts';
import { resolveTeams, type Arrival } from './arrivals.ts';
import { noteWait, releaseBytes, spendBytes, whyWait } from './credit.ts';
import { deadLetter, drop, redirect } from './endings.ts';
import type { Ctx, Shared } from './shared.ts';
import type { RouterState, Waiting } from './state.ts';

/** The next records that credit allows (R4); tracks each (R1) and skips what is stored (R2). */
export function take(shared: Shared, state: RouterState, waiting: Waiting): KafkaRecord[] {
  const { ledger, options } = shared.deps;
  releaseBytes(shared, state);
  const slice: KafkaRecord[] = [];
  const { records } = waiting.batch;
  let bytes = 0;
  while (slice.length < options.sliceCount && waiting.position < records.length) {
    const record = records[waiting.position];
    if (record === undefined) break;
    const waits = whyWait(shared, state, record, slice.length, bytes);
    if (waits !== undefined) {
      if (slice.length === 0) noteWait(shared, state, waits);
      break;
    }
    const tracked = ledger.track(toOffset(record.offset));
    if (tracked === 'full') {
      if (slice.length === 0) noteWait(shared, state, 'gap');
      break;
    }
    waiting.position++;
    if (tracked !== 'pending') {
      state.skippedCount++;
      continue;
    }
    bytes += record.value?.length ?? 0;
    slice.push(record);
  }
  const last = slice.at(-1);
  if (last !== undefined) {
    noteWait(shared, state, undefined);
    spendBytes(state, bytes, last.offset);
  }
  return slice;
}

/** R6, R7: what is left to be dispatched, each with its team; the others have ended or left. Undefined when it was revoked meanwhile. */
export async function sift(
  shared: Shared,
  state: RouterState,
  slice: readonly KafkaRecord[],
  ctx: Ctx,
): Promise<readonly Arrival[] | undefined> {
  const { deps, partition } = shared;
  const { dropList, overflow, options } = deps;
  const { trustTeamId } = options;
  const { arrivals, unreadable, dropped, aside, overflowed } = admit(slice, { dropList, overflow, trustTeamId });
  for (const { record, failure } of unreadable) deadLetter(shared, state, record, failure.reason, failure.detail, ctx);
  for (const { record, envelope, reason } of dropped) drop(shared, envelope, toOffset(record.offset), reason);
  redirect(shared, state, aside, ctx);
  reportAuth(arrivals);
  const unresolved = overflowed.size === 0 ? arrivals : [...arrivals, ...[...overflowed.values()].map(({ first }) => first)];
  if (!(await resolveTeams(unresolved, { ...deps, trustTeamId, clock: ctx.clock, random: ctx.random }))) return undefined;
  for (const { first, count } of overflowed.values())
    stateFact('router-keys-overflowed', { topic: partition.topic, teamId: first.team?.id, records: count });
  return arrivals;
}

/** T-7 */
function reportAuth(arrivals: readonly Arrival[]): void {
  if (arrivals.length === 0 || !isObserved('router-auth-seen')) return;
  const seen = { neither: 0, token: 0, teamId: 0, both: 0 };
  for (const { envelope } of arrivals) {
    if (envelope.teamId === undefined) seen[envelope.token === undefined ? 'neither' : 'token']++;
    else seen[envelope.token === undefined ? 'teamId' : 'both']++;
  }
  stateFact('router-auth-seen', seen);
}
