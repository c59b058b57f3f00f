/**
 * What the analysis is about: the history of a seed, as the database, ClickHouse and the topic tell it, and the words for what is found in it.
 *
 *     queue: the events of one distinct_id, in offset order      run: consecutive events of one queue
 *     component: persons that one commit has changed together    explanation: the runs that, one after the other, made that change
 */
import { otherOf, type Sent, type Shown } from './oracle.ts';
import type { Commit } from './recording.ts';
import { counterOf } from './workload.ts';

/** What an event's row in ClickHouse says. */
export interface VisibleRow {
  readonly personId: string;
  readonly createdAtMs: number;
  /** Canonical. */
  readonly properties: string;
  readonly mode: Shown['mode'];
}
export interface History {
  readonly commits: readonly Commit[];
  /** In offset order, at least per distinct_id. `sentMs` on the clock of the commits. */
  readonly events: readonly { readonly sent: Sent; readonly sentMs: number }[];
  /** By uuid. */
  readonly rows: ReadonlyMap<string, VisibleRow>;
  /** Uuids of events whose merge the team was warned of. */
  readonly warned: ReadonlySet<string>;
  /** Moments after which something may have been done twice; those before a commit by at most `slackMs` count as well. */
  readonly incidentsMs: readonly number[];
  readonly slackMs: number;
  readonly mostViolations: number;
}
export type Finding = 'unexplained' | 'version' | 'lost-effect' | 'row';
export interface Analysis {
  readonly violations: readonly { readonly invariant: Finding; readonly detail: string }[];
  /** What each event's team was told, by uuid, at any of the times that it took effect. */
  readonly warnings: ReadonlyMap<string, readonly NonNullable<Shown['warning']>[]>;
  readonly counts: { applied: number; reads: number; repeats: number; merges: number; rivals: number; extraOverrides: number };
}

export interface Entry {
  readonly sent: Sent;
  readonly sentMs: number;
  readonly other: string | undefined;
  /** What its counter is set to. */
  readonly count: number | undefined;
  /** Commit at which it took effect first. */
  tookEffect: number | undefined;
  isShown: boolean;
  /** A merge event that has given one id to the other's person, and whose own update is still to come. */
  isLinked: boolean;
}
export interface Queue {
  readonly key: string;
  readonly entries: readonly Entry[];
  /** Entries before it have taken effect, the last of them at commit `since`. */
  next: number;
  since: number;
}
export interface Run {
  readonly queue: Queue;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly linkOnly: boolean;
  readonly reads: readonly { readonly entry: Entry; readonly at: number; readonly shown: Shown }[];
}
/** A run as the oracle played it, with what each of its events was shown. */
export interface Played extends Run {
  readonly shown: readonly Shown[];
}
export interface Explained {
  readonly keys: readonly string[];
  readonly runs: Played[];
}
export interface Component {
  readonly rowIds: ReadonlySet<string>;
  readonly keys: readonly string[];
}

/** Events of one distinct_id in one commit, at most. */
export const LONGEST_RUN = 16;

export const nameOf = ({ sent }: Entry): string =>
  `${sent.event} ${sent.uuid.slice(-4)} of ${sent.team}:${sent.distinctId} ${JSON.stringify(sent.properties)}`;

export function queuesOf({ events }: History): Map<string, Queue> {
  const queues = new Map<string, Queue & { entries: Entry[] }>();
  for (const { sent, sentMs } of events) {
    const key = `${sent.team}:${sent.distinctId}`;
    let queue = queues.get(key);
    if (queue === undefined) queues.set(key, (queue = { key, entries: [], next: 0, since: 0 }));
    const isFull = sent.properties['$process_person_profile'] !== false;
    const set = isFull ? sent.properties['$set'] : undefined;
    const count = (set as Record<string, number> | undefined)?.[counterOf(sent.distinctId)];
    queue.entries.push({
      sent,
      sentMs,
      other: isFull ? otherOf(sent) : undefined,
      count,
      tookEffect: undefined,
      isShown: false,
      isLinked: false,
    });
  }
  return queues;
}
