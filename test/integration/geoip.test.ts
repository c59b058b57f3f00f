import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TeamId } from '../../src/domain/ids.ts';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import { cityDatabase, GEOIP_PLUGIN, KNOWN_IP, UNKNOWN_IP } from '../kit/geoip.ts';
import { eventRecord } from '../kit/records.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { spawnTroupe, startTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const here = await requireSurroundings();

describe.skipIf(!here.available)("PostHog's GeoIP plugin in the running process", () => {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-test-geoip-'));
  const path = join(dir, 'city.mmdb');
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  const teams = new Map<string, TeamId>();
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    writeFileSync(path, cityDatabase('Linköping'));
    for (const name of ['open', 'anonymous']) {
      const teamId = await seedTeam(surroundings.sql, { token: `phc_${name}`, name });
      teams.set(name, teamId);
      await seedPlugin(surroundings.sql, { teamId, name: 'GeoIP', files: GEOIP_PLUGIN });
    }
    await surroundings.sql.script('test-anonymize', `UPDATE posthog_team SET anonymize_ips = true WHERE api_token = 'phc_anonymous'`);
    env = { ...surroundings.env, TROUPE_MMDB_FILE: path };
    troupe = await startTroupe({ env });
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function locateOf(team: string, distinctId: string, properties: Record<string, unknown>): Promise<Record<string, unknown>> {
    await surroundings.producer.send(TOPIC, [eventRecord({ token: `phc_${team}`, distinctId, event: 'seen', properties })]);
    await drained(surroundings, LIMIT_MS);
    const [row] = await surroundings.rows.query<{ properties: string }>(
      'SELECT properties FROM events WHERE team_id = {team:Int64} AND distinct_id = {distinctId:String} ORDER BY timestamp DESC LIMIT 1',
      { team: teams.get(team), distinctId },
    );
    return JSON.parse(row?.properties ?? '{}') as Record<string, unknown>;
  }

  test('6.5: the first event is located already, on the event and on its person', async () => {
    const stored = await locateOf('open', 'ann', { $ip: KNOWN_IP });
    expect(stored).toMatchObject({ $ip: KNOWN_IP, $geoip_city_name: 'Linköping', $geoip_country_code: 'SE' });
    const [person] = await surroundings.sql.run<{ properties: Record<string, unknown> }>(
      { name: 'test-person', text: `SELECT properties FROM posthog_person WHERE team_id = $1` },
      [teams.get('open') ?? 0],
    );
    expect(person?.properties).toMatchObject({ $geoip_city_name: 'Linköping', $initial_geoip_city_name: 'Linköping' });
  });

  test('IP-1: of a team whose addresses are removed the plugin sees the address, and the row does not have it', async () => {
    const stored = await locateOf('anonymous', 'bob', { $ip: KNOWN_IP });
    expect(stored).toMatchObject({ $geoip_city_name: 'Linköping' });
    expect(stored).not.toHaveProperty('$ip');
  });

  test('6.5: an address of nowhere, or none at all, passes unchanged', async () => {
    for (const [distinctId, properties] of [
      ['nowhere', { $ip: UNKNOWN_IP }],
      ['none', {}],
      ['word', { $ip: 'localhost' }],
    ] as const) {
      const stored = await locateOf('open', distinctId, properties);
      expect(Object.keys(stored).filter((name) => name.startsWith('$geoip'))).toEqual([]);
      expect(stored['$plugins_succeeded']).toEqual([expect.stringContaining('GeoIP')]);
    }
  });

  test('a new file is taken while it runs, without a restart; a broken one is not', async () => {
    const refused = async (): Promise<number> => troupe.metric('troupe_geoip_refused_total');
    writeFileSync(join(dir, 'next'), cityDatabase('Norrköping').subarray(0, 300));
    renameSync(join(dir, 'next'), path);
    await until(async () => (await refused()) > 0, 'the broken file is refused', LIMIT_MS);
    expect(await locateOf('open', 'cem', { $ip: KNOWN_IP })).toMatchObject({ $geoip_city_name: 'Linköping' });
    writeFileSync(join(dir, 'next'), cityDatabase('Norrköping'));
    renameSync(join(dir, 'next'), path);
    let times = 0;
    await until(
      async () => (await locateOf('open', `dia-${times++}`, { $ip: KNOWN_IP }))['$geoip_city_name'] === 'Norrköping',
      'the new file',
      LIMIT_MS,
    );
    expect(await troupe.isReady()).toBe(true);
  });

  test('a file that is not there, or broken at the start, stops the start by its setting', async () => {
    for (const file of [join(dir, 'nowhere.mmdb'), import.meta.filename]) {
      const process = await spawnTroupe({ env: { ...env, TROUPE_MMDB_FILE: file } });
      expect((await process.exited).code).toBe(1);
      expect(process.output()).toContain(`The GeoIP database ${file} cannot be used: `);
      expect(process.output()).toContain('Correct TROUPE_MMDB_FILE, or set DISABLE_MMDB.');
    }
  });

  test('DISABLE_MMDB: the plugin is told, and the event goes on', async () => {
    await troupe.stop();
    troupe = await startTroupe({ env: { ...surroundings.env, DISABLE_MMDB: 'true' } });
    const stored = await locateOf('open', 'eve', { $ip: KNOWN_IP });
    expect(stored['$plugins_failed']).toEqual([expect.stringContaining('GeoIP')]);
    expect(stored).not.toHaveProperty('$geoip_city_name');
    expect(troupe.output()).not.toContain('GeoIP  ');
  });
});
