import type { Json } from '../../src/domain/event.ts';
import type { TeamId } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Limited, PersonUpdate } from '../../src/domain/person-fold.ts';
import type { Person } from '../../src/domain/person.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

/** How a person comes to be when nobody has the distinct id yet (rule P-20). */
export interface PersonBirth {
  readonly createdAtMs: number;
  readonly eventUuid: string;
}

/** What a distinct_id actor folded for one distinct_id, and what it folded it on. */
export interface PersonWriteCommand {
  readonly teamId: TeamId;
  readonly distinctId: string;
  /** The person as loaded; undefined when there was none: then `birth` says how to make it. */
  readonly base: Person | undefined;
  /** `base` with `updates` folded in order; undefined when there was no base. */
  readonly result: Person | undefined;
  readonly updates: readonly PersonUpdate[];
  readonly birth: PersonBirth;
}

export interface MergeEventCommand {
  readonly teamId: TeamId;
  /** event.distinct_id: the person that stays. */
  readonly into: string;
  /** alias or $anon_distinct_id. */
  readonly other: string;
  readonly eventName: string;
  readonly update: PersonUpdate;
  readonly birth: PersonBirth;
  /** A previous owner may have committed this merge and died before ClickHouse knew: tell ClickHouse again. */
  readonly maybeReplayed: boolean;
}

export type PersonWriterMessage =
  | {
      readonly type: 'load';
      readonly ticket: number;
      readonly teamId: TeamId;
      readonly distinctIds: readonly string[];
      /** Rule Q-1: note the ids without a person as used personless. */
      readonly markPersonless: boolean;
      readonly replyTo: ActorRef<PersonWriterAnswer>;
    }
  | {
      readonly type: 'write';
      readonly ticket: number;
      readonly command: PersonWriteCommand;
      readonly settlement: Settlement;
      readonly replyTo: ActorRef<PersonWriterAnswer>;
    }
  | {
      readonly type: 'merge';
      readonly ticket: number;
      readonly command: MergeEventCommand;
      readonly settlement: Settlement;
      readonly replyTo: ActorRef<PersonWriterAnswer>;
    }
  | {
      readonly type: 'group-types';
      readonly ticket: number;
      readonly teamId: TeamId;
      readonly groupTypes: readonly string[];
      readonly replyTo: ActorRef<PersonWriterAnswer>;
    }
  | {
      readonly type: 'upsert-group';
      readonly ticket: number;
      readonly teamId: TeamId;
      readonly groupTypeIndex: number;
      readonly groupKey: string;
      readonly set: Readonly<Json>;
      readonly createdAtMs: number;
      /** A previous owner may have stored the group and died before ClickHouse knew: tell ClickHouse again. */
      readonly maybeReplayed: boolean;
      readonly settlement: Settlement;
      readonly replyTo: ActorRef<PersonWriterAnswer>;
    }
  | { readonly type: 'drain'; readonly replyTo: ActorRef<{ readonly type: 'drained' }> }
  | PersonWriterSelf;

/** Private: kicks and ends of its own rounds. */
export type PersonWriterSelf =
  | { readonly type: 'self:load-kicked' }
  | { readonly type: 'self:load-ended'; readonly error: unknown }
  | { readonly type: 'self:flush-due' }
  | { readonly type: 'self:round-ended'; readonly error: unknown };

export interface LoadedPerson {
  readonly person: Person;
  readonly mappingVersion: number;
}

/** Exactly one answer for each command, carrying its ticket. */
export type PersonWriterAnswer =
  | { readonly type: 'persons-loaded'; readonly ticket: number; readonly found: readonly (LoadedPerson | undefined)[] }
  /**
   * Durable in PostgreSQL, and its side rows told to the row writer. `foldedOn`: the person that the updates were folded on,
   * when somebody had been faster and it is not the command's base any more.
   */
  | {
      readonly type: 'person-written';
      readonly ticket: number;
      readonly person: Person;
      readonly foldedOn: Person | undefined;
    }
  | {
      readonly type: 'person-merged';
      readonly ticket: number;
      readonly person: Person;
      readonly warning: MergeWarning | undefined;
      /** Z-3: the update, or the two persons together, were too much. */
      readonly limited: Limited;
    }
  | { readonly type: 'group-types-resolved'; readonly ticket: number; readonly indexes: ReadonlyMap<string, number | undefined> }
  | { readonly type: 'group-upserted'; readonly ticket: number }
  /** PostgreSQL refuses this command for what it holds: the events behind it are poison. */
  | { readonly type: 'person-refused'; readonly ticket: number; readonly detail: string }
  /** The partition is no longer ours: nothing was written, nothing may be settled. */
  | { readonly type: 'person-abandoned'; readonly ticket: number };

/** What distinct_id actors see of the prefetch (prefetch.ts). */
export interface PrefetchedPersons {
  /**
   * Who has the distinct_id: a person, null for nobody, undefined for unknown. Each prefetch of a key answers one `take`: what was
   * loaded for one group is let go with it.
   */
  take(teamId: number, distinctId: string): LoadedPerson | null | undefined;
}

export interface MergeWarning {
  readonly type: 'cannot_merge_with_illegal_distinct_id' | 'cannot_merge_already_identified';
  readonly details: Readonly<Record<string, unknown>>;
}
