import type { PluginEvent } from '../../src/domain/event.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

export type PluginAnswer = {
  readonly type: 'plugin-answered';
  readonly ticket: number;
  readonly result:
    | { readonly type: 'event'; readonly event: PluginEvent }
    | { readonly type: 'dropped' }
    /** The plugin failed on this event: it goes on with the last good object, as PostHog does (PE-3). */
    | { readonly type: 'failed'; readonly message: string; readonly event: PluginEvent | undefined }
    /** The plugin is quarantined until a stated time; the event goes on without it (counted). */
    | { readonly type: 'quarantined' };
};

/** Says that the code is in the sandbox, or cannot be now. */
export type PluginLoadAnswer = { readonly type: 'plugin-load-ended'; readonly loaded: boolean };

export type PluginMessage =
  /** Load the code now, and not with the first event: its author hears at once whether it can run. */
  | { readonly type: 'load'; readonly replyTo: ActorRef<PluginLoadAnswer> }
  /** Run processEvent on one event; invocations of many distinct_ids are batched. Answers come in tell order. */
  | { readonly type: 'invoke'; readonly ticket: number; readonly event: PluginEvent; readonly replyTo: ActorRef<PluginAnswer> }
  | {
      readonly type: 'self:batch-ended';
      readonly batch: number;
      readonly error: unknown;
      readonly results: unknown;
      readonly callsMs: unknown;
    }
  | { readonly type: 'self:linger-over' }
  /** Answers that a full mailbox refused are told again. */
  | { readonly type: 'self:answers-due' };
