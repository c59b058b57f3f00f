import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import type { TeamId } from '../../src/domain/ids.ts';
import { eventRecord } from '../kit/records.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const DEADLINE_MS = 500;
const here = await requireSurroundings();

const plugin = (processEvent: string): { readonly 'plugin.json': string; readonly 'index.js': string } => ({
  'plugin.json': JSON.stringify({ name: 'test', main: 'index.js' }),
  'index.js': `export async function processEvent(event, meta) { ${processEvent} }`,
});

const STAMP = plugin('event.properties.stamp = meta.config.word; return event;');
const DROP = plugin("return event.event === 'noise' ? null : event;");
const THROW = plugin("event.properties.seen = true; if (event.event === 'bad') throw new Error('I cannot bear this'); return event;");
const HANG = plugin("if (event.event === 'trap') for (;;); event.properties.alive = true; return event;");
const COUNT = plugin('event.properties.order = (event.properties.order ?? "") + meta.config.mark; return event;');

describe.skipIf(!here.available)('plugins from the tables of PostHog, in the running process', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  const teams = new Map<string, TeamId>();

  beforeAll(async () => {
    surroundings = await startSurroundings();
    for (const name of ['stamp', 'drop', 'throw', 'hang', 'chain', 'none']) {
      teams.set(name, await seedTeam(surroundings.sql, { token: `phc_${name}`, name }));
    }
    const { sql } = surroundings;
    const enable = (name: string, files: Record<string, string>, more: { config?: Record<string, unknown>; order?: number } = {}) =>
      seedPlugin(sql, { teamId: teamOf(name), name: `${name}${more.order ?? ''}`, files, ...more });
    await enable('stamp', STAMP, { config: { word: 'seen by a plugin' } });
    await enable('drop', DROP);
    await enable('throw', THROW);
    await enable('hang', HANG);
    await enable('chain', COUNT, { config: { mark: 'b' }, order: 2 });
    await enable('chain', COUNT, { config: { mark: 'a' }, order: 1 });
    troupe = await startTroupe({ env: { ...surroundings.env, TROUPE_PLUGIN_DEADLINE_MS: String(DEADLINE_MS) } });
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  function teamOf(name: string): TeamId {
    const id = teams.get(name);
    if (id === undefined) throw new Error(`no team ${name}`);
    return id;
  }
  const send = (team: string, events: readonly string[], distinctId = 'ann'): Promise<void> =>
    surroundings.producer.send(
      TOPIC,
      events.map((event, n) => eventRecord({ token: `phc_${team}`, distinctId, event, properties: { n } })),
    );
  const storedOf = async (team: string): Promise<{ event: string; properties: Record<string, unknown> }[]> => {
    const rows = await surroundings.rows.query<{ event: string; properties: string }>(
      'SELECT event, properties FROM events WHERE team_id = {team:Int64} ORDER BY _partition, _offset',
      { team: teamOf(team) },
    );
    return rows.map(({ event, properties }) => ({ event, properties: JSON.parse(properties) as Record<string, unknown> }));
  };
  const outcome = (type: string, reason: string): Promise<number> =>
    troupe.metric('troupe_outcome_total', `outcome="${type}",reason="${reason}"`);

  test('what a plugin writes is stored, with its config from the table', async () => {
    await send('stamp', ['one', 'two']);
    await drained(surroundings, LIMIT_MS);
    expect((await storedOf('stamp')).map(({ event, properties }) => [event, properties['stamp']])).toEqual([
      ['one', 'seen by a plugin'],
      ['two', 'seen by a plugin'],
    ]);
  });

  test('an event for which a plugin returns null is dropped by name, and the others of its distinct_id are stored', async () => {
    await send('drop', ['signal', 'noise', 'signal']);
    await drained(surroundings, LIMIT_MS);
    expect((await storedOf('drop')).map(({ properties }) => properties['n'])).toEqual([0, 2]);
    expect(await outcome('dropped', 'plugin')).toBe(1);
  });

  test('an event on which a plugin throws goes on with what the plugin had written, and names the plugin', async () => {
    await send('throw', ['good', 'bad', 'good']);
    await drained(surroundings, LIMIT_MS);
    const stored = await storedOf('throw');
    expect(stored.map(({ event, properties }) => [event, properties['seen']])).toEqual([
      ['good', true],
      ['bad', true],
      ['good', true],
    ]);
    expect(stored[1]?.properties['$plugins_failed']).toEqual([expect.stringContaining('throw')]);
    expect(stored[0]?.properties['$plugins_succeeded']).toEqual([expect.stringContaining('throw')]);
  });

  test('several plugins run in the order of their configs, not of their ids', async () => {
    await send('chain', ['one']);
    await drained(surroundings, LIMIT_MS);
    expect((await storedOf('chain')).map(({ properties }) => properties['order'])).toEqual(['ab']);
  });

  test('a plugin that hangs on one event costs that event its work at the deadline; its neighbours pass, other teams never wait', async () => {
    await send('hang', ['first', 'trap', 'last']);
    await send('none', ['free']);
    await until(async () => (await storedOf('none')).length === 1, 'a team without plugins is served meanwhile', LIMIT_MS);
    await drained(surroundings, LIMIT_MS);
    const stored = await storedOf('hang');
    expect(stored.map(({ event }) => event)).toEqual(['first', 'trap', 'last']);
    expect(stored.map(({ properties }) => properties['alive'])).toEqual([true, undefined, true]);
    expect(stored[1]?.properties['$plugins_failed']).toEqual([expect.stringContaining('hang')]);
    await send('stamp', ['three']);
    await drained(surroundings, LIMIT_MS);
    expect((await storedOf('stamp')).at(-1)?.properties['stamp']).toBe('seen by a plugin');
  });

  test('one that hangs again and again is quarantined: its events pass without it, other plugins go on, and the process lives', async () => {
    await send('hang', Array<string>(8).fill('trap'), 'trapper');
    await drained(surroundings, LIMIT_MS);
    expect(await troupe.metric('troupe_plugin_quarantined_total')).toBeGreaterThan(0);
    await send('hang', ['after'], 'trapper');
    await send('chain', ['two']);
    await drained(surroundings, LIMIT_MS);
    const stored = await storedOf('hang');
    expect(stored.filter(({ event }) => event === 'trap')).toHaveLength(9);
    expect(stored.filter(({ event }) => event === 'after')).toHaveLength(1);
    expect((await storedOf('chain')).map(({ properties }) => properties['order'])).toEqual(['ab', 'ab']);
    expect(await troupe.isReady()).toBe(true);
  });
});
