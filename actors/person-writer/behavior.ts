/**
 * The one place that reads and writes persons (and groups) of this process, in batches.
 *
 * Two lanes, each with at most one piece of work under way; what arrives meanwhile is the next piece:
 *
 *     load lane   idle ──load──▶ kicked ──(mailbox seen to its end)──▶ loading ──▶ idle | kicked
 *     write lane  idle ──write, merge──▶ lingering ──(full, or lingerMs)──▶ flushing ──▶ idle | lingering
 *
 * Invariants
 * I1 Each command gets exactly one answer with its ticket.
 * I2 'person-written' and 'person-merged' are told after PostgreSQL has it and after the side rows for ClickHouse were
 *    told to its writer: whoever then tells that writer an event row has it stored after them (delivery.md section 2).
 * I3 A distinct_id actor waits for its answer before its next fold, so its own writes never race each other.
 * I4 Writes of a partition that is no longer ours are abandoned, also in the middle of a round; while our heartbeat is too old
 *    to know, they wait (write-round.ts, W3). To abandon what is still ours would leave it unsettled for ever.
 * I5 PostgreSQL away: commands wait; nothing is answered, nothing is lost. What waits is bounded by the routers' credit.
 * I6 A failed round that is nobody's fault but ours (misconfigured, a bug) crashes this actor, which restarts the pipeline
 *    from the committed watermarks (supervisors/root.ts).
 */
import type { Settlement } from '../../src/domain/outcome.ts';
import { changedKeyLabels } from '../../src/domain/person-fold.ts';
import { CountBook } from '../../src/observe/count-book.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { GroupStore, PersonStore } from '../../src/postgres/port.ts';
import { PostgresError } from '../../src/postgres/port.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { RowWriterMessage } from '../row-writer/messages.ts';
import type { Patience } from '../../src/runtime/patience.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import { runGroupUpserts } from './group-upserts.ts';
import { runLoadRound } from './load-round.ts';
import type { MergeRequest } from './merge-request.ts';
import { runMergeRound } from './merge-round.ts';
import { runWriteRound, type RoundDeps, type Standing, type WriteRequest } from './write-round.ts';
import type { PersonWriterMessage } from './messages.ts';

type Message<Type extends PersonWriterMessage['type']> = Extract<PersonWriterMessage, { readonly type: Type }>;
type WriteLaneMessage = Message<'write'> | Message<'merge'> | Message<'upsert-group'>;

export interface PersonWriterDeps {
  readonly persons: PersonStore;
  readonly groups: GroupStore;
  readonly rowWriter: ActorRef<RowWriterMessage>;
  /** False while this process may have lost the partition without knowing it yet (zombies, delivery.md section 3). */
  readonly mayWrite: (topic: string, partition: number, generation: number) => boolean;
  readonly options: {
    /** A round starts at once when so many commands wait. */
    readonly flushRowsCount: number;
    /** Otherwise so long after the first of them. Raising it makes larger statements and slower events. */
    readonly lingerMs: number;
    /** Distinct ids known to be noted as personless, so that the note is not written again. */
    readonly personlessCacheCount: number;
    readonly mailboxCapacityCount: number;
  };
  readonly strategy: Strategy;
}

export interface PersonWriterState {
  readonly loads: Message<'load'>[];
  loadLane: 'idle' | 'kicked' | 'loading';
  readonly writes: WriteLaneMessage[];
  readonly groupTypes: Message<'group-types'>[];
  writeLane: 'idle' | 'lingering' | 'flushing';
  readonly drains: Message<'drain'>['replyTo'][];
  readonly personless: Set<string>;
  stopped: boolean;
  running: Promise<void>[];
}

