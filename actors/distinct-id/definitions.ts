/** The names of stored events (rules D-1 to D-8) and a team's first one (F-1), told to whoever keeps them. */
import { definitionCount, noDefinitions } from '../../src/domain/definitions.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Shared } from './asking.ts';
import type { Item, Work } from './state.ts';

/**
 * Asked after the rows were told: whatever goes wrong with a name, no event is the worse for it (D-8). Nearly always every name is
 * known, and then nothing is built or told.
 */
export function noteNames(shared: Shared, work: Work, stored: readonly Item[], rows: readonly EventRow[]): void {
  const { definitions: sink } = shared.deps;
  if (sink === undefined || rows.length === 0) return;
  const { team } = work.message;
  if (!team.ingestedEvent) sink.writer.tell({ type: 'first-event-seen', teamId: team.id });
  try {
    const groupTypeIndex = (groupType: string): number | undefined => work.groupTypes?.get(groupType);
    for (const [index, row] of rows.entries()) {
      const properties = stored[index]?.event.properties ?? {};
      sink.known.collect({ teamId: team.id, event: row.event, properties, groupTypeIndex }, work.startedMs, shared.names);
    }
  } catch (error) {
    stateFact('definitions-lost', { count: 1, reason: 'bug', detail: error instanceof Error ? error.message : 'unknown' });
  }
  if (definitionCount(shared.names) === 0) return;
  sink.writer.tell({ type: 'definitions-seen', definitions: shared.names });
  shared.names = noDefinitions();
}
