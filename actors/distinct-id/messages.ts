import type { EventGroup, PluginEvent } from '../../src/domain/event.ts';
import type { Team } from '../../src/domain/team.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Copied } from '../forwarder/messages.ts';
import type { PersonWriterAnswer } from '../person-writer/messages.ts';
import type { PluginAnswer, PluginMessage } from '../plugin/messages.ts';

/** An enabled plugin of the team, in processing order (V-2). */
export interface PluginHandle {
  readonly pluginConfigId: number;
  readonly name: string;
  readonly ref: ActorRef<PluginMessage>;
}

export interface GroupMessage {
  readonly type: 'group';
  readonly team: Team;
  readonly plugins: readonly PluginHandle[];
  readonly group: EventGroup;
}

export type DistinctIdMessage = GroupMessage | PersonWriterAnswer | PluginAnswer | Copied;

export type { PluginEvent };
