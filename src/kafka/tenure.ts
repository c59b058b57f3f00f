/**
 * One generation, as whoever handles it sees it: announced with the partitions and where to go on, revoked once. What the group is told
 * meanwhile is membership.ts's; which batches go to it is consumer.ts's (its C1, C4 and C5 are kept here).
 *
 *   joined → (committed offsets known) announced → (takeover ended) taken → revoked
 */
import type { Clock } from '../runtime/clock.ts';
import { state } from '../observe/facts.ts';
import { asError } from './connection.ts';
import type { KafkajsGroup } from './kafkajs-group.ts';
import { keyOf, type Membership } from './membership.ts';
import type { ConsumerHandlers } from './port.ts';
import { within } from './waiting.ts';

export interface Tenure {
  readonly membership: Membership;
  readonly group: KafkajsGroup;
  /** The takeover: resolves when batches may be handed over, or never will be. Never rejects. */
  readonly ready: Promise<void>;
  /** The takeover ended well. */
  readonly taken: boolean;
  /** Ends the generation, once (C1); every caller waits for the same end. Never rejects. */
  revoke(reason: Error): Promise<void>;
  /** A handler of this generation failed: a bug, unless the generation was over, when giving up in this way is as good as any. */
  readonly failed: (error: unknown) => void;
}

export interface TenureParts {
  readonly membership: Membership;
  readonly group: KafkajsGroup;
  readonly handlers: Pick<ConsumerHandlers, 'assigned' | 'revoked'> | undefined;
  readonly clock: Clock;
  /** How long `revoked` may take. */
  readonly revokeTimeoutMs: number;
  /** The consumer cannot go on. */
  readonly crash: (error: Error) => void;
}

/** Calls a handler; one that throws before it returns a promise is one that rejects. */
export const attempt = async (call: () => Promise<void>): Promise<void> => call();

/** Begins the takeover, and sees to it that the generation is revoked as soon as it is over (C4). */
export function createTenure({ membership, group, handlers, clock, revokeTimeoutMs, crash }: TenureParts): Tenure {
  const { generation } = membership;
  let announced = false;
  let taken = false;
  let revoking: Promise<void> | undefined;

  async function takeOver(): Promise<void> {
    const committed = await membership.fetchCommitted();
    if (committed === undefined || membership.over) return;
    announced = true;
    await handlers?.assigned({
      generation,
      memberId: membership.memberId,
      partitions: membership.partitions.map((one) => ({ ...one, committed: committed.get(keyOf(one.topic, one.partition)) })),
    });
    taken = true;
  }

  function failed(error: unknown): void {
    if (!membership.over) return crash(asError(error));
    const fields = { error: asError(error).message };
    state('log-written', { level: 'debug', message: 'A handler ended with an error after its generation.', fields });
  }

  async function end(reason: Error): Promise<void> {
    membership.end(reason);
    let failure: Error | undefined;
    if (announced && handlers !== undefined) {
      const told = attempt(() => handlers.revoked(generation)).catch((error: unknown) => void (failure = asError(error)));
      if ((await within(clock, revokeTimeoutMs, told)) === 'late') {
        const fields = { groupId: group.groupId, generation, revokeTimeoutMs };
        state('log-written', { level: 'warn', message: 'A revoked generation was not given up in time.', fields });
      }
    }
    membership.release();
    if (failure !== undefined) crash(failure);
  }

  const revoke = (reason: Error): Promise<void> => (revoking ??= end(reason));
  const ready = takeOver().catch(failed);
  void membership.ended.then(revoke); // C4

  return {
    membership,
    group,
    ready,
    get taken() {
      return taken;
    },
    revoke,
    failed,
  };
}
