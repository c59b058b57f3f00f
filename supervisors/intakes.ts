import { createTeamCache } from '../actors/router/index.ts';
import type { IntakeParts, Intaking } from './intake.ts';
import { createIntake } from './routers.ts';

/**
 * All intakes of a tree, as one: each input topic has a consumer group of its own (docs/adr/0014), so that a rebalance, a backlog or a
 * pause of one topic holds up no other; what they have in common is the team cache, the tree they feed, and its fall.
 */
export interface Intakes extends Intaking {
  /** One by one, by PostHog's id of the service (HT-1). */
  services(): readonly { readonly name: string; readonly ready: boolean; readonly healthy: boolean }[];
  /** F-1: PostgreSQL has it that these teams have had an event. */
  noteIngested(teamIds: readonly number[]): void;
}

export function createIntakes(parts: Omit<IntakeParts, 'parent' | 'spec' | 'teamCache'>): Intakes {
  const { system, deps } = parts;
  const parent = system.parent('routers');
  const teamCache = createTeamCache(deps.teams, deps.clock, deps.settings.teamCache);
  const all = deps.intakes.map((spec) => createIntake({ ...parts, parent, spec, teamCache }));
  const each = async (what: (intake: (typeof all)[number]) => Promise<void>): Promise<void> => void (await Promise.all(all.map(what)));

  return {
    start: () => each((intake) => intake.start()),
    async stop(limitMs) {
      // One that fails must not leave the others half-way.
      const ends = await Promise.allSettled(all.map((intake) => intake.stop(limitMs)));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
    abandon: () => each((intake) => intake.abandon()),
    kill() {
      for (const intake of all) intake.kill();
    },
    // Topics are disjoint, so at most one of them has the partition.
    owns: (topic, partition, generation) => all.some((intake) => intake.owns(topic, partition, generation)),
    ledgers: () => all.flatMap((intake) => intake.ledgers()),
    ready: () => all.every((intake) => intake.ready()),
    services: () => all.map((intake) => ({ name: intake.name, ready: intake.ready(), healthy: intake.healthy() })),
    noteIngested: (teamIds) => teamCache.noteIngested(teamIds),
    inFlightCount: () => all.reduce((sum, intake) => sum + intake.inFlightCount(), 0),
  };
}
