import type { Clock } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Budget, Strategy } from '../../src/runtime/strategy.ts';
import type { Sandbox } from '../../src/sandbox/port.ts';
import type { PluginJournalMessage } from '../plugin-journal/messages.ts';
import type { RunnablePlugin } from './reports.ts';

export interface PluginDeps {
  readonly sandbox: Sandbox;
  readonly clock: Clock;
  readonly plugin: RunnablePlugin;
  readonly journal: ActorRef<PluginJournalMessage>;
  /** Names this life of the process in what authors read (V-22). */
  readonly instanceId: string;
  readonly options: {
    /** Time one batch has in the isolate, and an event run alone. */
    readonly deadlineMs: number;
    /** Events a batch may hold: more cost less each and wait longer for the slowest. */
    readonly batchCount: number;
    /** How long a first event waits for company. */
    readonly lingerMs: number;
    /** Stops by force that are forgiven within the period. @defaultValue 3 in 60,000 ms */
    readonly offences?: Budget;
    /** @defaultValue 60,000 */
    readonly quarantineMs?: number;
    /** @defaultValue 100,000: above the credit of the routers, so that it fills only when they are many */
    readonly mailboxCapacityCount?: number;
  };
  readonly strategy: Strategy;
}
