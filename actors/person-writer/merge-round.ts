/**
 * One round of merge events ($identify, $create_alias, $merge_dangerously; spec/ingestion.md 3.5).
 *
 * Most merge events only add an unused anonymous id to one person, so those are done many at a time; two existing
 * persons become one in a transaction of their own.
 *
 * Invariants
 * M1 Events of one sub-round share no distinct_id and no person: what one does cannot change what another has decided on.
 * M2 A decision is acted on only if what it was taken from still holds (versions, unique keys); else it is taken again.
 * M3 Each request gets exactly one answer, after PostgreSQL has it and after ClickHouse's side rows were handed over.
 * M4 A repeat after a crash or a lost answer ends in the same persons: 'same person already', 'exists', 'conflict'.
 */
import { decideMerge, mappingsOfBoth, mergedState } from '../../src/domain/merge.ts';
import { foldPerson, newPerson } from '../../src/domain/person-fold.ts';
import type { PersonUpdate } from '../../src/domain/person-fold.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import type { Person } from '../../src/domain/person.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { FoundPerson, NewPerson } from '../../src/postgres/port.ts';
import type { MergeEventCommand, MergeWarning } from './messages.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import { isolatingRefusals } from './refusals.ts';
import { deletedPersonRow, distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import { untilSure, type RoundDeps, type Standing } from './write-round.ts';

export interface MergeRequest {
  readonly command: MergeEventCommand;
  /** Asked at the begin of each sub-round. */
  readonly standing: () => Standing;
  readonly answer: (
    answer:
      | { readonly type: 'merged'; readonly person: Person; readonly warning: MergeWarning | undefined }
      | { readonly type: 'refused'; readonly detail: string }
      | { readonly type: 'abandoned' },
  ) => void;
}

/** A request with what is stored for its two ids. */
interface Case {
  readonly request: MergeRequest;
  readonly into: FoundPerson | undefined;
  readonly other: FoundPerson | undefined;
}

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
    const again = await settleCases(deps, now);
    deps.counts.conflicts += again.length;
    open = [...again.map(inDoubt), ...later];
  }
}

/** M4: what clashed may be our own statement, stored with its answer lost: from here on it is treated as a replay. */
function inDoubt(request: MergeRequest): MergeRequest {
  return request.command.maybeReplayed ? request : { ...request, command: { ...request.command, maybeReplayed: true } };
}

