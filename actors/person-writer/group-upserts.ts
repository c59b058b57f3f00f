/** Groups ($groupidentify; rules GU-1..GU-4), each in a transaction of its own: they are few, and their rows are not persons'. */
import type { Settlement } from '../../src/domain/outcome.ts';
import type { GroupStore } from '../../src/postgres/port.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { untilAvailable, type Patience } from '../../src/runtime/patience.ts';
import type { RowWriterMessage } from '../row-writer/messages.ts';
import type { PersonWriterMessage } from './messages.ts';
import { isolatingRefusals } from './refusals.ts';
import { untilSure, type Standing } from './write-round.ts';

type GroupRequest = Extract<PersonWriterMessage, { readonly type: 'upsert-group' }>;

export interface GroupUpsertDeps {
  readonly groups: GroupStore;
  readonly rowWriter: ActorRef<RowWriterMessage>;
  readonly patience: Patience;
  readonly standingOf: (settlement: Settlement) => Standing;
}

/** Runs until every request has its answer, one after the other. @throws PostgresError 'misconfigured', or 'unavailable' when given up. */
export async function runGroupUpserts(deps: GroupUpsertDeps, requests: readonly GroupRequest[]): Promise<void> {
  for (const request of requests) await upsert(deps, request);
}

async function upsert({ groups, rowWriter, patience, standingOf }: GroupUpsertDeps, request: GroupRequest): Promise<void> {
  const { teamId, groupTypeIndex, groupKey, set, createdAtMs, settlement, ticket, replyTo } = request;
  await untilSure(patience, () => [{ standing: () => standingOf(settlement) }]);
  if (standingOf(settlement) !== 'ours') return void replyTo.tell({ type: 'person-abandoned', ticket });
  let tries = 0;
  const [result] = await isolatingRefusals([{ teamId, groupTypeIndex, groupKey, set, createdAtMs }], (part) =>
    Promise.all(part.map((group) => untilAvailable(patience, () => (tries++, groups.upsertGroup(group))))),
  );
  if (result === undefined) throw new Error('one group has one result');
  if ('type' in result) return void replyTo.tell({ type: 'person-refused', ticket, detail: result.detail });
  // GU-2: no change, no row; unless it may have been stored before, by somebody who died or by a call whose answer was lost (I2).
  if (result.changed || request.maybeReplayed || tries > 1) {
    const properties = JSON.stringify(result.properties);
    rowWriter.tell({
      type: 'store-side-rows',
      rows: [{ table: 'groups', teamId, groupTypeIndex, groupKey, createdAtMs: result.createdAtMs, properties, version: result.version }],
    });
  }
  replyTo.tell({ type: 'group-upserted', ticket });
}
