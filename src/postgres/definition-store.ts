import { int4Array, float8Array, textArray } from './arrays.ts';
import type { PostgresClient } from './client.ts';
import type { DefinitionStore } from './port.ts';
import { areDefinitionsOfProjects, definitionStatements, markTeamsIngested, type DefinitionStatements } from './statements/definitions.ts';

/** Names of events and properties in PostHog's three tables, of October 2024 (by team) or of 2025 (by project). */
export function createDefinitionStore(client: PostgresClient): DefinitionStore {
  let known: DefinitionStatements | undefined;

  async function statements(): Promise<DefinitionStatements> {
    if (known !== undefined) return known;
    const [row] = await client.run<{ answer: boolean }>(areDefinitionsOfProjects, []);
    return (known = definitionStatements(row?.answer === true ? 'project' : 'team'));
  }

  return {
    async write({ events, properties, eventProperties }) {
      const { writeEvents, writeProperties, writeEventProperties } = await statements();
      if (events.length > 0) {
        await client.run(writeEvents, [
          int4Array(events.map(({ teamId }) => teamId)),
          textArray(events.map(({ name }) => name)),
          float8Array(events.map(({ hourMs }) => hourMs)),
        ]);
      }
      if (properties.length > 0) {
        await client.run(writeProperties, [
          int4Array(properties.map(({ teamId }) => teamId)),
          textArray(properties.map(({ name }) => name)),
          int4Array(properties.map(({ parent }) => parent)),
          int4Array(properties.map(({ groupTypeIndex }) => groupTypeIndex ?? -1)),
          textArray(properties.map(({ propertyType }) => propertyType ?? '')),
        ]);
      }
      if (eventProperties.length > 0) {
        await client.run(writeEventProperties, [
          int4Array(eventProperties.map(({ teamId }) => teamId)),
          textArray(eventProperties.map(({ event }) => event)),
          textArray(eventProperties.map(({ property }) => property)),
        ]);
      }
    },
    async markIngested(teamIds) {
      if (teamIds.length > 0) await client.run(markTeamsIngested, [int4Array(teamIds)]);
    },
  };
}