async function load(deps: RoundDeps, requests: readonly MergeRequest[]): Promise<Case[]> {
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
function independent(cases: readonly Case[]): { now: Case[]; later: MergeRequest[] } {
  const taken = new Set<string>();
  const now: Case[] = [];
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

/** What is left to do once the mapping is right: the event's own update on the surviving person. */
interface Pending {
  readonly request: MergeRequest;
  readonly person: Person;
  readonly rows: SideRow[];
  readonly warning: MergeWarning | undefined;
  /** Refused merges still mark the target as identified (3.5); illegal ids do not. */
  readonly identify: boolean;
}

/** Acts on each decision; answers what is done, returns what has to be decided anew (M2). */
async function settleCases(deps: RoundDeps, cases: readonly Case[]): Promise<MergeRequest[]> {
  const again: MergeRequest[] = [];
  const pending: Pending[] = [];
  const moved = await movedBefore(deps, cases);
  const toCreate: {
    readonly request: MergeRequest;
    readonly ids: readonly string[];
    readonly identified: boolean;
    readonly warning: MergeWarning | undefined;
  }[] = [];
  const toAdd: { readonly request: MergeRequest; readonly person: Person; readonly distinctId: string; readonly rows: SideRow[] }[] = [];
  const toMerge: { readonly request: MergeRequest; readonly into: Person; readonly from: Person; readonly rows: SideRow[] }[] = [];

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
    switch (decision.type) {
      case 'none':
      case 'illegal': {
        const warning = decision.type === 'illegal' ? decision.warning : undefined;
        if (into === undefined) toCreate.push({ request, ids: [command.into], identified: false, warning });
        else pending.push({ request, person: into.person, rows: rowsAgain(command, into), warning, identify: false });
        break;
      }
      case 'refused':
        if (into === undefined) throw new Error('a refused merge has both persons');
        pending.push({ request, person: into.person, rows: rowsAgain(command, into), warning: decision.warning, identify: true });
        break;
      case 'already-same':
        if (into === undefined) throw new Error('the same person exists');
        pending.push({ request, person: into.person, rows: replayedRows(command, into, other, moved), warning: undefined, identify: true });
        break;
      case 'add-distinct-id':
        toAdd.push({
          request,
          person: decision.to,
          distinctId: decision.distinctId,
          rows: into === undefined ? [] : rowsAgain(command, into),
        });
        break;
      case 'create-with-both':
        toCreate.push({ request, ids: [command.into, command.other], identified: true, warning: undefined });
        break;
      case 'merge':
        toMerge.push({ request, into: decision.into, from: decision.from, rows: into === undefined ? [] : rowsAgain(command, into) });
        break;
    }
  }

  await createPersons(deps, toCreate, again);
  await addDistinctIds(deps, toAdd, pending, again);
  for (const merge of toMerge) await mergePersons(deps, merge, again);
  await applyUpdates(deps, pending, again);
  return again;
}

/** M4: the event's own person, which a previous owner may have stored without telling ClickHouse. */
function rowsAgain({ maybeReplayed, into: distinctId }: MergeEventCommand, { person, mappingVersion }: FoundPerson): SideRow[] {
  return maybeReplayed ? [personRow(person), distinctIdRow(person, distinctId, mappingVersion)] : [];
}

type Moved = ReadonlyMap<string, readonly { readonly distinctId: string; readonly version: number }[]>;

/** M4: by row id, every mapping that a merge brought to the persons of events that may be replays: not only the one the event names. */
async function movedBefore(deps: RoundDeps, cases: readonly Case[]): Promise<Moved> {
  const persons = new Map<string, Person>();
  for (const { request, into, other } of cases) {
    if (!request.command.maybeReplayed || into === undefined || into.person.rowId !== other?.person.rowId) continue;
    persons.set(into.person.rowId, into.person);
  }
  if (persons.size === 0) return new Map();
  const found = await untilAvailable(deps.patience, () => deps.store.movedDistinctIds([...persons.values()]));
  return new Map([...persons.keys()].map((rowId, index) => [rowId, found[index] ?? []]));
}

/** M4: a whole merge that a previous owner may have committed without telling ClickHouse. */
function replayedRows(command: MergeEventCommand, into: FoundPerson, other: FoundPerson | undefined, moved: Moved): SideRow[] {
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

const identifying = (update: PersonUpdate): PersonUpdate => ({ ...update, isIdentified: true });

async function createPersons(
  deps: RoundDeps,
  items: readonly {
    readonly request: MergeRequest;
    readonly ids: readonly string[];
    readonly identified: boolean;
    readonly warning: MergeWarning | undefined;
  }[],
  again: MergeRequest[],
): Promise<void> {
  if (items.length === 0) return;
  const both = items.filter((item) => item.ids.length === 2);
  const marks = await untilAvailable(deps.patience, () =>
    both.length === 0
      ? Promise.resolve([])
      : deps.store.markMerged(
          both.flatMap(({ request, ids }) => ids.map((distinctId) => ({ teamId: request.command.teamId, distinctId }))),
        ),
  );
  const births = items.map((item) => {
    const at = both.indexOf(item);
    return newborn(item.request.command, item.ids, item.identified, {
      into: marks[2 * at]?.existed === true,
      other: marks[2 * at + 1]?.existed === true,
    });
  });
  const indexed = births.map((born, index) => ({ born, index }));
  const results = await isolatingRefusals(indexed, (part) =>
    untilAvailable(deps.patience, () => deps.store.create(part.map((one) => one.born))),
  );
  results.forEach((result, index) => {
    const item = items[index];
    const born = births[index];
    if (item === undefined || born === undefined) return;
    if (result.type === 'created') {
      deps.counts.created++;
      deps.sideRows([personRow(result.person), ...born.distinctIds.map((id) => distinctIdRow(result.person, id.distinctId, id.version))]);
      item.request.answer({ type: 'merged', person: result.person, warning: item.warning });
    } else if (result.type === 'refused') {
      item.request.answer(result);
    } else {
      again.push(item.request);
    }
  });
}

/** P-20; with two ids, M-2 says which of them gives the uuid and which mapping needs an override. */
function newborn(
  command: MergeEventCommand,
  ids: readonly string[],
  isIdentified: boolean,
  existed: { readonly into: boolean; readonly other: boolean },
): NewPerson {
  const { teamId, into, other, birth, update } = command;
  const { uuidFrom, distinctIds } =
    ids.length === 2
      ? mappingsOfBoth({ into, other, intoExisted: existed.into, otherExisted: existed.other })
      : { uuidFrom: into, distinctIds: [{ distinctId: into, version: 0 }] };
  const born = newPerson({
    teamId,
    distinctId: uuidFrom,
    createdAtMs: birth.createdAtMs,
    eventUuid: birth.eventUuid,
    update,
    isIdentified,
  });
  const { propertiesLastUpdatedAt, propertiesLastOperation } = born;
  // P-13: on a person that the merge has made the event's update is applied all the same, which is where $unset takes effect.
  const person = ids.length === 2 ? foldPerson(born.person, update).person : born.person;
  return {
    teamId,
    id: person.id,
    createdAtMs: person.createdAtMs,
    properties: person.properties,
    propertiesLastUpdatedAt,
    propertiesLastOperation,
    isIdentified: person.isIdentified,
    distinctIds,
  };
}

async function addDistinctIds(
  deps: RoundDeps,
  items: readonly {
    readonly request: MergeRequest;
    readonly person: Person;
    readonly distinctId: string;
    readonly rows: readonly SideRow[];
  }[],
  pending: Pending[],
  again: MergeRequest[],
): Promise<void> {
  if (items.length === 0) return;
  const results = await isolatingRefusals(items, (part) => untilAvailable(deps.patience, () => deps.store.addDistinctIds(part)));
  results.forEach((result, index) => {
    const item = items[index];
    if (item === undefined) return;
    const { request, person, distinctId, rows } = item;
    if (result.type === 'added') {
      pending.push({
        request,
        person,
        rows: [...rows, distinctIdRow(person, distinctId, result.version)],
        warning: undefined,
        identify: true,
      });
    } else if (result.type === 'refused') {
      request.answer(result);
    } else {
      again.push(request);
    }
  });
}

async function mergePersons(
  deps: RoundDeps,
  {
    request,
    into,
    from,
    rows,
  }: { readonly request: MergeRequest; readonly into: Person; readonly from: Person; readonly rows: readonly SideRow[] },
  again: MergeRequest[],
): Promise<void> {
  const state = mergedState(into, from, identifying(request.command.update));
  const [result] = await isolatingRefusals([state], (states) =>
    Promise.all(
      states.map(({ properties, createdAtMs }) =>
        untilAvailable(deps.patience, () => deps.store.merge({ teamId: into.teamId, into, from, properties, createdAtMs })),
      ),
    ),
  );
  if (result === undefined) throw new Error('one merge has one result');
  stateFact('person-merge-ended', { result: result.type });
  if (result.type === 'refused') return request.answer(result);
  if (result.type === 'conflict') {
    again.push(request);
    return;
  }
  deps.counts.merged++;
  deps.sideRows([
    ...rows,
    personRow(result.person),
    ...result.moved.map(({ distinctId, version }) => distinctIdRow(result.person, distinctId, version)),
    deletedPersonRow(from),
  ]);
  request.answer({ type: 'merged', person: result.person, warning: undefined });
}

/** The event's own $set, $set_once, $unset on the person that it ended up with. */
async function applyUpdates(deps: RoundDeps, pending: readonly Pending[], again: MergeRequest[]): Promise<void> {
  const changed: { readonly one: Pending; readonly person: Person; readonly version: number }[] = [];
  for (const one of pending) {
    const { update } = one.request.command;
    const folded = foldPerson(one.person, one.identify ? identifying(update) : update);
    if (folded.changed) {
      changed.push({ one, person: folded.person, version: one.person.version });
    } else {
      if (one.rows.length > 0) deps.sideRows(one.rows);
      one.request.answer({ type: 'merged', person: folded.person, warning: one.warning });
    }
  }
  const results = await isolatingRefusals(changed, (part) => untilAvailable(deps.patience, () => deps.store.update(part)));
  results.forEach((result, index) => {
    const item = changed[index];
    if (item === undefined) return;
    const { one } = item;
    if (result.type === 'updated') {
      deps.counts.updated++;
      const person = { ...item.person, version: result.version };
      deps.sideRows([...one.rows, personRow(person)]);
      one.request.answer({ type: 'merged', person, warning: one.warning });
    } else if (result.type === 'refused') {
      one.request.answer(result);
    } else {
      // The mapping is stored and its row must reach ClickHouse; the update is decided anew, as 'already-same'.
      if (one.rows.length > 0) deps.sideRows(one.rows);
      again.push(one.request);
    }
  });
}
