/**
 * One actor per active (team, distinct_id). It does the work of one group at a time, in offset order:
 *
 *     idle ──group──▶ prepare ─▶ [plugins] ─▶ [group-types] ─▶ people ─▶ [copying] ─▶ rows told ──▶ next waiting group | idle
 *                                                               │  ▲
 *                              loading · writing · merging · upserting (one at a time, each an answer to wait for)
 *
 * The stages have a file each: prepare.ts, plugin-chain.ts, groups.ts, people.ts, rows.ts; what ends early, ends.ts.
 *
 * Invariants
 * D1 Events of this distinct_id take effect in offset order: a group starts when the one before it has ended.
 * D2 An event row is told to the row writer only after everything the event did to persons and groups is durable
 *    (delivery.md section 2).
 * D3 Every event of every group ends once: a row told, a drop, a dead letter, or side rows told with which it is settled (L-3, L-4);
 *    or nothing, when its partition is lost or the tree is torn down.
 * D4 An event that a rule, a plugin or PostgreSQL cannot bear costs itself alone.
 * D5 An idle actor holds nothing (IDLE is one object for all): it may be passivated at any moment.
 * D6 It does no I/O and reads no clock but its context's: what it does is a function of its messages.
 */
import { CountBook } from '../../src/observe/count-book.ts';
import { noDefinitions } from '../../src/domain/definitions.ts';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import type { Copied } from '../forwarder/messages.ts';
import type { PersonWriterAnswer } from '../person-writer/messages.ts';
import type { PluginAnswer } from '../plugin/messages.ts';
import type { Ctx, DistinctIdDeps, Shared } from './asking.ts';
import { bury, deadLetter, drop, dropWithWarning, guard, unendedOf, warn } from './ends.ts';
import { copied, copyExceptions } from './exceptions.ts';
import { askGroupTypes } from './groups.ts';
import { endAsHeatmap } from './heatmap.ts';
import type { DistinctIdMessage, GroupMessage } from './messages.ts';
import { foldPeople, loaded, merged, refused, written } from './people.ts';
import { afterPlugins, invokeNextPlugin, pluginAnswered } from './plugin-chain.ts';
import { prepare, type Notes } from './prepare.ts';
import { makeRows, tellRows } from './rows.ts';
import { SmallMap } from './small-map.ts';
import { IDLE, isIdle, type DistinctIdState, type Item, type LocalPerson, type Work } from './state.ts';

/** One spec serves all distinct_id actors: nothing in it belongs to a key. */
export function createDistinctId(deps: DistinctIdDeps): ActorSpec<DistinctIdState, DistinctIdMessage> {
  const shared: Shared = {
    deps,
    nextTicket: 1,
    findings: new CountBook('event-findings-counted'),
    names: noDefinitions(),
    propertyKeys: new CountBook('person-property-keys-counted'),
  };
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
    apply(shared, work, message, expected, ctx);
    return work.tickets.size > 0 ? state : proceed(state, work, ctx);
  }

  function begin(message: GroupMessage, waiting: readonly GroupMessage[], ctx: Ctx): DistinctIdState {
    const work = newWork(message, ctx.clock.now());
    begun.push(work);
    prepareAll(shared, work, ctx);
    return proceed({ work, waiting }, work, ctx);
  }

  /** Goes on until the work has to wait for answers, or has ended. */
  function proceed(state: DistinctIdState, work: Work, ctx: Ctx): DistinctIdState {
    if (work.stage === 'plugins') {
      if (invokeNextPlugin(shared, work, ctx)) return { work, waiting: state.waiting };
      afterPlugins(shared, work, ctx);
      work.stage = 'group-types';
      if (askGroupTypes(shared, work, ctx)) return { work, waiting: state.waiting };
    }
    if (foldPeople(shared, work, ctx)) return { work, waiting: state.waiting };
    const made = (work.made ??= makeRows(shared, work, ctx));
    if (copyExceptions(shared, work, made, ctx)) return { work, waiting: state.waiting };
    tellRows(shared, work, made, ctx);
    return next({ work, waiting: state.waiting }, ctx);
  }

  function next(state: DistinctIdState, ctx: Ctx): DistinctIdState {
    const [message, ...waiting] = state.waiting;
    return message === undefined ? IDLE : begin(message, waiting, ctx);
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
      bury(shared, [...works.flatMap(unendedOf), ...untouched.flatMap((one) => one.group.events)], detail);
    },
    refused(message, reason) {
      // 'stopped' is a tree that is being torn down: the records come again.
      if (message.type === 'group' && reason === 'quarantined') bury(shared, message.group.events, 'the actor is quarantined');
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

function newWork(message: GroupMessage, nowMs: number): Work {
  return {
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
    made: undefined,
    startedMs: nowMs,
    stageStartedMs: nowMs,
  };
}

/** Makes an item of every event that the rules before plugins let through; the others end here. */
function prepareAll(shared: Shared, work: Work, ctx: Ctx): void {
  const notes: Notes = {
    found: (finding) => shared.findings.note(finding, ctx.clock),
    warn: (warning) => warn(shared, work, warning, ctx),
  };
  for (const pending of work.message.group.events) {
    guard(shared, pending, 'prepare', () => {
      if (!pending.settlement.active) return;
      const prepared = prepare(pending, work.message.team, ctx.clock.now(), notes);
      if (prepared.type === 'poison') return void deadLetter(shared, pending, prepared.reason, 'prepare', prepared.detail);
      if (prepared.type === 'heatmap') return void endAsHeatmap(shared, work, pending, prepared.event, ctx);
      if (prepared.type === 'dropped') {
        if (prepared.warning === undefined) return void drop(pending, prepared.reason);
        return void dropWithWarning(shared, work, pending, prepared.reason, prepared.warning, ctx);
      }
      work.items.push({
        pending,
        event: prepared.event,
        mode: prepared.mode,
        timestampMs: 0,
        person: undefined,
        forceUpgrade: false,
        limited: undefined,
        ended: false,
        succeeded: undefined,
        failed: undefined,
      });
    });
    work.preparedCount++;
  }
}

/** Hands an answer, with what was noted under its ticket, to the stage that asked. */
function apply(
  shared: Shared,
  work: Work,
  answer: PersonWriterAnswer | PluginAnswer | Copied,
  expected: Item | LocalPerson | readonly string[] | undefined,
  ctx: Ctx,
): void {
  switch (answer.type) {
    case 'plugin-answered':
      return pluginAnswered(work, expected as Item, answer);
    case 'persons-loaded':
      return loaded(work, expected as readonly string[], answer);
    case 'person-written':
      return written(work, expected as LocalPerson, answer, ctx);
    case 'person-merged':
      return merged(shared, work, expected as Item, answer, ctx);
    case 'group-types-resolved':
      work.groupTypes = answer.indexes;
      return;
    case 'group-upserted':
      return;
    case 'person-refused':
      return refused(shared, work, expected as Item | LocalPerson, answer.detail);
    case 'copied':
      return copied(answer);
    case 'person-abandoned':
      return;
  }
}
