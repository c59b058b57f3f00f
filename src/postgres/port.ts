import type { Definitions } from '../domain/definitions.ts';
import type { Json } from '../domain/event.ts';
import type { PersonId, TeamId } from '../domain/ids.ts';
import type { Person } from '../domain/person.ts';
import type { Team } from '../domain/team.ts';

/** Names a person by one of its ids. */
export interface PersonKey {
  readonly teamId: TeamId;
  readonly distinctId: string;
}

/** A person with the version of the mapping through which it was found. */
export interface FoundPerson {
  readonly person: Person;
  /** COALESCE(posthog_persondistinctid.version, 0). */
  readonly mappingVersion: number;
}

/** A person that nobody has yet, with its first mappings. */
export interface NewPerson {
  readonly teamId: TeamId;
  readonly id: PersonId;
  readonly createdAtMs: number;
  readonly properties: Readonly<Json>;
  readonly propertiesLastUpdatedAt: Readonly<Json>;
  readonly propertiesLastOperation: Readonly<Json>;
  readonly isIdentified: boolean;
  /** One, or two when a merge event creates the person; with the version of each mapping row. */
  readonly distinctIds: readonly { readonly distinctId: string; readonly version: number }[];
}

/** Of one person of a batch. */
export type CreateResult =
  | { readonly type: 'created'; readonly person: Person }
  /** One of the distinct ids has a person already; nothing was written for this one. Load again and refold. */
  | { readonly type: 'exists' };

/** New state of a known person, valid only on top of `version`. */
export interface PersonWrite {
  readonly person: Person;
  /** The version that the new state was folded from. */
  readonly version: number;
}
/** Of one write of a batch; the version is the new one. */
export type UpdateResult =
  | { readonly type: 'updated'; readonly version: number }
  /** The row has another version or is gone (merged away). Load again and refold. */
  | { readonly type: 'conflict' };

/** Two persons as they were loaded, and what the survivor is to be. */
export interface MergeCommand {
  readonly teamId: TeamId;
  /** The person that stays. */
  readonly into: Person;
  /** The person that goes. */
  readonly from: Person;
  /** The survivor's state after the merge and the event's own $set_once/$set/$unset. */
  readonly properties: Readonly<Json>;
  readonly createdAtMs: number;
}
/** `moved`: the mappings that now lead to the survivor, with their new versions. */
export type MergeResult =
  | {
      readonly type: 'merged';
      readonly person: Person;
      readonly moved: readonly { readonly distinctId: string; readonly version: number }[];
    }
  /** One of the two changed or is gone: load again and decide anew. */
  | { readonly type: 'conflict' };

/** Of one mapping of a batch; the version is that of the mapping. */
export type AddDistinctIdResult =
  | { readonly type: 'added'; readonly version: number }
  | { readonly type: 'exists' }
  /** The person is gone. */
  | { readonly type: 'conflict' };

/**
 * Persons in PostHog's own tables (spec/ingestion.md 3, 5.1). Every write is safe to repeat after a lost answer: it is
 * guarded by a version or a unique key, and the repeat answers 'exists' or 'conflict'.
 * All throw PostgresError: kind 'unavailable' (retry the same call) or 'refused' (the data cannot be stored).
 */
