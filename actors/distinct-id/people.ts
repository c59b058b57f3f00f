/**
 * What the events do to persons: folded here item by item, and made durable by the person writer.
 *
 *     items   0 ───────────── segmentStart ───────────── position ─────────────▶
 *               durable                     folded                  to be folded
 *
 * A segment ends where a merge is next, and at the end of the group; then everything dirty in it is written, and nothing
 * further is folded until it is durable (D1, D2). A refused segment is folded again from its start, one item at a time (D4).
 */
import { mergeIdsOf, type MergeIds } from '../../src/domain/merge.ts';
import { changedKeyLabels, foldPerson, newPerson, personUpdateOf } from '../../src/domain/person-fold.ts';
import { isForceUpgrade, SYNTHETIC_PERSON_CREATED_AT_MS } from '../../src/domain/person-mode.ts';
import type { PendingEvent } from '../../src/domain/event.ts';
import type { Person } from '../../src/domain/person.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import type { PersonWriterAnswer } from '../person-writer/messages.ts';
import { ask, enter, traceStage, type Ctx, type Shared } from './asking.ts';
import { end, guard, warn } from './ends.ts';
import { upsertGroup } from './groups.ts';
import { announce } from './rows.ts';
import type { Item, LocalPerson, Work } from './state.ts';

type PersonsLoaded = Extract<PersonWriterAnswer, { readonly type: 'persons-loaded' }>;
type PersonWritten = Extract<PersonWriterAnswer, { readonly type: 'person-written' }>;
type PersonMerged = Extract<PersonWriterAnswer, { readonly type: 'person-merged' }>;

/** Folds item after item; stops, and answers true, where something has to be loaded, written or merged first. */
export function foldPeople(shared: Shared, work: Work, ctx: Ctx): boolean {
  while (work.position < work.items.length) {
    if (work.oneByOne && write(shared, work, ctx)) return true;
    const item = work.items[work.position];
    if (item === undefined || item.ended) {
      work.position++;
      continue;
    }
    const ids = item.mode === 'full' ? mergeIdsOf(item.event) : undefined;
    if (ids !== undefined) {
      if (write(shared, work, ctx)) return true;
      merge(shared, work, item, ids, ctx);
      return true;
    }
    const local = work.people.get(item.event.distinct_id) ?? prefetched(shared, work, item);
    if (local === undefined) {
      load(shared, work, ctx);
      return true;
    }
    guard(shared, item.pending, 'fold', () => fold(shared, work, item, local, ctx), item);
    work.position++;
    if (upsertGroup(shared, work, item, ctx)) return true;
  }
  return write(shared, work, ctx);
}

/** What the batch brought along. A personless event of nobody is asked for all the same: its id has to be noted. */
function prefetched({ deps }: Shared, work: Work, { event: { distinct_id: distinctId }, mode }: Item): LocalPerson | undefined {
  const found = deps.prefetched.take(work.message.team.id, distinctId);
  if (found === undefined || (found === null && mode === 'personless')) return undefined;
  const local = localPerson(distinctId, found?.person, found?.mappingVersion ?? 0);
  work.people.set(distinctId, local);
  return local;
}

/** Asks for all persons that the items up to the next merge need. */
function load(shared: Shared, work: Work, ctx: Ctx): void {
  const wanted = new Set<string>();
  let personless = false;
  for (let at = work.position; at < work.items.length; at++) {
    const item = work.items[at];
    if (item === undefined || item.ended) continue;
    if (item.mode === 'full' && mergeIdsOf(item.event) !== undefined) break;
    if (!work.people.has(item.event.distinct_id)) wanted.add(item.event.distinct_id);
    personless ||= item.mode === 'personless';
  }
  const distinctIds = [...wanted];
  enter(work, 'loading', ctx);
  ask(shared, work, distinctIds, (ticket) => ({
    type: 'load',
    ticket,
    teamId: work.message.team.id,
    distinctIds,
    markPersonless: personless,
    replyTo: ctx.self,
  }));
}

/** Notes what is stored of each distinct_id that `load` asked for, in its order. */
export function loaded(work: Work, distinctIds: readonly string[], { found }: PersonsLoaded): void {
  distinctIds.forEach((distinctId, index) => {
    const person = found[index];
    work.people.set(distinctId, localPerson(distinctId, person?.person, person?.mappingVersion ?? 0));
  });
}

/** Gives the item its person: the event's own update applied, or, personless, whoever has the id. */
function fold(shared: Shared, work: Work, item: Item, local: LocalPerson, ctx: Ctx): void {
  if (item.mode === 'personless') return lend(work, item, local.current);
  const update = personUpdateOf(item.event);
  if (local.current === undefined) {
    const born = newPerson({
      teamId: work.message.team.id,
      distinctId: item.event.distinct_id,
      createdAtMs: item.timestampMs,
      eventUuid: item.event.uuid,
      update,
      isIdentified: false,
    });
    local.current = born.person;
    item.limited = born.limited;
    local.birth = item;
    local.dirty = true;
    local.updates.push(update);
  } else {
    const before = local.current;
    const folded = foldPerson(before, update);
    local.current = folded.person;
    item.limited = folded.limited;
    if (folded.changed) {
      local.dirty = true;
      if (shared.propertyKeys.isRead)
        for (const label of changedKeyLabels(before, folded.person, update)) shared.propertyKeys.note(label, ctx.clock); // P-39
    }
    // Unchanged ones too: if somebody else was faster, the same update may change what is stored then.
    local.updates.push(update);
  }
  item.person = local.current;
}

