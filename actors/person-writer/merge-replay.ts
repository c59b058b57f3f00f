/**
 * What ClickHouse is told again of a merge event that may have been done before (M4 of merge-round.ts): whoever committed it may have
 * died before ClickHouse heard of it.
 */
import type { Person } from '../../src/domain/person.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { deletedPersonRow, distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import type { FoundPerson } from '../../src/postgres/port.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import type { MergeCase, MergeRequest } from './merge-request.ts';
import type { MergeEventCommand } from './messages.ts';
import type { RoundDeps } from './write-round.ts';

/** By row id, every mapping that a merge has brought to a person. */
export type Moved = ReadonlyMap<string, readonly { readonly distinctId: string; readonly version: number }[]>;

/** What clashed may be our own statement, stored with its answer lost: from here on it is treated as a replay. */
export function inDoubt(request: MergeRequest): MergeRequest {
  return request.command.maybeReplayed ? request : { ...request, command: { ...request.command, maybeReplayed: true } };
}

/** The event's own person, which a previous owner may have stored without telling ClickHouse. */
export function rowsAgain({ maybeReplayed, into: distinctId }: MergeEventCommand, { person, mappingVersion }: FoundPerson): SideRow[] {
  return maybeReplayed ? [personRow(person), distinctIdRow(person, distinctId, mappingVersion)] : [];
}

/** What was moved to the persons of events that may be replays: all of it, and not only the id that the event names. */
export async function movedBefore(deps: RoundDeps, cases: readonly MergeCase[]): Promise<Moved> {
  const persons = new Map<string, Person>();
  for (const { request, into, other } of cases) {
    if (!request.command.maybeReplayed || into === undefined || into.person.rowId !== other?.person.rowId) continue;
    persons.set(into.person.rowId, into.person);
  }
  if (persons.size === 0) return new Map();
  const found = await untilAvailable(deps.patience, () => deps.store.movedDistinctIds([...persons.values()]));
  return new Map([...persons.keys()].map((rowId, index) => [rowId, found[index] ?? []]));
}

/** A whole merge that a previous owner may have committed without telling ClickHouse. */
export function replayedRows(command: MergeEventCommand, into: FoundPerson, other: FoundPerson | undefined, moved: Moved): SideRow[] {
  if (!command.maybeReplayed) return [];
  const { person } = into;
  const rows = rowsAgain(command, into);
  if (other !== undefined) rows.push(distinctIdRow(person, command.other, other.mappingVersion));
  const goneIds = new Set([personUuid(command.teamId, command.other)]);
  for (const { distinctId, version } of moved.get(person.rowId) ?? []) {
    rows.push(distinctIdRow(person, distinctId, version));
    goneIds.add(personUuid(command.teamId, distinctId));
  }
  // Persons that were merged away are gone from PostgreSQL; their uuids are functions of the ids that made them (P-1), and
  // the survivor's version is above theirs, so these rows hide them whatever their last version was.
  goneIds.delete(person.id);
  for (const id of goneIds) rows.push(deletedPersonRow({ ...person, id, properties: {} }));
  return rows;
}
