/** The rival (rival.ts) on a real PostgreSQL, on a connection of its own, at any moment. */
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { SeededRandom } from '../kit/clock.ts';
import type { BinaryRow } from '../kit/row-binary-reader.ts';
import type { Systems } from '../fault/simulation/systems.ts';

/** Somebody, held against a merge that would take them away meanwhile. $1: a number in [0, 1). */
const SOMEBODY = `
  SELECT id, team_id FROM posthog_person WHERE id = (
    SELECT id FROM posthog_person ORDER BY id OFFSET floor($1::float8 * (SELECT count(*) FROM posthog_person))::int LIMIT 1
  )`;
const edit: Statement = {
  name: 'rival-edit',
  text: `
    UPDATE posthog_person p SET properties = p.properties || jsonb_build_object('edited', $2::int4), version = COALESCE(p.version, 0) + 1
    FROM (${SOMEBODY}) AS s WHERE p.id = s.id
    RETURNING p.uuid::text AS id, p.properties::text, floor(extract(epoch FROM p.created_at) * 1000)::float8 AS created_at, p.team_id,
              p.is_identified::int AS is_identified, 0 AS is_deleted, p.version::float8 AS version`,
};
const join: Statement = {
  name: 'rival-join',
  text: `INSERT INTO posthog_cohortpeople (cohort_id, person_id) SELECT $2::int4, s.id FROM (${SOMEBODY} FOR KEY SHARE) AS s`,
};
const flag: Statement = {
  name: 'rival-flag',
  text: `
    INSERT INTO posthog_featureflaghashkeyoverride (team_id, person_id, feature_flag_key, hash_key)
    SELECT s.team_id, s.id, 'flag-' || $2::int4 % 2, 'hash-' || $2::int4 FROM (${SOMEBODY} FOR KEY SHARE) AS s
    ON CONFLICT (team_id, person_id, feature_flag_key) DO UPDATE SET hash_key = EXCLUDED.hash_key`,
};

/** Acts until it is stopped; `stop` resolves when its last act has ended, and rejects when one of them failed. */
export function startPostgresRival(
  client: PostgresClient,
  { clickhouse }: Pick<Systems, 'clickhouse'>,
  random: SeededRandom,
  clock: Clock,
): { stop(): Promise<void> } {
  let isStopped = false;
  const ended = act();
  return {
    stop() {
      isStopped = true;
      return ended;
    },
  };

  async function act(): Promise<void> {
    for (let edits = 1; !isStopped; edits++) {
      const kind = random.below(4);
      const who = random.next();
      if (kind === 0) await client.run(join, [who, 1 + random.below(3)]);
      else if (kind === 1) await client.run(flag, [who, edits]);
      else {
        const told = await client.run<BinaryRow>(edit, [who, edits]);
        clickhouse.tables.set('person', [...(clickhouse.tables.get('person') ?? []), ...told]);
      }
      await new Promise<void>((resolve) => void clock.after(5 + random.below(40), resolve));
    }
  }
}
