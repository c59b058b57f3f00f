import type { EventGroup } from '../../src/domain/event.ts';
import type { Offset } from '../../src/domain/ids.ts';
import type { Outcome, Settlement } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';

/**
 * The part of one team in one partition: its share of the router's credit, and in it the share of each distinct_id.
 *
 * Invariants
 * L1 `inFlightCount` is the number of events dispatched through this lane and not yet settled; a queue's is that of its distinct_id.
 *    An offset that is settled twice is counted once: a sloppy sink must not mint credit.
 * L2 Groups of one distinct_id leave in the order they came: while one is parked, later ones park behind it.
 * L3 A lane, or a distinct_id, that is over its credit parks; the others go on (a plugin that hangs, a hot key: delivery.md section 4).
 * L4 A distinct_id with nothing in flight and nothing parked takes no memory.
 */
export interface Lane {
  /** As it was looked up last: what is dispatched goes by the team's settings of now (T-5). */
  team: Team;
  readonly inFlightCount: number;
  readonly parkedCount: number;
  /** What the events of this distinct_id are settled through. Ask right before `offer`: an idle one is forgotten (L4). */
  settlementFor(distinctId: string): Settlement;
  /** Takes groups in and gives back those that may be dispatched now. */
  offer(groups: readonly EventGroup[]): EventGroup[];
  /** Those of the parked groups that may be dispatched now: until they are `roomCount` events or more. */
  unpark(roomCount: number): EventGroup[];
}

export interface LaneOptions {
  readonly team: Team;
  /** The partition's own settlement. */
  readonly below: Settlement;
  /** Whether the partition has this offset settled already. */
  readonly isSettled: (offset: Offset) => boolean;
  readonly creditCount: number;
  readonly distinctIdCreditCount: number;
  /** Called at each settle that counts, after the counts were lowered. */
  readonly freed: () => void;
}

/** What a lane's queues share. */
interface LaneHooks {
  readonly below: Settlement;
  settled(queue: Queue, offset: Offset, outcome: Outcome): void;
}

const NOTHING_PARKED: EventGroup[] = [];

/**
 * One distinct_id of the lane while it has events in flight; the Settlement of those events. A class, because nearly every event
 * has one of its own: closures would weigh three times as much.
 */
class Queue implements Settlement {
  readonly distinctId: string;
  inFlightCount = 0;
  parked = NOTHING_PARKED;
  readonly #hooks: LaneHooks;
  constructor(distinctId: string, hooks: LaneHooks) {
    this.distinctId = distinctId;
    this.#hooks = hooks;
  }
  get topic(): string {
    return this.#hooks.below.topic;
  }
  get partition(): number {
    return this.#hooks.below.partition;
  }
  get generation(): number {
    return this.#hooks.below.generation;
  }
  get active(): boolean {
    return this.#hooks.below.active;
  }
  settle(offset: Offset, outcome: Outcome): void {
    this.#hooks.settled(this, offset, outcome);
  }
  park(group: EventGroup): void {
    if (this.parked === NOTHING_PARKED) this.parked = [];
    this.parked.push(group);
  }
}

export function createLane({ team, below, isSettled, creditCount, distinctIdCreditCount, freed }: LaneOptions): Lane {
  const queues = new Map<string, Queue>();
  /** Queues with something parked, in the order in which they began to park. */
  const parking = new Set<string>();
  let inFlightCount = 0;
  let parkedCount = 0;

  const hooks: LaneHooks = {
    below,
    settled(queue, offset, outcome) {
      if (!below.active || isSettled(offset)) return below.settle(offset, outcome);
      queue.inFlightCount--;
      inFlightCount--;
      if (queue.inFlightCount === 0 && queue.parked.length === 0) queues.delete(queue.distinctId); // L4
      below.settle(offset, outcome);
      freed();
    },
  };

  function queueOf(distinctId: string): Queue {
    let queue = queues.get(distinctId);
    if (queue === undefined) queues.set(distinctId, (queue = new Queue(distinctId, hooks)));
    return queue;
  }

  function mayLeave(queue: Queue): boolean {
    // A group larger than the whole credit still goes, alone.
    return (
      (inFlightCount < creditCount || inFlightCount === 0) && (queue.inFlightCount < distinctIdCreditCount || queue.inFlightCount === 0)
    );
  }

  function leave(queue: Queue, group: EventGroup): EventGroup {
    queue.inFlightCount += group.events.length;
    inFlightCount += group.events.length;
    return group;
  }

  const lane: Lane = {
    team,
    get inFlightCount() {
      return inFlightCount;
    },
    get parkedCount() {
      return parkedCount;
    },
    settlementFor: queueOf,
    offer(groups) {
      const leaving: EventGroup[] = [];
      for (const group of groups) {
        const queue = queueOf(group.distinctId);
        if (queue.parked.length === 0 && mayLeave(queue)) {
          leaving.push(leave(queue, group));
        } else {
          queue.park(group);
          parkedCount += group.events.length;
          parking.add(group.distinctId);
        }
      }
      return leaving;
    },
    unpark(roomCount) {
      const leaving: EventGroup[] = [];
      let room = roomCount;
      for (const distinctId of parking) {
        if (inFlightCount >= creditCount || room <= 0) break;
        const queue = queueOf(distinctId);
        for (let group = queue.parked[0]; group !== undefined && room > 0 && mayLeave(queue); group = queue.parked[0]) {
          queue.parked.shift();
          parkedCount -= group.events.length;
          room -= group.events.length;
          leaving.push(leave(queue, group));
        }
        if (queue.parked.length === 0) parking.delete(distinctId);
      }
      return leaving;
    },
  };
  return lane;
}
