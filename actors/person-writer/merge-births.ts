/** Merge events of which nobody exists yet: one person is made, with one id or with both (P-20, M-2). */
import { mappingsOfBoth } from '../../src/domain/merge.ts';
import { foldPerson, newPerson, type Limited } from '../../src/domain/person-fold.ts';
import { distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import type { NewPerson } from '../../src/postgres/port.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import type { MergeRequest } from './merge-request.ts';
import type { MergeEventCommand, MergeWarning } from './messages.ts';
import { isolatingRefusals } from './refusals.ts';
import type { RoundDeps } from './write-round.ts';

export interface MergeBirth {
  readonly request: MergeRequest;
  readonly ids: 'into' | 'both';
  readonly warning: MergeWarning | undefined;
}

/** Answers those that are made; returns those whose id somebody has meanwhile. */
export async function createPersons(deps: RoundDeps, items: readonly MergeBirth[]): Promise<MergeRequest[]> {
  const again: MergeRequest[] = [];
  if (items.length === 0) return again;
  const used = await usedBefore(deps, items);
  const births = items.map((item) => ({ item, ...newborn(item, used.get(item)) }));
  const results = await isolatingRefusals(births, (part) =>
    untilAvailable(deps.patience, () => deps.store.create(part.map((one) => one.born))),
  );
  results.forEach((result, index) => {
    const birth = births[index];
    if (birth === undefined) return;
    const { item, born, limited } = birth;
    if (result.type === 'created') {
      deps.counts.created++;
      deps.sideRows([personRow(result.person), ...born.distinctIds.map((id) => distinctIdRow(result.person, id.distinctId, id.version))]);
      item.request.answer({ type: 'merged', person: result.person, warning: item.warning, limited });
    } else if (result.type === 'refused') {
      item.request.answer(result);
    } else {
      again.push(item.request);
    }
  });
  return again;
}

interface Usage {
  readonly into: boolean;
  readonly other: boolean;
}

/** M-1: marks both ids as merged; answers which of them were used without a person before. */
async function usedBefore(deps: RoundDeps, items: readonly MergeBirth[]): Promise<ReadonlyMap<MergeBirth, Usage>> {
  const both = items.filter(({ ids }) => ids === 'both');
  if (both.length === 0) return new Map();
  const keys = both.flatMap(({ request: { command } }) => [
    { teamId: command.teamId, distinctId: command.into },
    { teamId: command.teamId, distinctId: command.other },
  ]);
  const marks = await untilAvailable(deps.patience, () => deps.store.markMerged(keys));
  return new Map(both.map((item, at) => [item, { into: marks[2 * at]?.existed === true, other: marks[2 * at + 1]?.existed === true }]));
}

/** P-20; with two ids, M-2 says which of them gives the uuid and which mapping needs an override. */
function newborn({ request, ids }: MergeBirth, used: Usage = { into: false, other: false }): { born: NewPerson; limited: Limited } {
  const { teamId, into, other, birth, update }: MergeEventCommand = request.command;
  const { uuidFrom, distinctIds } =
    ids === 'both'
      ? mappingsOfBoth({ into, other, intoExisted: used.into, otherExisted: used.other })
      : { uuidFrom: into, distinctIds: [{ distinctId: into, version: 0 }] };
  const { createdAtMs, eventUuid } = birth;
  const first = newPerson({ teamId, distinctId: uuidFrom, createdAtMs, eventUuid, update, isIdentified: ids === 'both' });
  // P-13: on a person that the merge has made the event's update is applied all the same, which is where $unset takes effect.
  const folded = ids === 'both' ? foldPerson(first.person, update) : first;
  const { id, properties, isIdentified } = folded.person;
  const { propertiesLastUpdatedAt, propertiesLastOperation } = first;
  return {
    born: { teamId, id, createdAtMs, properties, propertiesLastUpdatedAt, propertiesLastOperation, isIdentified, distinctIds },
    limited: first.limited ?? folded.limited,
  };
}
