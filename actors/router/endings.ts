/** How a record ends, or leaves, without having been given to a team (R6, R7). */
import type { Envelope } from '../../src/domain/event.ts';
import { offset as toOffset, type Offset } from '../../src/domain/ids.ts';
import { dropped, type DeadLetterReason, type DropReason, type Settlement } from '../../src/domain/outcome.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { freed } from './credit.ts';
import { redirection } from './overflow.ts';
import type { Ctx, Shared } from './shared.ts';
import type { RouterState } from './state.ts';

/** A rule wants nothing of it: settled at once. */
export function drop({ partition: settlement }: Shared, envelope: Envelope, offset: Offset, reason: DropReason): void {
  const { topic, partition } = settlement;
  settlement.settle(offset, dropped(reason));
  if (typeof envelope.uuid === 'string') {
    stateFact('event-ended', { uuid: envelope.uuid, teamId: undefined, topic, partition, offset, outcome: 'dropped', reason });
  }
}

/** The dead-letter actor keeps the bytes and settles the offset. */
export function deadLetter(
  shared: Shared,
  state: RouterState,
  record: KafkaRecord,
  reason: DeadLetterReason,
  detail: string,
  ctx: Ctx,
): void {
  state.inFlightCount++;
  const told = shared.deps.deadLetter.tell({
    type: 'dead-letter',
    records: [
      {
        settlement: ownSettlement(shared, state, ctx),
        offset: toOffset(record.offset),
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestampMs: record.timestampMs,
        reason,
        origin: 'router',
        detail,
      },
    ],
  });
  // 'stopped' is a tree that is being torn down: the record comes again.
  if (told === 'full') throw new Error('the mailbox of the dead-letter actor is full although it is sized for all credit');
}

/** B-4 */
export function redirect(shared: Shared, state: RouterState, aside: readonly KafkaRecord[], ctx: Ctx): void {
  const { overflow, forwarder } = shared.deps;
  if (overflow.type !== 'redirect' || aside.length === 0) return;
  state.inFlightCount += aside.length; // R7
  const told = forwarder.tell(redirection(overflow, aside, ownSettlement(shared, state, ctx)));
  // 'stopped' is a tree that is being torn down: the records come again.
  if (told === 'full') throw new Error('the mailbox of the forwarder is full although it is sized for all credit');
}

function ownSettlement({ deps: { ledger }, partition: below }: Shared, state: RouterState, ctx: Ctx): Settlement {
  return (state.own ??= {
    topic: below.topic,
    partition: below.partition,
    generation: below.generation,
    get active() {
      return below.active;
    },
    settle(offset, outcome) {
      const counts = below.active && !ledger.isSettled(offset);
      below.settle(offset, outcome);
      if (counts) freed(state, ctx);
    },
  });
}
