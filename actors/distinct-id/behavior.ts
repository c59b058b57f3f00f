/**
 * One actor per active (team, distinct_id). It does the work of one group at a time, in offset order:
 *
 *     idle ──group──▶ prepare ─▶ [plugins] ─▶ [group-types] ─▶ people ─▶ rows told ──▶ next waiting group | idle
 *                                                               │  ▲
 *                              loading · writing · merging · upserting (one at a time, each an answer to wait for)
 *
 * Invariants
 * D1 Events of this distinct_id take effect in offset order: a group starts when the one before it has ended.
 * D2 An event row is told to the ClickHouse writer only after everything the event did to persons and groups is durable
 *    (delivery.md section 2).
 * D3 Every event of every group ends once: a row told, a drop, a dead letter; or nothing, when its partition is lost.
 * D4 An event that a rule, a plugin or PostgreSQL cannot bear costs itself alone.
 * D5 An idle actor holds nothing (IDLE is one object for all): it may be passivated at any moment.
 * D6 It does no I/O and reads no clock but its context's: what it does is a function of its messages.
 */
import { asJsonObject } from '../../src/domain/json.ts';
import { assignGroups, groupIdentifyOf, groupTypesOf } from '../../src/domain/groups.ts';
import { mergeIdsOf, type MergeIds } from '../../src/domain/merge.ts';
import { dropped, type DeadLetterReason, type DropReason } from '../../src/domain/outcome.ts';
import { foldPerson, newPerson, personPropertiesOf, personUpdateOf } from '../../src/domain/person-fold.ts';
import { isForceUpgrade, storedPersonMode, SYNTHETIC_PERSON_CREATED_AT_MS } from '../../src/domain/person-mode.ts';
import type { PendingEvent } from '../../src/domain/event.ts';
import type { Person } from '../../src/domain/person.ts';
import { propertiesText } from '../../src/domain/properties-text.ts';
import { buildEventRow } from '../../src/domain/row.ts';
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import { distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import type { IngestionWarning } from '../../src/domain/warnings.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { ClickHouseWriterMessage } from '../clickhouse-writer/messages.ts';
import { poison, type DeadLetterMessage } from '../dead-letter/messages.ts';
import type { PersonWriterAnswer, PersonWriterMessage } from '../person-writer/messages.ts';
import type { PluginAnswer } from '../plugin/messages.ts';
import type { RedisBufferMessage } from '../redis-buffer/messages.ts';
import { markPlugins, notePlugin } from './plugins.ts';
import { prepare, prepareAgain } from './prepare.ts';
import { SmallMap } from './small-map.ts';
import { IDLE, isIdle, type DistinctIdState, type Item, type LocalPerson, type Stage, type Work } from './state.ts';
import type { DistinctIdMessage, GroupMessage } from './messages.ts';

export interface DistinctIdDeps {
  readonly personWriter: ActorRef<PersonWriterMessage>;
  readonly clickhouseWriter: ActorRef<ClickHouseWriterMessage>;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  readonly options: { readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

type Ctx = ActorContext<DistinctIdMessage>;

/** One spec serves all distinct_id actors: nothing in it belongs to a key. */
export function createDistinctId(deps: DistinctIdDeps): ActorSpec<DistinctIdState, DistinctIdMessage> {
  let nextTicket = 1;
  /** What the receive under way has begun: if it crashes, these know best which of their events have ended. */
  const begun: Work[] = [];

  function receive(state: DistinctIdState, message: DistinctIdMessage, ctx: Ctx): DistinctIdState {
    begun.length = 0;
    if (message.type === 'group') {
      if (state.work !== undefined) return { work: state.work, waiting: [...state.waiting, message] };
      return begin(message, state.waiting, ctx);
    }
    const { work } = state;
    // An answer to a life before this one, or to work that was abandoned.
    if (work === undefined || !work.tickets.has(message.ticket)) return state;
    const expected = work.tickets.get(message.ticket);
    work.tickets.delete(message.ticket);
    if (message.type === 'person-abandoned') return next(state, ctx); // D3: the new owner does it all again
    apply(work, message, expected, ctx);
    return work.tickets.size > 0 ? state : proceed(state, work, ctx);
  }

  // ── the group ────────────────────────────────────────────────────────────────────────────────────────────────────

  function begin(message: GroupMessage, waiting: readonly GroupMessage[], ctx: Ctx): DistinctIdState {
    const nowMs = ctx.clock.now();
    const work: Work = {
      message,
      preparedCount: 0,
      items: [],
      stage: 'plugins',
      tickets: new SmallMap(),
      pluginIndex: 0,
      position: 0,
      segmentStart: 0,
      oneByOne: false,
      people: new SmallMap(),
      groupTypes: undefined,
      startedMs: nowMs,
      stageStartedMs: nowMs,
    };
    begun.push(work);
    for (const pending of message.group.events) {
      guard(pending, 'prepare', () => {
        if (!pending.settlement.active) return;
        const prepared = prepare(pending);
        if (prepared.type === 'poison') return void deadLetter(pending, prepared.reason, 'prepare', prepared.detail);
        if (prepared.warning !== undefined) warn(work, prepared.warning, ctx);
        if (prepared.type === 'dropped') return void drop(pending, prepared.reason);
        work.items.push({
          pending,
          event: prepared.event,
          mode: prepared.mode,
          timestampMs: 0,
          person: undefined,
          forceUpgrade: false,
          ended: false,
          succeeded: undefined,
          failed: undefined,
        });
      });
      work.preparedCount++;
    }
    return proceed({ work, waiting }, work, ctx);
  }

  /** Goes on until the work has to wait for answers, or has ended. */
  function proceed(state: DistinctIdState, work: Work, ctx: Ctx): DistinctIdState {
    if (work.stage === 'plugins') {
      if (invokeNextPlugin(work, ctx)) return { work, waiting: state.waiting };
      afterPlugins(work, ctx);
      work.stage = 'group-types';
      if (askGroupTypes(work, ctx)) return { work, waiting: state.waiting };
    }
    if (foldPeople(work, ctx)) return { work, waiting: state.waiting };
    tellRows(work, ctx);
    return next({ work, waiting: state.waiting }, ctx);
  }

  function next(state: DistinctIdState, ctx: Ctx): DistinctIdState {
    const [message, ...waiting] = state.waiting;
    return message === undefined ? IDLE : begin(message, waiting, ctx);
  }

  function apply(
    work: Work,
    answer: PersonWriterAnswer | PluginAnswer,
    expected: Item | LocalPerson | readonly string[] | undefined,
    ctx: Ctx,
  ): void {
    switch (answer.type) {
      case 'plugin-answered':
        return pluginAnswered(work, expected as Item, answer);
      case 'persons-loaded':
        (expected as readonly string[]).forEach((distinctId, index) => {
          const found = answer.found[index];
          work.people.set(distinctId, localPerson(distinctId, found?.person, found?.mappingVersion ?? 0));
        });
        return;
      case 'person-written':
        return written(work, expected as LocalPerson, answer.person, ctx);
      case 'person-merged': {
        const item = expected as Item;
        if (answer.warning !== undefined) warn(work, { ...answer.warning, debounceKey: '', alwaysSend: true }, ctx);
        item.person = answer.person;
        // The other id's person is another one now, and so may be any person loaded before.
        work.people.clear();
        work.people.set(item.event.distinct_id, localPerson(item.event.distinct_id, answer.person, 0, true));
        traceStage(work, [item], 'person merge', ctx);
        work.position++;
        work.segmentStart = work.position;
        return;
      }
      case 'group-types-resolved':
        work.groupTypes = answer.indexes;
        return;
      case 'group-upserted':
        return;
      case 'person-refused':
        return refused(work, expected as Item | LocalPerson, answer.detail);
      case 'person-abandoned':
        return;
    }
  }

  // ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Hands every event to the next plugin of the chain (V-2). True: wait for the answers. */
  function invokeNextPlugin(work: Work, ctx: Ctx): boolean {
    const { plugins } = work.message;
    for (; work.pluginIndex < plugins.length;) {
      const plugin = plugins[work.pluginIndex++];
      if (plugin === undefined) continue;
      work.stageStartedMs = ctx.clock.now();
      for (const item of work.items) {
        if (item.ended || notePlugin(item, plugin, 'seen-before')) continue;
        const ticket = nextTicket++;
        const told = plugin.ref.tell({ type: 'invoke', ticket, event: item.event, replyTo: ctx.self });
        if (told === 'accepted') work.tickets.set(ticket, item);
        // A plugin's actor that is full or gone is a failed plugin (PE-3): the event goes on without it, and says so.
        else notePlugin(item, plugin, 'failed');
      }
      if (work.tickets.size > 0) return true;
    }
    return false;
  }

  function pluginAnswered(work: Work, item: Item, answer: PluginAnswer): void {
    const plugin = work.message.plugins[work.pluginIndex - 1];
    const { result } = answer;
    if (result.type === 'dropped') {
      item.ended = true;
      return drop(item.pending, 'plugin'); // L-5, PE-4
    }
    if (result.type !== 'quarantined' && result.event !== undefined) item.event = result.event;
    if (plugin !== undefined) notePlugin(item, plugin, result.type === 'event' ? 'succeeded' : 'failed');
  }

  function afterPlugins(work: Work, ctx: Ctx): void {
    const nowMs = ctx.clock.now();
    const ran = work.message.plugins.length > 0;
    if (ran) traceStage(work, work.items, 'plugins', ctx);
    for (const item of work.items) {
      if (item.ended) continue;
      guard(
        item.pending,
        'normalise',
        () => {
          if (ran) {
            markPlugins(item);
            const wrong = prepareAgain(item.event, item.mode);
            if (wrong !== undefined) return end(item, 'processing_error', 'plugins', wrong);
          }
          const { timestampMs, warnings } = resolveTimestamp(item.event, nowMs);
          item.timestampMs = timestampMs;
          for (const warning of warnings) warn(work, warning, ctx);
        },
        item,
      );
    }
  }

  // ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Rule G-2: one question for all group types that the events name. True: wait. */
  function askGroupTypes(work: Work, ctx: Ctx): boolean {
    const types = new Set<string>();
    for (const item of work.items) {
      if (item.ended || item.mode === 'personless') continue;
      guard(item.pending, 'group-types', () => groupTypesOf(item.event).forEach((type) => types.add(type)), item);
    }
    if (types.size === 0) return false;
    ask(work, undefined, ctx, (ticket) => ({
      type: 'group-types',
      ticket,
      teamId: work.message.team.id,
      groupTypes: [...types],
      replyTo: ctx.self,
    }));
    return true;
  }

  // ── persons ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Folds item after item; stops, and answers true, where something has to be loaded, written or merged first. */
  function foldPeople(work: Work, ctx: Ctx): boolean {
    while (work.position < work.items.length) {
      if (work.oneByOne && write(work, ctx)) return true;
      const item = work.items[work.position];
      if (item === undefined || item.ended) {
        work.position++;
        continue;
      }
      const ids = item.mode === 'full' ? mergeIdsOf(item.event) : undefined;
      if (ids !== undefined) {
        if (write(work, ctx)) return true;
        merge(work, item, ids, ctx);
        return true;
      }
      const local = work.people.get(item.event.distinct_id);
      if (local === undefined) {
        load(work, ctx);
        return true;
      }
      guard(item.pending, 'fold', () => fold(work, item, local), item);
      work.position++;
      if (upsertGroup(work, item, ctx)) return true;
    }
    return write(work, ctx);
  }

  /** Asks for all persons that the items up to the next merge need. */
  function load(work: Work, ctx: Ctx): void {
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
    ask(work, distinctIds, ctx, (ticket) => ({
      type: 'load',
      ticket,
      teamId: work.message.team.id,
      distinctIds,
      markPersonless: personless,
      replyTo: ctx.self,
    }));
  }

  function fold(work: Work, item: Item, local: LocalPerson): void {
    const { event } = item;
    const teamId = work.message.team.id;
    if (item.mode === 'personless') {
      // a person that exists lends its id; nothing is written.
      item.person = local.current ?? {
        rowId: '0',
        id: personUuid(teamId, event.distinct_id),
        teamId,
        createdAtMs: SYNTHETIC_PERSON_CREATED_AT_MS,
        properties: {},
        isIdentified: false,
        version: 0,
      };
      item.forceUpgrade = local.current !== undefined && isForceUpgrade(item.timestampMs, local.current.createdAtMs);
      return;
    }
    const update = personUpdateOf(event);
    if (local.current === undefined) {
      local.current = newPerson({
        teamId,
        distinctId: event.distinct_id,
        createdAtMs: item.timestampMs,
        eventUuid: event.uuid,
        update,
        isIdentified: false,
      }).person;
      local.birth = item;
      local.dirty = true;
      local.updates.push(update);
    } else {
      const folded = foldPerson(local.current, update);
      local.current = folded.person;
      if (folded.changed) local.dirty = true;
      // Unchanged ones too: if somebody else was faster, the same update may change what is stored then.
      local.updates.push(update);
    }
    item.person = local.current;
  }

  /** Sends what is folded and dirty. True: wait for it to be durable. */
  function write(work: Work, ctx: Ctx): boolean {
    let sent = false;
    for (const local of work.people.values()) {
      if (!local.dirty) continue;
      sent = true;
      const birth = local.birth ?? work.items[work.segmentStart];
      ask(work, local, ctx, (ticket) => ({
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

  function written(work: Work, local: LocalPerson, person: Person, ctx: Ctx): void {
    const segment = work.items.slice(work.segmentStart, work.position);
    const folded = local.current;
    if (folded !== undefined && (folded.id !== person.id || folded.createdAtMs !== person.createdAtMs)) {
      // The person was merged away while we wrote, or somebody else made it first: the events belong to the one that is (M-7).
      for (const item of segment) {
        if (item.person?.id === folded.id) item.person = { ...item.person, id: person.id, createdAtMs: person.createdAtMs };
      }
    }
    // Only a birth tells ClickHouse the mapping too; a replayed one may never have got there (see `announce`).
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
  function refused(work: Work, expected: Item | LocalPerson, detail: string): void {
    if ('pending' in expected) {
      end(expected, 'person_refused', work.stage, detail);
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
    if (only !== undefined && segment.length === 1) end(only, 'person_refused', 'write', detail);
    else work.oneByOne = true;
    work.people.delete(expected.distinctId);
    work.position = work.segmentStart;
  }

  function merge(work: Work, item: Item, ids: MergeIds, ctx: Ctx): void {
    enter(work, 'merging', ctx);
    ask(work, item, ctx, (ticket) => ({
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

  /** Rule G-3. True: wait for it. */
  function upsertGroup(work: Work, item: Item, ctx: Ctx): boolean {
    if (item.ended || item.event.event !== '$groupidentify' || work.groupTypes === undefined) return false;
    const group = groupIdentifyOf(item.event);
    if (group?.type === 'refused') warn(work, group.warning, ctx);
    if (group?.type !== 'upsert') return false;
    const groupTypeIndex = work.groupTypes.get(group.groupType);
    if (groupTypeIndex === undefined) return false; // G-2: a sixth type is ignored
    enter(work, 'upserting', ctx);
    ask(work, item, ctx, (ticket) => ({
      type: 'upsert-group',
      ticket,
      teamId: work.message.team.id,
      groupTypeIndex,
      groupKey: group.groupKey,
      set: group.set,
      createdAtMs: item.timestampMs,
      settlement: item.pending.settlement,
      replyTo: ctx.self,
    }));
    return true;
  }

  // ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** D2: everything before is durable. */
  function tellRows(work: Work, ctx: Ctx): void {
    const rows: EventRow[] = [];
    for (const item of work.items) {
      if (item.ended) continue;
      guard(item.pending, 'row', () => rows.push(rowOf(work, item)), item);
    }
    announce(work);
    if (rows.length > 0) taken(deps.clickhouseWriter.tell({ type: 'store-events', rows }), 'the ClickHouse writer');
    // From here on they are the writer's: a crash of what comes next must not bury them as well (D3).
    for (const item of work.items) item.ended = true;
    traceStage(work, work.items, 'distinct-id', ctx, work.startedMs);
  }

  function rowOf(work: Work, item: Item): EventRow {
    const { person } = item;
    if (person === undefined) throw new Error('an event that is not ended has a person');
    const { event, mode } = item;
    if (work.groupTypes !== undefined && mode === 'full') assignGroups(event, work.groupTypes);
    return buildEventRow(event, {
      pending: item.pending,
      timestampMs: item.timestampMs,
      createdAtMs: work.startedMs,
      personId: person.id,
      personCreatedAtMs: person.createdAtMs,
      personProperties: mode === 'full' ? propertiesText(personPropertiesOf(person, asJsonObject(event.properties['$set']))) : '{}',
      personMode: storedPersonMode(mode, item),
      processing: mode,
      anonymizeIps: work.message.team.anonymizeIps,
    });
  }

  /** What a previous owner of the partition may have written to PostgreSQL and not to ClickHouse is told again. */
  function announce(work: Work): void {
    const rows: SideRow[] = [];
    for (const item of work.items) {
      if (item.ended || !item.pending.maybeReplayed || item.mode !== 'full') continue;
      const local = work.people.get(item.event.distinct_id);
      if (local?.base === undefined || local.announced) continue;
      local.announced = true;
      rows.push(personRow(local.base), distinctIdRow(local.base, local.distinctId, local.mappingVersion));
    }
    if (rows.length > 0) deps.clickhouseWriter.tell({ type: 'store-side-rows', rows });
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** D4: a rule that throws is a bug on this event; its bytes are kept and its neighbours go on. */
  function guard(pending: PendingEvent, origin: string, run: () => void, item?: Item): void {
    try {
      run();
    } catch (error) {
      if (item !== undefined) item.ended = true;
      deadLetter(pending, 'processing_error', origin, error instanceof Error ? error.message : 'not an Error was thrown');
    }
  }

  function end(item: Item, reason: DeadLetterReason, origin: string, detail: string): void {
    item.ended = true;
    deadLetter(item.pending, reason, origin, detail);
  }

  function deadLetter(pending: PendingEvent, reason: DeadLetterReason, origin: string, detail: string): void {
    taken(
      deps.deadLetter.tell({ type: 'dead-letter', records: [poison(pending, reason, `distinct-id:${origin}`, detail)] }),
      'the dead-letter actor',
    );
    reportEnd(pending, 'dead-lettered', reason);
  }

  function drop(pending: PendingEvent, reason: DropReason): void {
    pending.settlement.settle(pending.offset, dropped(reason));
    reportEnd(pending, 'dropped', reason);
  }

  /** For "where is my event?": only for the few that make no row; the others are found by their row. */
  function reportEnd({ envelope, teamId, offset, settlement }: PendingEvent, outcome: string, reason: string): void {
    if (typeof envelope.uuid !== 'string') return;
    const { topic, partition } = settlement;
    stateFact('event-ended', { uuid: envelope.uuid, teamId, topic, partition, offset, outcome, reason });
  }

  function warn(work: Work, warning: Omit<IngestionWarning, 'type'> & { readonly type: string }, ctx: Ctx): void {
    const { type, details, debounceKey, alwaysSend } = warning;
    deps.redisBuffer.tell({
      type: 'warn',
      warning: { teamId: work.message.team.id, type, details, debounceKey, alwaysSend, atMs: ctx.clock.now() },
    });
  }

  // ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

  function enter(work: Work, stage: Stage, ctx: Ctx): void {
    work.stage = stage;
    work.stageStartedMs = ctx.clock.now();
  }

  function ask(
    work: Work,
    expected: Item | LocalPerson | readonly string[] | undefined,
    _ctx: Ctx,
    make: (ticket: number) => PersonWriterMessage,
  ): void {
    const ticket = nextTicket++;
    work.tickets.set(ticket, expected);
    taken(deps.personWriter.tell(make(ticket)), 'the person writer');
  }

  function traceStage(work: Work, items: readonly Item[], name: string, ctx: Ctx, startMs = work.stageStartedMs): void {
    for (const item of items) {
      if (item.pending.trace === undefined) continue;
      stateFact('stage-ended', {
        name,
        trace: item.pending.trace,
        startMs,
        endMs: ctx.clock.now(),
        attributes: { 'troupe.team_id': work.message.team.id },
      });
    }
  }

  /** A crash is a bug here: what was under way is kept with its bytes and settled, so that the partition goes on. */
  function bury(events: readonly PendingEvent[], detail: string): void {
    for (const pending of events) {
      if (pending.settlement.active) deadLetter(pending, 'actor_crashed', 'crash', detail);
    }
  }

  return {
    kind: 'distinct-id',
    start: () => IDLE,
    receive,
    failed(state, message, error) {
      const detail = error instanceof Error ? error.message : 'not an Error was thrown';
      const works = state.work === undefined ? begun : [state.work, ...begun];
      const untouched = [...state.waiting, ...(message.type === 'group' ? [message] : [])].filter(
        (one) => !works.some((work) => work.message === one),
      );
      bury([...works.flatMap(unendedOf), ...untouched.flatMap((one) => one.group.events)], detail);
    },
    refused(message, reason) {
      if (message.type === 'group') bury(message.group.events, `the actor is ${reason}`);
    },
    mailbox: { capacityCount: deps.options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      idle: isIdle(state),
      stage: state.work?.stage ?? 'idle',
      eventsInWork: state.work?.items.length ?? 0,
      waitingGroups: state.waiting.length,
    }),
  };
}

/** Events of a work that nobody has settled, dead-lettered or told as a row. */
function unendedOf({ items, preparedCount, message }: Work): readonly PendingEvent[] {
  return [...items.filter((item) => !item.ended).map((item) => item.pending), ...message.group.events.slice(preparedCount)];
}

function localPerson(distinctId: string, person: Person | undefined, mappingVersion: number, announced = false): LocalPerson {
  return { distinctId, base: person, mappingVersion, current: person, updates: [], dirty: false, birth: undefined, announced };
}

/**
 * A sink's mailbox is sized for all credit, so 'full' is a bug. 'stopped' is not ours to judge: the pipeline is being torn
 * down; what is unsettled comes again from the committed watermark, so this work is simply left lying.
 */
function taken(told: TellResult, whose: string): void {
  if (told === 'full') throw new Error(`the mailbox of ${whose} is full although it is sized for all credit`);
}

/** Any event of the group will do: they come from one partition and generation. */
function settlementOf(work: Work): PendingEvent['settlement'] {
  const [first] = work.message.group.events;
  if (first === undefined) throw new Error('a group has events');
  return first.settlement;
}
