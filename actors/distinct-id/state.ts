import type { PendingEvent, PluginEvent } from '../../src/domain/event.ts';
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import type { Limited, PersonUpdate } from '../../src/domain/person-fold.ts';
import type { Person } from '../../src/domain/person.ts';
import type { GroupMessage } from './messages.ts';
import type { SmallMap } from './small-map.ts';

/** One event of the group in work. */
export interface Item {
  readonly pending: PendingEvent;
  event: PluginEvent;
  readonly mode: 'full' | 'personless';
  timestampMs: number;
  /** The person as this event left it; undefined until folded. */
  person: Person | undefined;
  forceUpgrade: boolean;
  /** Z-3: its update was too much for its person. */
  limited: Limited;
  /** Settled, dead-lettered or told as a row: nothing is left to do. */
  ended: boolean;
  /** Names for $plugins_succeeded and $plugins_failed (PE-5). */
  succeeded: string[] | undefined;
  failed: string[] | undefined;
}

/** What this actor knows of one person while a group is in work: what is stored, and what it has folded on top. */
export interface LocalPerson {
  readonly distinctId: string;
  /** As loaded or last written; undefined while nobody has the id. */
  base: Person | undefined;
  mappingVersion: number;
  /** `base` with `updates`. */
  current: Person | undefined;
  updates: PersonUpdate[];
  /** The updates are worth a write (P-34, P-35), or the person is new. */
  dirty: boolean;
  /** The event that brings the person into being (P-20). */
  birth: Item | undefined;
  /** Its rows were told to ClickHouse again because a previous owner may have died before it did. */
  announced: boolean;
}

/** The rows of a group, made and not yet told. */
export interface MadeRows {
  readonly rows: readonly EventRow[];
  /** The item of each row. */
  readonly stored: readonly Item[];
  readonly sideRows: readonly SideRow[];
}

/** What the work waits for. One thing at a time: that keeps the order. */
export type Stage = 'plugins' | 'group-types' | 'loading' | 'writing' | 'merging' | 'upserting' | 'copying';

export interface Work {
  readonly message: GroupMessage;
  /** Events of the group that have become an item, or have ended while they were prepared. */
  preparedCount: number;
  readonly items: Item[];
  stage: Stage;
  /** The answers that the stage still waits for, by ticket. */
  readonly tickets: SmallMap<number, Item | LocalPerson | readonly string[] | undefined>;
  pluginIndex: number;
  /** Items before it are folded. */
  position: number;
  /** Items from here on are folded but not yet known to be durable. */
  segmentStart: number;
  /** PostgreSQL refused a write of several events: now each is written by itself, so that only the culprit is lost. */
  oneByOne: boolean;
  readonly people: SmallMap<string, LocalPerson>;
  /** Index of each group type of the team that the items name; filled in one go. */
  groupTypes: ReadonlyMap<string, number | undefined> | undefined;
  /** What the group comes to, once everything before is durable. */
  made: MadeRows | undefined;
  readonly startedMs: number;
  stageStartedMs: number;
}

/** An idle actor shares one state with all others, so that a million of them cost nothing here. */
export interface DistinctIdState {
  readonly work: Work | undefined;
  readonly waiting: readonly GroupMessage[];
}
export const IDLE: DistinctIdState = Object.freeze({ work: undefined, waiting: Object.freeze([]) });

export const isIdle = (state: DistinctIdState): boolean => state.work === undefined && state.waiting.length === 0;
