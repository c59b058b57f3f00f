import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import type { TeamId } from '../../src/domain/ids.ts';
import { eventRecord } from '../kit/records.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const here = await requireSurroundings();

/** Logs on each event, throws on one, drops another, leaves a promise alone on a third. */
const TALKATIVE = {
  'plugin.json': JSON.stringify({ name: 'talkative', main: 'index.js' }),
  'index.js': `
    export function setupPlugin() { console.info('set up'); }
    export async function processEvent(event) {
      console.log('saw', { event: event.event });
      console.debug('details');
      if (event.event === 'bad') throw new TypeError('I cannot bear this');
      if (event.event === 'left') Promise.reject(new RangeError('left alone'));
      return event.event === 'noise' ? null : event;
    }`,
};

describe.skipIf(!here.available)('what plugins did and said, as rows for their authors', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  let team: TeamId;
  let pluginConfigId: number;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    team = await seedTeam(surroundings.sql, { token: 'phc_talk', name: 'talk' });
    pluginConfigId = await seedPlugin(surroundings.sql, { teamId: team, name: 'talkative', files: TALKATIVE });
    troupe = await startTroupe({
      env: { ...surroundings.env, PLUGINS_DEFAULT_LOG_LEVEL: '0', APP_METRICS_FLUSH_FREQUENCY_MS: '200' },
    });
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  const linesOf = async (): Promise<string[]> => {
    const rows = await surroundings.rows.query<{ source: string; type: string; message: string }>(
      'SELECT source, type, message FROM plugin_log_entries WHERE plugin_config_id = {id:Int64} ORDER BY timestamp',
      { id: pluginConfigId },
    );
    return rows.map(({ source, type, message }) => `${source} ${type} ${message}`);
  };

  test('V-22: a tool that waits for "Plugin loaded" sees it before any event came', async () => {
    await until(
      async () => (await linesOf()).some((line) => line.startsWith('SYSTEM DEBUG Plugin loaded (instance ID ')),
      'loaded',
      LIMIT_MS,
    );
    expect((await linesOf()).join('\n')).toMatch(
      /CONSOLE INFO set up\n.*\nSYSTEM DEBUG setupPlugin succeeded \(instance ID [0-9a-f-]{36}\)\./,
    );
  });

  test('4.6, PE-3, PE-8, V-23: lines of the console, the stack of a throw and of a rejected promise, in the order in which they came', async () => {
    const events = ['good', 'bad', 'noise', 'left', 'good'];
    await surroundings.producer.send(
      TOPIC,
      events.map((event, n) => eventRecord({ token: 'phc_talk', distinctId: 'ann', event, properties: { n } })),
    );
    await drained(surroundings, LIMIT_MS);
    const is = (line: string): boolean => line.startsWith('PLUGIN ERROR');
    await until(async () => (await linesOf()).filter(is).length === 2, 'both errors', LIMIT_MS);
    const lines = await linesOf();
    const said = lines.filter((line) => line.startsWith('CONSOLE LOG'));
    expect(said).toEqual(events.map((event) => `CONSOLE LOG saw {"event":"${event}"}`));
    expect(lines.filter((line) => line === 'CONSOLE DEBUG details')).toHaveLength(5);
    const errors = lines.filter(is).join('\n');
    expect(errors).toMatch(/TypeError: I cannot bear this\n +at .*plugin:/);
    expect(errors).toMatch(/RangeError: left alone\n +at .*plugin:/);
    const [stored] = await surroundings.rows.query<{ n: string }>('SELECT count() AS n FROM events WHERE team_id = {team:Int64}', { team });
    expect(Number(stored?.n)).toBe(4);
  });

  test('4.8, PE-7: every run is counted once, a failure with its error and event', async () => {
    const sums = async () =>
      surroundings.rows.query<{ error_type: string; s: string; f: string; details: string }>(
        `SELECT error_type, sum(successes) AS s, sum(failures) AS f, any(error_details) AS details FROM app_metrics
         WHERE team_id = {team:Int64} AND plugin_config_id = {id:Int64} AND category = 'processEvent' GROUP BY error_type ORDER BY error_type`,
        { team, id: pluginConfigId },
      );
    await until(async () => (await sums()).reduce((all, { s, f }) => all + Number(s) + Number(f), 0) >= 5, 'five runs', LIMIT_MS);
    const [counted, failed] = await sums();
    expect([counted?.error_type, Number(counted?.s), Number(counted?.f)]).toEqual(['', 4, 0]);
    expect([failed?.error_type, Number(failed?.s), Number(failed?.f)]).toEqual(['TypeError', 0, 1]);
    expect(JSON.parse(failed?.details ?? '')).toMatchObject({
      error: { name: 'TypeError', message: 'I cannot bear this', stack: expect.stringContaining('plugin:') as string },
      event: { event: 'bad', distinct_id: 'ann', properties: { n: 1 } },
    });
  });

  test('LG-3: lines are counted by the id of the plugin, not of its config', async () => {
    const [row] = await surroundings.sql.run<{ id: number }>(
      { name: 'plugin-of', text: 'SELECT plugin_id::int4 AS id FROM posthog_pluginconfig WHERE id = $1' },
      [pluginConfigId],
    );
    expect(await troupe.metric('plugin_log_entry', `plugin_id="${row?.id}",source="CONSOLE"`)).toBe(11);
    expect(await troupe.metric('plugin_log_entry', `plugin_id="${row?.id}",source="PLUGIN"`)).toBe(2);
  });

  test('AM-2, V-22: an orderly stop writes out what was counted last, and says that the plugin is unloaded', async () => {
    await surroundings.producer.send(TOPIC, [eventRecord({ token: 'phc_talk', distinctId: 'ann', event: 'bad', properties: {} })]);
    await drained(surroundings, LIMIT_MS);
    await troupe.stop();
    expect((await linesOf()).at(-1)).toMatch(/^SYSTEM DEBUG Plugin unloaded \(instance ID [0-9a-f-]{36}\)\.$/);
    const [row] = await surroundings.rows.query<{ f: string }>('SELECT sum(failures) AS f FROM app_metrics WHERE team_id = {team:Int64}', {
      team,
    });
    expect(Number(row?.f)).toBe(2);
  });
});
