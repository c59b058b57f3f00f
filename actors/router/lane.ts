import type { EventGroup } from '../../src/domain/event.ts';
import type { Offset } from '../../src/domain/ids.ts';
import type { Outcome, Settlement } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';

/**
 * The part of one team in one partition: its Settlement, and its share of the router's credit.
 *
 * Invariants
 * L1 `inFlightCount` is the number of events dispatched through this lane and not yet settled.
 * L2 While anything is parked, new groups park behind it: the order of a distinct_id is never turned.
 * L3 A lane that is over its credit parks; the others go on (a plugin that hangs, a hot key: delivery.md section 4).
 */
export interface Lane extends Settlement {
  readonly team: Team;
  inFlightCount: number;
  readonly parked: EventGroup[];
}

export function createLane(team: Team, below: Settlement, freed: (lane: Lane) => void): Lane {
  const lane: Lane = {
    team,
    topic: below.topic,
    partition: below.partition,
    generation: below.generation,
    get active() {
      return below.active;
    },
    settle(offset: Offset, outcome: Outcome) {
      lane.inFlightCount--;
      below.settle(offset, outcome);
      freed(lane);
    },
    inFlightCount: 0,
    parked: [],
  };
  return lane;
}
