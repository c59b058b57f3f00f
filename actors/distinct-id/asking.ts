/** Whom a distinct_id actor tells things, and how it asks: every answer it waits for has a ticket. */
import type { Definitions } from '../../src/domain/definitions.ts';
import type { Finding } from '../../src/domain/findings.ts';
import type { CountBook } from '../../src/observe/count-book.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext } from '../../src/runtime/actor.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { RowWriterMessage } from '../row-writer/messages.ts';
import type { DefinitionSink } from '../definition-writer/messages.ts';
import type { ForwarderMessage } from '../forwarder/messages.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { PersonWriterMessage } from '../person-writer/messages.ts';
import type { PrefetchedPersons } from '../person-writer/messages.ts';
import type { RedisBufferMessage } from '../redis-buffer/messages.ts';
import type { DistinctIdMessage } from './messages.ts';
import type { Item, LocalPerson, Stage, Work } from './state.ts';

/** What a distinct_id actor needs of others: refs to tell, and how it is kept alive. */
export interface DistinctIdDeps {
  readonly personWriter: ActorRef<PersonWriterMessage>;
  /** Persons that the router's batch has brought along; whoever is not there is asked of the person writer. */
  readonly prefetched: PrefetchedPersons;
  readonly rowWriter: ActorRef<RowWriterMessage>;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  /** Where exceptions are copied to; undefined: nowhere. */
  readonly exceptions?: { readonly forwarder: ActorRef<ForwarderMessage>; readonly topic: string } | undefined;
  /** Undefined: names of events are not kept. */
  readonly definitions?: DefinitionSink | undefined;
  readonly options: { readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

export type Ctx = ActorContext<DistinctIdMessage>;

/** What all distinct_id actors of one spec have in common; the functions of this folder take it first. */
export interface Shared {
  readonly deps: DistinctIdDeps;
  /** Never used twice, by any of them: an answer to a life before this one finds nobody waiting for it. */
  nextTicket: number;
  readonly findings: CountBook<Finding>;
  /** Names found and not yet told: nearly always none, so that one serves all groups until it holds something. */
  names: Definitions;
  /** P-39. */
  readonly propertyKeys: CountBook<string>;
}

/** From now on the work waits for this, and the stage's span begins. */
export function enter(work: Work, stage: Stage, ctx: Ctx): void {
  work.stage = stage;
  work.stageStartedMs = ctx.clock.now();
}

/**
 * Asks the person writer under a new ticket, which `receive` looks up when the answer comes. `expected` is what the answer is
 * about, handed to the stage together with it. Throws when the writer's mailbox is full (a bug: see `taken`).
 */
export function ask(
  shared: Shared,
  work: Work,
  expected: Item | LocalPerson | readonly string[] | undefined,
  make: (ticket: number) => PersonWriterMessage,
): void {
  const ticket = shared.nextTicket++;
  work.tickets.set(ticket, expected);
  taken(shared.deps.personWriter.tell(make(ticket)), 'the person writer');
}

/**
 * A sink's mailbox is sized for all credit, so 'full' is a bug. 'stopped' is not ours to judge: the pipeline is being torn
 * down; what is unsettled comes again from the committed watermark, so this work is simply left lying.
 */
export function taken(told: TellResult, whose: string): void {
  if (told === 'full') throw new Error(`the mailbox of ${whose} is full although it is sized for all credit`);
}

/** A span for each traced item, from the begin of the stage (or `startMs`) until now. */
export function traceStage(work: Work, items: readonly Item[], name: string, ctx: Ctx, startMs = work.stageStartedMs): void {
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