export function createPersonWriter(deps: PersonWriterDeps): ActorSpec<PersonWriterState, PersonWriterMessage> {
  const { options } = deps;
  const propertyKeys = new CountBook<string>('person-property-keys-counted');

  function start(): PersonWriterState {
    return {
      loads: [],
      loadLane: 'idle',
      writes: [],
      groupTypes: [],
      writeLane: 'idle',
      drains: [],
      personless: new Set(),
      stopped: false,
      running: [],
    };
  }

  function receive(state: PersonWriterState, message: PersonWriterMessage, ctx: ActorContext<PersonWriterMessage>): PersonWriterState {
    switch (message.type) {
      case 'load':
        state.loads.push(message);
        kickLoads(state, ctx);
        return state;
      case 'group-types':
        state.groupTypes.push(message);
        kickLoads(state, ctx);
        return state;
      case 'write':
      case 'merge':
      case 'upsert-group':
        state.writes.push(message);
        if (state.writeLane === 'idle') {
          state.writeLane = 'lingering';
          ctx.after(options.lingerMs, { type: 'self:flush-due' });
        }
        if (state.writeLane === 'lingering' && state.writes.length >= options.flushRowsCount) flush(state, ctx);
        return state;
      case 'self:load-kicked':
        runLoads(state, ctx);
        return state;
      case 'self:load-ended':
        if (message.error !== undefined) throw asError(message.error); // I6
        state.loadLane = 'idle';
        if (state.loads.length > 0 || state.groupTypes.length > 0) kickLoads(state, ctx);
        return state;
      case 'self:flush-due':
        if (state.writeLane === 'lingering') flush(state, ctx);
        return state;
      case 'self:round-ended':
        if (message.error !== undefined) throw asError(message.error); // I6
        state.writeLane = 'idle';
        if (state.writes.length > 0) flush(state, ctx);
        else tellDrained(state);
        return state;
      case 'drain':
        state.drains.push(message.replyTo);
        if (state.writeLane === 'lingering') flush(state, ctx);
        else if (state.writeLane === 'idle') tellDrained(state);
        return state;
    }
  }

  /** By the ordinary lane, so that it comes after all loads that already wait: one statement for all of them. */
  function kickLoads(state: PersonWriterState, ctx: ActorContext<PersonWriterMessage>): void {
    if (state.loadLane !== 'idle') return;
    state.loadLane = 'kicked';
    if (ctx.self.tell({ type: 'self:load-kicked' }) !== 'accepted') runLoads(state, ctx);
  }

  function runLoads(state: PersonWriterState, ctx: ActorContext<PersonWriterMessage>): void {
    const loads = state.loads.splice(0);
    const groupTypes = state.groupTypes.splice(0);
    state.loadLane = 'loading';
    const work = (): Promise<void> =>
      runLoadRound({ ...deps, personless: state.personless, patience: patience(state, ctx) }, loads, groupTypes);
    launch(state, work, (error) => tellSelf(ctx, { type: 'self:load-ended', error }));
  }

  function flush(state: PersonWriterState, ctx: ActorContext<PersonWriterMessage>): void {
    const commands = state.writes.splice(0);
    state.writeLane = 'flushing';
    launch(
      state,
      () => round(commands, patience(state, ctx)),
      (error) => tellSelf(ctx, { type: 'self:round-ended', error }),
    );
  }

  async function round(commands: readonly WriteLaneMessage[], patient: Patience): Promise<void> {
    const startedMs = patient.clock.monotonic();
    const counts = { created: 0, updated: 0, merged: 0, conflicts: 0 };
    const roundDeps: RoundDeps = {
      store: deps.persons,
      patience: patient,
      counts,
      changed: (before, after, update) => {
        if (!propertyKeys.isRead) return;
        for (const label of changedKeyLabels(before, after, update)) propertyKeys.note(label, patient.clock); // P-39
      },
      sideRows: (rows) => void deps.rowWriter.tell({ type: 'store-side-rows', rows }),
    };
    const writes: WriteRequest[] = [];
    const merges: MergeRequest[] = [];
    const groups: Message<'upsert-group'>[] = [];
    for (const command of commands) {
      if (command.type === 'write') writes.push(writeRequest(command));
      else if (command.type === 'merge') merges.push(mergeRequest(command));
      else groups.push(command);
    }
    await runWriteRound(roundDeps, writes);
    await runMergeRound(roundDeps, merges);
    await runGroupUpserts({ ...deps, patience: patient, standingOf }, groups);
    stateFact('person-flushed', { ...counts, durationMs: patient.clock.monotonic() - startedMs });
  }

  /** An inactive settlement is final; a heartbeat that is late may still come (I4). */
  function standingOf(settlement: Settlement): Standing {
    if (!settlement.active) return 'lost';
    return deps.mayWrite(settlement.topic, settlement.partition, settlement.generation) ? 'ours' : 'unsure';
  }

  function writeRequest({ command, settlement, ticket, replyTo }: Message<'write'>): WriteRequest {
    return {
      command,
      standing: () => standingOf(settlement),
      answer: (answer) => {
        if (answer.type === 'written') replyTo.tell({ type: 'person-written', ticket, person: answer.person, foldedOn: answer.foldedOn });
        else if (answer.type === 'refused') replyTo.tell({ type: 'person-refused', ticket, detail: answer.detail });
        else replyTo.tell({ type: 'person-abandoned', ticket });
      },
    };
  }

  function mergeRequest({ command, settlement, ticket, replyTo }: Message<'merge'>): MergeRequest {
    return {
      command,
      standing: () => standingOf(settlement),
      answer: (answer) => {
        if (answer.type === 'merged') replyTo.tell({ ...answer, type: 'person-merged', ticket });
        else if (answer.type === 'refused') replyTo.tell({ type: 'person-refused', ticket, detail: answer.detail });
        else replyTo.tell({ type: 'person-abandoned', ticket });
      },
    };
  }

  function patience(state: PersonWriterState, ctx: ActorContext<PersonWriterMessage>): Patience {
    return {
      clock: ctx.clock,
      random: ctx.random,
      passing: (error) => error instanceof PostgresError && error.kind === 'unavailable',
      givenUp: () => state.stopped,
      minMs: 50,
      maxMs: 2000,
    };
  }

  /** Runs work beside the mailbox; its end, good or bad, comes back as a message. */
  function launch(state: PersonWriterState, work: () => Promise<void>, ended: (error: unknown) => void): void {
    const running = work().then(
      () => ended(undefined),
      (error: unknown) => {
        // A stop during an outage gives up on purpose; the records come again from the committed watermark.
        if (!(state.stopped && error instanceof PostgresError)) ended(error);
      },
    );
    state.running = state.running.filter((one) => one !== running);
    state.running.push(running);
    void running.finally(() => (state.running = state.running.filter((one) => one !== running)));
  }

  function tellDrained(state: PersonWriterState): void {
    for (const replyTo of state.drains.splice(0)) replyTo.tell({ type: 'drained' });
  }

  return {
    kind: 'person-writer',
    start,
    receive,
    async stopping(state) {
      state.stopped = true;
      await Promise.all(state.running);
    },
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      loadLane: state.loadLane,
      writeLane: state.writeLane,
      waitingLoads: state.loads.length,
      waitingWrites: state.writes.length,
      personlessNoted: state.personless.size,
    }),
  };
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error('not an Error was thrown', { cause: error }));
