/** What the tree asks of its intakes, and what it gives them: `routers.ts` is one of them, `intakes.ts` all of them as one. */
import type { Prefetch } from '../actors/person-writer/index.ts';
import type { TeamCache } from '../actors/router/index.ts';
import type { LedgerSnapshot } from '../src/kafka/ledger.ts';
import type { AnyRef } from '../src/runtime/ref.ts';
import type { ActorSystem, ParentRef } from '../src/runtime/system.ts';
import type { IntakeSpec, TroupeDeps } from './deps.ts';
import type { Teams } from './teams.ts';
import type { Writers } from './writers.ts';

/** What one intake and all of them have in common. */
export interface Intaking {
  /** @throws what a consumer throws that cannot subscribe. Others are then ended by `abandon`. */
  start(): Promise<void>;
  /** Stops fetching, lets in-flight events settle for at most `limitMs`, commits, leaves the group. @throws when that failed */
  stop(limitMs: number): Promise<void>;
  /** As a crash: nothing is drained or committed; the consumer leaves so that the records come again. Never rejects. */
  abandon(): Promise<void>;
  /** As kill -9: not even the group is left. */
  kill(): void;
  /** False when this process may have lost the partition without knowing it yet. */
  owns(topic: string, partition: number, generation: number): boolean;
  ledgers(): readonly (LedgerSnapshot & { readonly highWatermark: number | undefined })[];
  /** Joined, taken over and consuming. */
  ready(): boolean;
  inFlightCount(): number;
}

export interface Intake extends Intaking {
  readonly name: string;
  /** HT-4: the brokers have answered lately. */
  healthy(): boolean;
}

/** What routers hand their groups to. */
export interface Below {
  readonly teams: Teams;
  readonly prefetch: Prefetch;
}

export interface IntakeParts {
  readonly system: ActorSystem;
  readonly parent: ParentRef;
  readonly deps: TroupeDeps;
  readonly spec: IntakeSpec;
  readonly teamCache: TeamCache;
  readonly below: Below;
  readonly writers: () => Writers;
  readonly onEscalate: (ref: AnyRef, error: unknown) => void;
}
