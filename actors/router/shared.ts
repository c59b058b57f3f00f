/** What a router needs of others, and what all rooms of this folder share. */
import type { DropList } from '../../src/domain/token.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';
import type { Ledger } from '../../src/kafka/ledger.ts';
import type { PersonKey } from '../../src/postgres/port.ts';
import type { ActorContext } from '../../src/runtime/actor.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { ForwarderMessage } from '../forwarder/messages.ts';
import type { RedisBufferMessage } from '../redis-buffer/messages.ts';
import type { TeamMessage } from '../team/messages.ts';
import type { RouterMessage } from './messages.ts';
import type { OverflowPolicy } from './overflow.ts';
import type { RouterOptions } from './state.ts';
import type { TeamCache } from './team-cache.ts';
import type { Tracing } from './tracing.ts';

export interface RouterDeps {
  readonly ledger: Ledger;
  readonly teams: TeamCache;
  /** Hands a message to the team's actor, starting it where needed. */
  readonly tellTeam: (team: Team, message: TeamMessage) => TellResult;
  /** Has the persons of these keys at hand by the time their events are folded; resolves also when it cannot. */
  readonly prefetch: (keys: readonly PersonKey[]) => Promise<void>;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly dropList: DropList;
  readonly forwarder: ActorRef<ForwarderMessage>;
  /** Takes the warnings of an overflow topic (B-7). */
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  readonly overflow: OverflowPolicy;
  /** Offsets below it may have been worked on by a previous owner. */
  readonly replayedBelow: number;
  readonly options: RouterOptions;
  readonly strategy: Strategy;
}

export type Ctx = ActorContext<RouterMessage>;

/** One router, as the functions of this folder take it first. */
export interface Shared {
  readonly deps: RouterDeps;
  /** The partition's own settlement: topic, partition, generation. */
  readonly partition: Settlement;
  readonly overflowMode: string;
  readonly tracing: Tracing;
}
