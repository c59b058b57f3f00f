/**
 * Somebody else's hand in the same tables, as PostHog's own application: edits persons (and tells ClickHouse so), puts them into
 * cohorts, keeps their feature flags. Every edit costs whoever has just loaded the person a version conflict.
 */
import type { Clock } from '../../src/runtime/clock.ts';
import type { Systems } from '../fault/simulation/systems.ts';
import type { SeededRandom } from '../kit/clock.ts';

const EDITS_COUNT = 60;

export function startRival({ persons: database, clickhouse }: Systems, random: SeededRandom, clock: Clock, edited: () => void): void {
  let edits = 0;
  act();

  function act(): void {
    const rows = [...database.persons];
    if (rows.length > 0) {
      edits++;
      const [rowId, row] = random.pick(rows);
      const kind = random.below(4);
      if (kind === 0) database.cohortPeople.push({ cohortId: 1 + random.below(3), rowId });
      else if (kind === 1) {
        const flags = database.flagOverrides.get(rowId) ?? new Map<string, string>();
        database.flagOverrides.set(rowId, flags.set(`flag-${random.below(2)}`, `hash-${edits}`));
      } else {
        row.properties = JSON.stringify({ ...(JSON.parse(row.properties) as object), edited: edits });
        row.version++;
        const { uuid: id, properties, createdAtMs: created_at, teamId: team_id, version } = row;
        const told = { id, properties, created_at, team_id, is_identified: Number(row.isIdentified), is_deleted: 0, version };
        clickhouse.tables.set('person', [...(clickhouse.tables.get('person') ?? []), told]);
      }
      edited();
    }
    if (edits < EDITS_COUNT) clock.after(20 + random.below(400), act);
  }
}
