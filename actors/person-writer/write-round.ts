/**
 * One round of person writes: what distinct_id actors folded since the last round, made durable with as few statements
 * as the number of persons allows.
 *
 * Invariants
 * W1 A write lands only on the version it was folded from; on a conflict the updates are folded again on what is stored
 *    now, never dropped and never laid over it (docs/adr/0004).
 * W2 Within a round one person is one unit, whatever number of distinct_ids wrote to it: their updates fold in arrival order. A unit
 *    that PostgreSQL refuses is taken apart and each request written by itself, so that only the culprit hears of it.
 * W3 Before every try of a statement, a request whose partition is no longer ours is left out: a zombie's late fold could undo
 *    what the new owner has written after it. While we cannot know whose it is, nothing is written and nothing given up.
 * W4 Each request gets exactly one answer.
 * W5 A repeat after a lost answer changes nothing twice: it meets 'exists' or 'conflict' and refolds to no change. ClickHouse is
 *    told of person and mapping all the same, because the answer that was lost would have said so.
 * W6 Who hears 'written' hears also what its updates were folded on, when that is not what it had folded them on itself: its events'
 *    rows show the person as they found it when they took effect (3.8).
 */
import { foldPerson, foldPersonUpdates, newPerson } from '../../src/domain/person-fold.ts';
import type { PersonUpdate } from '../../src/domain/person-fold.ts';
import type { Person } from '../../src/domain/person.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import type { FoundPerson, NewPerson, PersonStore } from '../../src/postgres/port.ts';
import { sleep, untilAvailable, type Patience } from '../../src/runtime/patience.ts';
import { isolatingRefusals, type Refusal } from './refusals.ts';
import { distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import type { PersonWriteCommand } from './messages.ts';

export interface WriteRequest {
  readonly command: PersonWriteCommand;
  readonly standing: () => Standing;
  readonly answer: (
    answer:
      | { readonly type: 'written'; readonly person: Person; readonly foldedOn: Person | undefined }
      | { readonly type: 'refused'; readonly detail: string }
      | { readonly type: 'abandoned' },
  ) => void;
}

/** Whose the partition of a request is: 'unsure' when our last heartbeat is so old that it may have been given to another (W3). */
export type Standing = 'ours' | 'unsure' | 'lost';

export interface RoundCounts {
  created: number;
  updated: number;
  merged: number;
  conflicts: number;
}

/** What one person's writes have become so far. */
interface Unit {
  requests: WriteRequest[];
  /** Mappings that somebody has stored without, perhaps, having told ClickHouse (W5). */
  readonly mappings: SideRow[];
  base: Person | undefined;
  current: Person | undefined;
  /** False when the updates touch nothing that is worth a write (P-34, P-35). */
  changed: boolean;
}

export interface RoundDeps {
  readonly store: PersonStore;
  readonly patience: Patience;
  /** Told what ClickHouse must hold before the event rows; called before the answers. */
  readonly sideRows: (rows: readonly SideRow[]) => void;
  readonly counts: RoundCounts;
  /** Told of each update of a merge event that was stored: the person before it and after (P-39). Other updates are folded by their actor. */
  readonly changed: (before: Person, after: Person, update: PersonUpdate) => void;
}

/** Runs until every request has its answer. @throws PostgresError 'misconfigured', or 'unavailable' when given up. */
export async function runWriteRound(deps: RoundDeps, requests: readonly WriteRequest[]): Promise<void> {
  let units = unite(requests);
  const apart: WriteRequest[] = [];
  let waitMs = deps.patience.minMs;
  for (;;) {
    await untilSure(deps.patience, () => units.flatMap((unit) => unit.requests));
    units = dropUnwanted(units);
    if (units.length === 0) break;
    const births = units.filter((unit) => unit.base === undefined);
    const changes = units.filter((unit) => unit.base !== undefined);
    const [born, changed] = await Promise.all([tryOnce(deps, births, apart, create), tryOnce(deps, changes, apart, update)]);
    const clashed = [...born.clashed, ...changed.clashed];
    deps.counts.conflicts += clashed.length;
    const unsent = [...born.unsent, ...changed.unsent];
    if (unsent.length === 0) waitMs = deps.patience.minMs;
    else {
      await sleep(deps.patience.clock, waitMs * (1 + deps.patience.random.next() * 0.2));
      waitMs = Math.min(waitMs * 2, deps.patience.maxMs);
    }
    units = [...unsent, ...(await reload(deps, clashed))];
  }
  // One after the other: they are of one person, and each is folded on what the one before it left (W1).
  for (const request of apart) await runWriteRound(deps, [request]);
}

/** PostgreSQL away: the units stay as they are, and W3 is asked again before the next try. */
async function tryOnce(
  deps: RoundDeps,
  units: readonly Unit[],
  apart: WriteRequest[],
  run: (deps: RoundDeps, units: readonly Unit[], apart: WriteRequest[]) => Promise<Unit[]>,
): Promise<{ readonly clashed: readonly Unit[]; readonly unsent: readonly Unit[] }> {
  try {
    return { clashed: await run(deps, units, apart), unsent: [] };
  } catch (error) {
    if (!deps.patience.passing(error) || deps.patience.givenUp()) throw error;
    return { clashed: [], unsent: units };
  }
}

/** W3: waits while some partition's owner is unknown. An end of the actor ends the wait. */
export async function untilSure(patience: Patience, requests: () => readonly { readonly standing: () => Standing }[]): Promise<void> {
  while (!patience.givenUp() && requests().some((request) => request.standing() === 'unsure')) await sleep(patience.clock, UNSURE_MS);
}
const UNSURE_MS = 100;

const keyOf = (teamId: number, distinctId: string): string => `${teamId}:${distinctId}`;

/** W2: requests of one person become one unit, keyed by row where there is one, else by distinct_id. */
function unite(requests: readonly WriteRequest[]): Unit[] {
  const units = new Map<string, Unit>();
  for (const request of requests) {
    const { base, teamId, distinctId, result } = request.command;
    const key = base === undefined ? keyOf(teamId, distinctId) : `#${base.rowId}`;
    const unit = units.get(key);
    if (unit === undefined) {
      units.set(key, { requests: [request], mappings: [], base, current: result, changed: true });
    } else if (unit.base !== undefined && base !== undefined && base.version > unit.base.version) {
      // A younger base: what was folded on the older one is folded again on it (W1).
      unit.requests.push(request);
      unit.base = base;
      refold(unit);
    } else {
      unit.requests.push(request);
      foldInto(unit, request.command.updates);
    }
  }
  return [...units.values()];
}

function foldInto(unit: Unit, updates: readonly PersonUpdate[]): void {
  if (unit.current === undefined) return;
  for (const update of updates) {
    const folded = foldPerson(unit.current, update);
    unit.current = folded.person;
    unit.changed ||= folded.changed;
  }
}

function refold(unit: Unit): void {
  unit.current = unit.base;
  unit.changed = false;
  for (const request of unit.requests) foldInto(unit, request.command.updates);
}

const isOurs = (request: WriteRequest): boolean => request.standing() === 'ours';

/** W3. A unit that loses some of its requests is folded again without them. */
function dropUnwanted(units: readonly Unit[]): Unit[] {
  const kept: Unit[] = [];
  for (const unit of units) {
    if (!unit.requests.every(isOurs)) {
      const wanted = unit.requests.filter(isOurs);
      for (const request of unit.requests) if (!wanted.includes(request)) request.answer({ type: 'abandoned' });
      unit.requests = wanted;
      refold(unit);
    }
    if (unit.requests.length > 0) kept.push(unit);
  }
  return kept;
}

function birthOf(unit: Unit): NewPerson {
  const [first, ...rest] = unit.requests;
  if (first === undefined) throw new Error('a unit has at least one request');
  const { command } = first;
  const [birthUpdate, ...later] = command.updates;
  const born = newPerson({
    teamId: command.teamId,
    distinctId: command.distinctId,
    createdAtMs: command.birth.createdAtMs,
    eventUuid: command.birth.eventUuid,
    update: birthUpdate,
    isIdentified: false,
  });
  let person = born.person;
  for (const update of [...later, ...rest.flatMap((request) => request.command.updates)]) person = foldPerson(person, update).person;
  return {
    teamId: command.teamId,
    id: person.id,
    createdAtMs: person.createdAtMs,
    properties: person.properties,
    propertiesLastUpdatedAt: born.propertiesLastUpdatedAt,
    propertiesLastOperation: born.propertiesLastOperation,
    isIdentified: person.isIdentified,
    distinctIds: [{ distinctId: command.distinctId, version: 0 }],
  };
}

/** What a statement, or a look, has made durable. */
interface Settled {
  readonly unit: Unit;
  readonly person: Person;
  readonly rows: readonly SideRow[];
}

/** ClickHouse's writer hears of all of them in one message, and only then does anybody hear 'written' (I2). */
function settle(deps: RoundDeps, settled: readonly Settled[]): void {
  const rows: SideRow[] = [];
  for (const { unit, rows: own } of settled) {
    for (const row of own) rows.push(row);
    for (const row of unit.mappings) rows.push(row);
  }
  if (rows.length > 0) deps.sideRows(rows);
  for (const { unit, person } of settled) answer(unit, person);
}

function answer(unit: Unit, person: Person): void {
  let before = unit.base;
  for (const request of unit.requests) {
    const { base, updates } = request.command;
    // W6. A birth has one request: an actor waits for its answer, and nobody else writes for its distinct_id.
    const isAsKnown = before === unit.base && before?.rowId === base?.rowId && before?.version === base?.version;
    request.answer({ type: 'written', person, foldedOn: isAsKnown ? undefined : before });
    if (before !== undefined && unit.requests.length > 1) before = foldPersonUpdates(before, updates).person;
  }
}

/** W2 */
function refuse(unit: Unit, refusal: Refusal, apart: WriteRequest[]): void {
  if (unit.requests.length > 1) apart.push(...unit.requests);
  else for (const request of unit.requests) request.answer(refusal);
}

/** Answers the units that clashed with somebody else's create. */
async function create(deps: RoundDeps, units: readonly Unit[], apart: WriteRequest[]): Promise<Unit[]> {
  const clashed: Unit[] = [];
  const settled: Settled[] = [];
  const births = units.map((unit) => ({ unit, born: birthOf(unit) }));
  const results = await isolatingRefusals(births, (items) => deps.store.create(items.map((item) => item.born)));
  results.forEach((result, index) => {
    const unit = units[index];
    if (unit === undefined) return;
    if (result.type === 'created') {
      deps.counts.created++;
      const { distinctId } = unit.requests[0]?.command ?? { distinctId: '' };
      const { person } = result;
      settled.push({ unit, person, rows: [personRow(person), distinctIdRow(person, distinctId, 0)] });
    } else if (result.type === 'refused') {
      refuse(unit, result, apart);
    } else {
      clashed.push(unit);
    }
  });
  settle(deps, settled);
  return clashed;
}

/** Answers the units whose person had another version, or was gone. */
async function update(deps: RoundDeps, units: readonly Unit[], apart: WriteRequest[]): Promise<Unit[]> {
  const clashed: Unit[] = [];
  const settled: Settled[] = [];
  const writes = units.flatMap((unit) =>
    unit.base === undefined || unit.current === undefined ? [] : [{ person: unit.current, version: unit.base.version }],
  );
  const results = await isolatingRefusals(writes, (items) => deps.store.update(items));
  results.forEach((result, index) => {
    const unit = units[index];
    if (unit?.current === undefined) return;
    if (result.type === 'updated') {
      deps.counts.updated++;
      const person = { ...unit.current, version: result.version };
      settled.push({ unit, person, rows: [personRow(person)] });
    } else if (result.type === 'refused') {
      refuse(unit, result, apart);
    } else {
      clashed.push(unit);
    }
  });
  settle(deps, settled);
  return clashed;
}

/** W1: loads what is stored now and folds again. Units that no longer change anything are answered here. */
async function reload(deps: RoundDeps, units: readonly Unit[]): Promise<Unit[]> {
  if (units.length === 0) return [];
  const requests = units.flatMap((unit) => unit.requests);
  const found = await untilAvailable(deps.patience, () =>
    deps.store.load(requests.map((request) => ({ teamId: request.command.teamId, distinctId: request.command.distinctId }))),
  );
  const next = new Map<string, Unit>();
  requests.forEach((request, index) => {
    const stored: FoundPerson | undefined = found[index];
    const { teamId, distinctId } = request.command;
    const key = stored === undefined ? keyOf(teamId, distinctId) : `#${stored.person.rowId}`;
    let unit = next.get(key);
    if (unit === undefined)
      next.set(key, (unit = { requests: [], mappings: [], base: stored?.person, current: stored?.person, changed: stored === undefined }));
    unit.requests.push(request);
    // It met 'exists': our own create with a lost answer, or somebody's who may have died before ClickHouse knew the id.
    if (stored !== undefined && request.command.base === undefined) {
      unit.mappings.push(distinctIdRow(stored.person, distinctId, stored.mappingVersion));
    }
    foldInto(unit, request.command.updates);
  });
  const open: Unit[] = [];
  for (const unit of next.values()) {
    // Somebody else (or our own lost answer, W5) has stored the same: nothing to write. ClickHouse is told all the same,
    // because whoever wrote it may have died before it did.
    if (unit.base !== undefined && !unit.changed) settle(deps, [{ unit, person: unit.base, rows: [personRow(unit.base)] }]);
    else open.push(unit);
  }
  return open;
}
