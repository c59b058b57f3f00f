/** Merge events of which somebody exists: an id is added to a person, two persons become one, the event's own update is applied. */
import { mergedState } from '../../src/domain/merge.ts';
import { foldPerson, type PersonUpdate } from '../../src/domain/person-fold.ts';
import type { Person } from '../../src/domain/person.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { deletedPersonRow, distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import type { MergeRequest, PendingUpdate } from './merge-request.ts';
import { isolatingRefusals } from './refusals.ts';
import type { RoundDeps } from './write-round.ts';

/** One person exists, and is to have the other id too. */
export interface AddedId {
  readonly request: MergeRequest;
  readonly person: Person;
  readonly distinctId: string;
  readonly rows: readonly SideRow[];
}
/** Two persons that are to become one. */
export interface PersonPair {
  readonly request: MergeRequest;
  readonly into: Person;
  readonly from: Person;
  readonly rows: readonly SideRow[];
}

const identifying = (update: PersonUpdate): PersonUpdate => ({ ...update, isIdentified: true });

/** M-1, many at a time. `again`: somebody has the id meanwhile, or the person is gone. */
export async function addDistinctIds(
  deps: RoundDeps,
  items: readonly AddedId[],
): Promise<{ readonly added: readonly PendingUpdate[]; readonly again: readonly MergeRequest[] }> {
  const added: PendingUpdate[] = [];
  const again: MergeRequest[] = [];
  if (items.length === 0) return { added, again };
  const results = await isolatingRefusals(items, (part) => untilAvailable(deps.patience, () => deps.store.addDistinctIds(part)));
  results.forEach((result, index) => {
    const item = items[index];
    if (item === undefined) return;
    const { request, person, distinctId, rows } = item;
    if (result.type === 'added') {
      const allRows = [...rows, distinctIdRow(person, distinctId, result.version)];
      added.push({ request, person, rows: allRows, warning: undefined, identify: true });
    } else if (result.type === 'refused') {
      request.answer(result);
    } else {
      again.push(request);
    }
  });
  return { added, again };
}

/** M-3, M-4, in a transaction of its own. Answers false when one of the two was changed meanwhile. */
export async function mergePersons(deps: RoundDeps, { request, into, from, rows }: PersonPair): Promise<boolean> {
  const update = identifying(request.command.update);
  const { survivor, folded } = mergedState(into, from, update);
  const { properties, createdAtMs } = folded.person;
  const [result] = await isolatingRefusals([{ teamId: into.teamId, into, from, properties, createdAtMs }], (commands) =>
    Promise.all(commands.map((command) => untilAvailable(deps.patience, () => deps.store.merge(command)))),
  );
  if (result === undefined) throw new Error('one merge has one result');
  stateFact('person-merge-ended', {
    result: result.type,
    call: request.command.eventName,
    oldPersonIdentified: from.isIdentified,
    newPersonIdentified: into.isIdentified,
  });
  if (result.type === 'conflict') return false;
  if (result.type === 'refused') {
    request.answer(result);
    return true;
  }
  deps.counts.merged++;
  deps.changed(survivor, folded.person, update);
  deps.sideRows([
    ...rows,
    personRow(result.person),
    ...result.moved.map(({ distinctId, version }) => distinctIdRow(result.person, distinctId, version)),
    deletedPersonRow(from),
  ]);
  request.answer({ type: 'merged', person: result.person, warning: undefined, limited: folded.limited });
  return true;
}

/** P-13: the event's own $set, $set_once, $unset on the person that it ended up with. Returns those whose person was changed meanwhile. */
export async function applyUpdates(deps: RoundDeps, pending: readonly PendingUpdate[]): Promise<MergeRequest[]> {
  const again: MergeRequest[] = [];
  const folds = pending.map((one) => {
    const { update } = one.request.command;
    return { one, folded: foldPerson(one.person, one.identify ? identifying(update) : update) };
  });
  for (const { one, folded } of folds) {
    if (folded.changed) continue;
    if (one.rows.length > 0) deps.sideRows(one.rows);
    one.request.answer({ type: 'merged', person: folded.person, warning: one.warning, limited: folded.limited });
  }
  const changed = folds
    .filter(({ folded }) => folded.changed)
    .map(({ one, folded }) => ({ one, folded, person: folded.person, version: one.person.version }));
  const results = await isolatingRefusals(changed, (part) => untilAvailable(deps.patience, () => deps.store.update(part)));
  results.forEach((result, index) => {
    const item = changed[index];
    if (item === undefined) return;
    const { one, folded } = item;
    if (result.type === 'updated') {
      deps.counts.updated++;
      deps.changed(one.person, folded.person, one.request.command.update);
      const person = { ...folded.person, version: result.version };
      deps.sideRows([...one.rows, personRow(person)]);
      one.request.answer({ type: 'merged', person, warning: one.warning, limited: folded.limited });
    } else if (result.type === 'refused') {
      one.request.answer(result);
    } else {
      // The mapping is stored and its row must reach ClickHouse; the update is decided anew, as 'already-same'.
      if (one.rows.length > 0) deps.sideRows(one.rows);
      again.push(one.request);
    }
  });
  return again;
}
