import type { PluginEvent } from '../../src/domain/event.ts';
import type { InvocationResult } from '../../src/sandbox/port.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { PluginAnswer, PluginLoadAnswer } from './messages.ts';

/** One event that somebody waits for. It is in exactly one of: queue, suspects, flight, outbox; it leaves by its answer. */
export interface Invocation {
  readonly ticket: number;
  readonly event: PluginEvent;
  readonly replyTo: ActorRef<PluginAnswer>;
  /** How often its batch was ended by something that was not its own plugin's doing. */
  mishaps: number;
}

/** How a batch came back. */
export interface BatchEnd {
  readonly batch: number;
  readonly error: unknown;
  readonly results: readonly InvocationResult[];
  /** What the calls took inside the isolate. */
  readonly callsMs: { readonly succeeded: number; readonly failed: number };
}

export interface Flight {
  readonly batch: number;
  readonly invocations: readonly Invocation[];
  /** True for a suspect run by itself to find who spoiled its batch. */
  readonly alone: boolean;
  readonly startedMs: number;
  /** Never rejects. */
  readonly ended: Promise<BatchEnd>;
}

export interface PluginState {
  readonly isolateId: number;
  loaded: boolean;
  /** Who asked for the load that is under way. */
  readonly loads: ActorRef<PluginLoadAnswer>[];
  /** Older than everything in the queue: the members of a spoiled batch, each to be run alone. */
  readonly suspects: Invocation[];
  readonly queue: Invocation[];
  flight: Flight | undefined;
  lingering: boolean;
  /** `stopping` has begun: it waits for flights and mailboxes itself. */
  ending: boolean;
  /** Answers that could not be told yet, in order. */
  outbox: { readonly replyTo: ActorRef<PluginAnswer>; readonly answer: PluginAnswer }[];
  /** Events a batch may hold now: halved when a batch was too slow although no event in it was, grown by one a good batch. */
  batchLimit: number;
  /** Some suspect of the last spoiled batch was found guilty. */
  culpritFound: boolean;
  /** Monotonic times at which this plugin is known to have had to be stopped by force. */
  offencesMs: number[];
  /** Monotonic; 0 when it is not in quarantine. */
  quarantinedUntilMs: number;
  quarantineReason: string;
  invokedCount: number;
  failedCount: number;
}

export const freshState = (isolateId: number, batchLimit: number): PluginState => ({
  isolateId,
  loaded: false,
  loads: [],
  suspects: [],
  queue: [],
  flight: undefined,
  lingering: false,
  ending: false,
  outbox: [],
  batchLimit,
  culpritFound: false,
  offencesMs: [],
  quarantinedUntilMs: 0,
  quarantineReason: '',
  invokedCount: 0,
  failedCount: 0,
});
