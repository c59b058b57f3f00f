import type { Table } from './table.ts';
import { DEFINITION_TABLES } from './tables/definitions.ts';
import { GROUP_TABLES } from './tables/groups.ts';
import { ORGANIZATION_TABLES } from './tables/organizations.ts';
import { PERSON_TABLES } from './tables/persons.ts';
import { PLUGIN_TABLES } from './tables/plugins.ts';

/**
 * PostHog's tables that Troupe reads or writes (spec/ingestion.md 5.1), in the shape of October 2024 and in the order in
 * which they can be made: a table after those that it refers to. Nothing here is Troupe's own: the tables can belong to a PostHog.
 */
export const TABLES: readonly Table[] = [...ORGANIZATION_TABLES, ...PERSON_TABLES, ...GROUP_TABLES, ...DEFINITION_TABLES, ...PLUGIN_TABLES];
