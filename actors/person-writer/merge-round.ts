/**
 * One round of merge events ($identify, $create_alias, $merge_dangerously; spec/ingestion.md 3.5).
 *
 *     load both ids ─▶ decide ─▶ nobody there ──────▶ merge-births.ts ──────────────────────▶ answered
 *          ▲                 ├─▶ one person ────────▶ add the id ──┐
 *          │                 ├─▶ same, refused ────────────────────┼─▶ the event's update ──▶ answered     (merge-changes.ts)
 *          │                 └─▶ two persons ───────▶ one transaction ──────────────────────▶ answered
 *          └── whoever met a change by somebody else decides anew
 *
 * Most merge events only add an unused anonymous id to one person, so those are done many at a time; two existing
 * persons become one in a transaction of their own.
 *
 * Invariants
 * M1 Events of one sub-round share no distinct_id and no person: what one does cannot change what another has decided on.
 * M2 A decision is acted on only if what it was taken from still holds (versions, unique keys); else it is taken again.
 * M3 Each request gets exactly one answer, after PostgreSQL has it and after ClickHouse's side rows were handed over.
 * M4 A repeat after a crash or a lost answer ends in the same persons: 'same person already', 'exists', 'conflict'.
 *
 * No lock outlives a call of the store, and no call waits for an actor: whatever merges two processes do, the only locks that can wait
 * for each other are PostgreSQL's, and those are taken in one order (docs/delivery.md section 10).
 */
import { decideMerge } from '../../src/domain/merge.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import { createPersons, type MergeBirth } from './merge-births.ts';
import { addDistinctIds, applyUpdates, mergePersons, type AddedId, type PersonPair } from './merge-changes.ts';
import { inDoubt, movedBefore, replayedRows, rowsAgain, type Moved } from './merge-replay.ts';
import type { MergeCase, MergeRequest, PendingUpdate } from './merge-request.ts';
import { untilSure, type RoundDeps } from './write-round.ts';

/** Runs until every request has its answer. @throws PostgresError 'misconfigured', or 'unavailable' when given up. */
export async function runMergeRound(deps: RoundDeps, requests: readonly MergeRequest[]): Promise<void> {
  let open = [...requests];
  while (open.length > 0) {
    await untilSure(deps.patience, () => open);
    open = open.filter((request) => request.standing() === 'ours' || (request.answer({ type: 'abandoned' }), false));
    const cases = await load(deps, open);
    // The load may have waited long, and its versions are of now: a zombie would lay its old event over what the new owner wrote (W3).
    if (open.some((request) => request.standing() !== 'ours')) continue;
    const { now, later } = independent(cases);
    const again = await settle(deps, now);
    deps.counts.conflicts += again.length;
    open = [...again.map(inDoubt), ...later];
  }
}

async function load(deps: RoundDeps, requests: readonly MergeRequest[]): Promise<MergeCase[]> {
  if (requests.length === 0) return [];
  const found = await untilAvailable(deps.patience, () =>
    deps.store.load(
      requests.flatMap(({ command: { teamId, into, other } }) => [
        { teamId, distinctId: into },
        { teamId, distinctId: other },
      ]),
    ),
  );
  return requests.map((request, index) => ({ request, into: found[2 * index], other: found[2 * index + 1] }));
}

/** M1: the first request on a distinct_id or person goes now, the others in a later sub-round, in order. */
function independent(cases: readonly MergeCase[]): { now: MergeCase[]; later: MergeRequest[] } {
  const taken = new Set<string>();
  const now: MergeCase[] = [];
  const later: MergeRequest[] = [];
  for (const one of cases) {
    const { teamId, into, other } = one.request.command;
    const names = [`${teamId}:${into}`, `${teamId}:${other}`];
    for (const found of [one.into, one.other]) if (found !== undefined) names.push(`#${found.person.rowId}`);
    if (names.some((name) => taken.has(name))) later.push(one.request);
    else now.push(one);
    for (const name of names) taken.add(name);
  }
  return { now, later };
}

/** Acts on each decision; answers what is done, returns what has to be decided anew (M2). */
async function settle(deps: RoundDeps, cases: readonly MergeCase[]): Promise<MergeRequest[]> {
  const { births, additions, pairs, pending } = decide(cases, await movedBefore(deps, cases));
  const again = await createPersons(deps, births);
  const { added, again: taken } = await addDistinctIds(deps, additions);
  again.push(...taken);
  for (const pair of pairs) if (!(await mergePersons(deps, pair))) again.push(pair.request);
  again.push(...(await applyUpdates(deps, [...pending, ...added])));
  return again;
}

interface Plan {
  readonly births: readonly MergeBirth[];
  readonly additions: readonly AddedId[];
  readonly pairs: readonly PersonPair[];
  readonly pending: readonly PendingUpdate[];
}

/** What the table of 3.5 says of each case. */
function decide(cases: readonly MergeCase[], moved: Moved): Plan {
  const births: MergeBirth[] = [];
  const additions: AddedId[] = [];
  const pairs: PersonPair[] = [];
  const pending: PendingUpdate[] = [];
  for (const { request, into, other } of cases) {
    const { command } = request;
    const decision = decideMerge({
      eventName: command.eventName,
      into: command.into,
      other: command.other,
      eventUuid: command.birth.eventUuid,
      intoPerson: into?.person,
      otherPerson: other?.person,
    });
    const rows = into === undefined ? [] : rowsAgain(command, into);
    switch (decision.type) {
      case 'none':
      case 'illegal': {
        const warning = decision.type === 'illegal' ? decision.warning : undefined;
        if (into === undefined) births.push({ request, ids: 'into', warning });
        else pending.push({ request, person: into.person, rows, warning, identify: false });
        break;
      }
      case 'refused':
        pending.push({ request, person: decision.into, rows, warning: decision.warning, identify: true });
        break;
      case 'already-same': {
        const allRows = into === undefined ? rows : replayedRows(command, into, other, moved);
        pending.push({ request, person: decision.person, rows: allRows, warning: undefined, identify: true });
        break;
      }
      case 'add-distinct-id':
        additions.push({ request, person: decision.to, distinctId: decision.distinctId, rows });
        break;
      case 'create-with-both':
        births.push({ request, ids: 'both', warning: undefined });
        break;
      case 'merge':
        pairs.push({ request, into: decision.into, from: decision.from, rows });
        break;
    }
  }
  return { births, additions, pairs, pending };
}
