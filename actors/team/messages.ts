import type { EventGroup } from '../../src/domain/event.ts';
import type { Team } from '../../src/domain/team.ts';

export type TeamMessage =
  /** Groups of this team in one batch of one partition; offset order inside each group. */
  | { readonly type: 'groups'; readonly team: Team; readonly groups: readonly EventGroup[] }
  /** Groups that a full mailbox refused are offered again. */
  | { readonly type: 'self:offer-again' };