/** a person that exists lends its id to a personless event; nothing is written. */
function lend(work: Work, item: Item, person: Person | undefined): void {
  const teamId = work.message.team.id;
  item.person = person ?? {
    rowId: '0',
    id: personUuid(teamId, item.event.distinct_id),
    teamId,
    createdAtMs: SYNTHETIC_PERSON_CREATED_AT_MS,
    properties: {},
    isIdentified: false,
    version: 0,
  };
  item.forceUpgrade = person !== undefined && isForceUpgrade(item.timestampMs, person.createdAtMs);
}

/** Somebody was faster: the events took effect on `foldedOn`, perhaps of another person, and their rows show that (3.8, M-7). */
function foldAgain(work: Work, items: readonly Item[], local: LocalPerson, foldedOn: Person): void {
  let current = foldedOn;
  for (const item of items) {
    if (item.ended || item.event.distinct_id !== local.distinctId) continue;
    if (item.mode === 'personless') lend(work, item, current);
    else {
      const folded = foldPerson(current, personUpdateOf(item.event));
      item.person = current = folded.person;
      item.limited = folded.limited;
    }
  }
}

/** Sends what is folded and dirty. True: wait for it to be durable. */
function write(shared: Shared, work: Work, ctx: Ctx): boolean {
  let sent = false;
  for (const local of work.people.values()) {
    if (!local.dirty) continue;
    sent = true;
    const birth = local.birth ?? work.items[work.segmentStart];
    ask(shared, work, local, (ticket) => ({
      type: 'write',
      ticket,
      command: {
        teamId: work.message.team.id,
        distinctId: local.distinctId,
        base: local.base,
        result: local.base === undefined ? undefined : local.current,
        updates: local.updates,
        birth: { createdAtMs: birth?.timestampMs ?? work.startedMs, eventUuid: birth?.event.uuid ?? '' },
      },
      settlement: settlementOf(work),
      replyTo: ctx.self,
    }));
  }
  if (sent) enter(work, 'writing', ctx);
  else work.segmentStart = work.position;
  return sent;
}

/** The person is durable: what is folded from here on has it as its base. */
export function written(work: Work, local: LocalPerson, { person, foldedOn }: PersonWritten, ctx: Ctx): void {
  const segment = work.items.slice(work.segmentStart, work.position);
  if (foldedOn !== undefined) foldAgain(work, segment, local, foldedOn);
  // Only a birth tells ClickHouse the mapping too; a replayed one may never have got there (`announce` in rows.ts).
  if (local.base === undefined) local.announced = true;
  local.base = person;
  local.current = person;
  local.updates = [];
  local.dirty = false;
  local.birth = undefined;
  traceStage(work, segment, 'person write', ctx);
  if (work.tickets.size === 0) work.segmentStart = work.position;
}

/** D4: finds the culprit by folding and writing one event at a time; a single event that is refused is poison. */
export function refused(shared: Shared, work: Work, expected: Item | LocalPerson, detail: string): void {
  announce(shared, work); // what is forgotten below may be all that is known of an event before the culprit
  if ('pending' in expected) {
    end(shared, expected, 'person_refused', work.stage, detail);
    if (work.stage === 'merging') {
      work.people.clear();
      work.position++;
      work.segmentStart = work.position;
    }
    return;
  }
  const segment = work.items
    .slice(work.segmentStart, work.position)
    .filter((item) => !item.ended && item.event.distinct_id === expected.distinctId);
  const [only] = segment;
  if (only !== undefined && segment.length === 1) end(shared, only, 'person_refused', 'write', detail);
  else work.oneByOne = true;
  work.people.delete(expected.distinctId);
  work.position = work.segmentStart;
}

/** The person writer does both: the merge and the update of the event that asked for it. */
function merge(shared: Shared, work: Work, item: Item, ids: MergeIds, ctx: Ctx): void {
  enter(work, 'merging', ctx);
  ask(shared, work, item, (ticket) => ({
    type: 'merge',
    ticket,
    command: {
      teamId: work.message.team.id,
      ...ids,
      eventName: item.event.event,
      update: personUpdateOf(item.event),
      birth: { createdAtMs: item.timestampMs, eventUuid: item.event.uuid },
      maybeReplayed: item.pending.maybeReplayed,
    },
    settlement: item.pending.settlement,
    replyTo: ctx.self,
  }));
}

/** The rest of the group starts from the person that the merge has made. */
export function merged(shared: Shared, work: Work, item: Item, answer: PersonMerged, ctx: Ctx): void {
  if (answer.warning !== undefined) warn(shared, work, { ...answer.warning, debounceKey: '', alwaysSend: true }, ctx);
  item.person = answer.person;
  item.limited = answer.limited;
  // The other id's person is another one now, and so may be any person loaded before.
  work.people.clear();
  work.people.set(item.event.distinct_id, localPerson(item.event.distinct_id, answer.person, 0, true));
  traceStage(work, [item], 'person merge', ctx);
  work.position++;
  work.segmentStart = work.position;
}

function localPerson(distinctId: string, person: Person | undefined, mappingVersion: number, announced = false): LocalPerson {
  return { distinctId, base: person, mappingVersion, current: person, updates: [], dirty: false, birth: undefined, announced };
}

/** Any event of the group will do: they come from one partition and generation. */
function settlementOf(work: Work): PendingEvent['settlement'] {
  const [first] = work.message.group.events;
  if (first === undefined) throw new Error('a group has events');
  return first.settlement;
}
