import { asJsonb } from './jsonb.ts';
import { propertiesText } from './properties-text.ts';
import type { SideRow } from './rows.ts';
import type { Person } from './person.ts';
import type { IngestionWarning } from './warnings.ts';

/** ClickHouse's row for a person's present state (spec/ingestion.md 4.2), which is what PostgreSQL holds (P-36). */
export function personRow(person: Person): SideRow {
  return {
    table: 'person',
    id: person.id,
    teamId: person.teamId,
    createdAtMs: person.createdAtMs,
    properties: asJsonb(propertiesText(person.properties)),
    isIdentified: person.isIdentified,
    isDeleted: false,
    version: person.version,
  };
}

/** The row that hides a merged-away person: stored version + 100 (spec/ingestion.md 4.2, sharp edge 15). */
export function deletedPersonRow(person: Person, version = person.version + 100): SideRow {
  return { ...(personRow(person) as Extract<SideRow, { table: 'person' }>), isDeleted: true, version };
}

/** Which person a distinct_id belongs to (4.3). */
export function distinctIdRow(person: Person, distinctId: string, version: number): SideRow {
  return { table: 'person_distinct_id2', teamId: person.teamId, distinctId, personId: person.id, isDeleted: false, version };
}

/** What a team is told about its own data (4.5). */
export function warningRow(
  teamId: number,
  { type, details }: Pick<IngestionWarning, 'details'> & { readonly type: string },
  atMs: number,
): SideRow {
  return { table: 'ingestion_warnings', teamId, type, details: JSON.stringify(details), timestampMs: atMs };
}