export interface PersonStore {
  /** One statement for all keys. Answers in the order of the keys; undefined where there is no person. */
  load(keys: readonly PersonKey[]): Promise<readonly (FoundPerson | undefined)[]>;
  /**
   * Answers in order. Rows that clash are reported, the others are written. In all three batches below, of the items that
   * name the same thing (a distinct id, a person) only the first is tried; the others are told to look again.
   */
  create(persons: readonly NewPerson[]): Promise<readonly CreateResult[]>;
  /** One UNNEST statement, optimistic: answers in order. */
  update(writes: readonly PersonWrite[]): Promise<readonly UpdateResult[]>;
  /**
   * Adds a distinct id to each of several existing persons, in a constant number of statements; versions by rule M-1
   * (markMerged is part of it). Answers in order; 'conflict' where the person is gone.
   */
  addDistinctIds(adds: readonly { readonly person: Person; readonly distinctId: string }[]): Promise<readonly AddDistinctIdResult[]>;
  /** Rule M-3 in one transaction; locks both persons in ascending id order. */
  merge(command: MergeCommand): Promise<MergeResult>;
  /**
   * The distinct ids of each person whose mapping has a version above 0: all that a merge moved to it, perhaps without
   * ClickHouse having heard of it. One statement; answers in order, each sorted by the ids' bytes.
   */
  movedDistinctIds(persons: readonly Person[]): Promise<readonly (readonly { readonly distinctId: string; readonly version: number }[])[]>;
  /**
   * Rules Q-1 and M-1: notes ids used without a person. Answers per key whether the row says is_merged.
   */
  markPersonless(keys: readonly PersonKey[]): Promise<readonly { readonly isMerged: boolean }[]>;
  /**
   * Rule M-1: is_merged := true by upsert; answers per key whether the row was there before. Repeated after a lost answer
   * it says so of every key; the mapping then gets version 1, that is an override row more in ClickHouse, which is true.
   */
  markMerged(keys: readonly PersonKey[]): Promise<readonly { readonly existed: boolean }[]>;
}

/** `posthog_team`, read only. All throw PostgresError. */
export interface TeamStore {
  /** In the order of the tokens; undefined where no team has it. */
  byToken(tokens: readonly string[]): Promise<readonly (Team | undefined)[]>;
  byId(ids: readonly number[]): Promise<readonly (Team | undefined)[]>;
}

/** Names of events and properties, and a team's first event (spec/ingestion.md 2.9, 2.10). Both calls are safe to repeat. All throw PostgresError. */
export interface DefinitionStore {
  /** D-2, D-3: one statement for each of the three tables. Names of teams that are gone are passed over. */
  write(definitions: Definitions): Promise<void>;
  /** F-1: `ingested_event` of these teams becomes true. */
  markIngested(teamIds: readonly number[]): Promise<void>;
}

/** An enabled plugin of a team (posthog_pluginconfig + posthog_plugin + posthog_pluginsourcefile; V-1..V-3). */
export interface PluginConfigRow {
  readonly pluginConfigId: number;
  readonly teamId: TeamId;
  readonly pluginId: number;
  readonly pluginName: string;
  /** posthog_plugin.url where it has one: `inline://…` names a native implementation (V-5), `file:…` a local folder. */
  readonly url?: string;
  readonly order: number;
  /** posthog_plugin.log_level (LG-1); undefined: null there. */
  readonly logLevel?: number | undefined;
  readonly config: Readonly<Json>;
  /** File name to source text. */
  readonly files: Readonly<Record<string, string>>;
  /** Changes when the config or the plugin changed. */
  readonly fingerprint: string;
}
/** What is to run, read at start and every half minute. Throws PostgresError. */
export interface PluginConfigStore {
  activePluginConfigs(): Promise<readonly PluginConfigRow[]>;
}

/** Group types and groups. Both calls are safe to repeat after a lost answer. All throw PostgresError. */
export interface GroupStore {
  /** Rules G-2: index of a group type, registered when new; undefined beyond index 4. */
  groupTypeIndex(teamId: TeamId, groupType: string): Promise<number | undefined>;
  /** Rules GU-1..GU-4. `changed` false: nothing was written. */
  upsertGroup(group: {
    readonly teamId: TeamId;
    readonly groupTypeIndex: number;
    readonly groupKey: string;
    readonly set: Readonly<Json>;
    readonly createdAtMs: number;
  }): Promise<{ readonly changed: boolean; readonly version: number; readonly createdAtMs: number; readonly properties: Readonly<Json> }>;
}

/** Every failure of PostgreSQL, classified once (errors.ts). */
export class PostgresError extends Error {
  /** 'unavailable': ours, retry the same call. 'refused': the data itself cannot be stored. 'misconfigured': needs an operator. */
  readonly kind: 'unavailable' | 'refused' | 'misconfigured';
  constructor(kind: PostgresError['kind'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'PostgresError';
    this.kind = kind;
  }
}
