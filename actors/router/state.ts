import type { EventGroup } from '../../src/domain/event.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';
import type { RecordBatch } from '../../src/kafka/port.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Lane } from './lane.ts';
import type { BatchAccepted } from './messages.ts';

export interface RouterOptions {
  /** Events dispatched and not yet settled. Raising it costs memory (about 1 kB an event and its bytes), lowering it throughput. */
  readonly creditCount: number;
  readonly creditBytes: number;
  /** Share of one team, so that one that hangs lets the others pass. */
  readonly teamCreditCount: number;
  /** Share of one distinct_id in its team's, so that a hot key lets the others of its team pass. */
  readonly distinctIdCreditCount: number;
  /** How far the watermark may lag behind what is dispatched, and how many events may be parked. */
  readonly gapCount: number;
  /** Records handled in one turn. */
  readonly sliceCount: number;
  /** A `team_id` in the envelope is believed without a token (T-2, the behaviour of 2024); else only the token counts. */
  readonly trustTeamId: boolean;
  /** Share of events traced when the producer did not decide. */
  readonly traceSampleRatio: number;
}

/** The batch in work and how far it has got. */
export interface Waiting {
  readonly batch: RecordBatch;
  readonly replyTo: ActorRef<BatchAccepted>;
  /** Monotonic. */
  readonly sinceMs: number;
  position: number;
}

export interface RouterState {
  readonly lanes: Map<number, Lane>;
  waiting: Waiting | undefined;
  inFlightCount: number;
  parkedCount: number;
  /** Bytes in flight, by the offset at which they are all settled. */
  readonly spent: { readonly upTo: number; readonly bytes: number }[];
  spentBytes: number;
  /** Messages that a full team mailbox refused. */
  refused: { readonly team: Team; readonly groups: EventGroup[] }[];
  wakePending: boolean;
  /** Told as the reason of the wait; undefined while records flow. */
  waitsFor: WaitReason | undefined;
  /** What the router's own dead letters are settled through: they hold credit as well, and free it. */
  own: Settlement | undefined;
  skippedCount: number;
}

export type WaitReason = 'credit' | 'gap' | 'full';

export function freshState(): RouterState {
  return {
    lanes: new Map(),
    waiting: undefined,
    inFlightCount: 0,
    parkedCount: 0,
    spent: [],
    spentBytes: 0,
    refused: [],
    wakePending: false,
    waitsFor: undefined,
    own: undefined,
    skippedCount: 0,
  };
}
