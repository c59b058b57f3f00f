import type { Limited } from '../../src/domain/person-fold.ts';
import type { Person } from '../../src/domain/person.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import type { FoundPerson } from '../../src/postgres/port.ts';
import type { MergeEventCommand, MergeWarning } from './messages.ts';
import type { Standing } from './write-round.ts';

/** A merge event that waits for its answer. */
export interface MergeRequest {
  readonly command: MergeEventCommand;
  /** Asked at the begin of each sub-round. */
  readonly standing: () => Standing;
  readonly answer: (
    answer:
      | {
          readonly type: 'merged';
          readonly person: Person;
          readonly warning: MergeWarning | undefined;
          readonly limited: Limited;
        }
      | { readonly type: 'refused'; readonly detail: string }
      | { readonly type: 'abandoned' },
  ) => void;
}

/** A request with what is stored for its two ids. */
export interface MergeCase {
  readonly request: MergeRequest;
  readonly into: FoundPerson | undefined;
  readonly other: FoundPerson | undefined;
}

/** What is left to do once the mapping is right: the event's own update on the surviving person. */
export interface PendingUpdate {
  readonly request: MergeRequest;
  readonly person: Person;
  /** For ClickHouse, with whatever the update says. */
  readonly rows: readonly SideRow[];
  readonly warning: MergeWarning | undefined;
  /** Refused merges still mark the target as identified (3.5); illegal ids do not. */
  readonly identify: boolean;
}
