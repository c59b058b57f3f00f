import { describe, expect, it } from 'vitest';
import { teamId } from '../../../src/domain/ids.ts';
import { observe } from '../../../src/observe/facts.ts';
import type { PluginConfigRow } from '../../../src/postgres/port.ts';
import { asJsonObject } from '../../../src/domain/json.ts';
import { gate } from '../../kit/actors.ts';
import { aRecord } from '../../kit/pipeline.ts';
import { only, troupesOf } from './kit.ts';

const open = troupesOf();
const config = (id: number, as: string, parts: Partial<PluginConfigRow> = {}): PluginConfigRow => ({
  pluginConfigId: id,
  teamId: teamId(1),
  pluginId: id,
  pluginName: `plugin ${id}`,
  order: id,
  config: { as },
  files: {},
  fingerprint: `${id}:${as}`,
  ...parts,
});

/** A troupe with these configs; `run` sends one event and answers with what the plugins made of it. */
async function planted(...rows: readonly PluginConfigRow[]) {
  const parts = open();
  parts.plugins.rows = [...rows];
  const troupe = await parts.start();
  await parts.consumer().assign(1, only(0));
  let next = 0;
  const results = (): readonly Record<string, unknown>[] =>
    parts.server
      .events()
      .toSorted((a, b) => Number(a['_offset']) - Number(b['_offset']))
      .map((row) => asJsonObject(JSON.parse(String(row['properties']))) ?? {});
  return {
    ...parts,
    troupe,
    results,
    send: (token = 'token-1'): void => void parts.consumer().hand([aRecord(next++, { token })]),
    reload: async (...to: readonly PluginConfigRow[]): Promise<void> => {
      parts.plugins.rows = [...to];
      const done = troupe.tree().plugins.reload();
      await parts.pass(100);
      await done;
    },
  };
}

describe("a team's plugins", () => {
  it('P1: run in ascending order; another team has its own', async () => {
    const { send, pass, results } = await planted(
      config(3, 'c'),
      config(9, 'first', { order: 0 }),
      config(2, 'b'),
      config(5, 'other', { teamId: teamId(2) }),
    );
    send();
    await pass(200);
    send('token-2');
    await pass(200);
    expect(results().map(({ path }) => path)).toEqual(['firstbc', 'other']);
  });

  it('P2: a config that changes is in force from the reload on; one that goes is gone; one that stays is not started anew', async () => {
    const { send, pass, results, reload, sandbox } = await planted(config(1, 'a'), config(2, 'b'), config(3, 'c'));
    send();
    await pass(200);
    const isolatesBefore = [...sandbox.loaded].filter(([, { pluginConfigId }]) => pluginConfigId === 3).map(([isolate]) => isolate);
    await reload(config(1, 'A'), config(3, 'c'));
    send();
    await pass(200);
    expect(results().map(({ path }) => path)).toEqual(['abc', 'Ac']);
    expect([...sandbox.loaded.values()].map(({ pluginConfigId }) => pluginConfigId).toSorted()).toEqual([1, 3]);
    expect([...sandbox.loaded].filter(([, { pluginConfigId }]) => pluginConfigId === 3).map(([isolate]) => isolate)).toEqual(
      isolatesBefore,
    );
  });

  it('P2: a change costs no event its plugin, neither one in the isolate nor one that waits for its turn', async () => {
    const { send, pass, results, reload, sandbox } = await planted(config(1, 'a'), config(2, 'b'));
    const running = gate();
    sandbox.hold = running.promise;
    send(); // in the isolate of the first plugin while both change
    await pass(20);
    send(); // waits behind it with the handles of before
    await pass(20);
    const reloaded = reload(config(1, 'A'), config(2, 'B'));
    await pass(20);
    sandbox.hold = undefined;
    running.open();
    await Promise.all([reloaded, pass(300)]);
    expect(results().map(({ path, $plugins_failed: failed }) => [path, failed])).toEqual([
      ['aB', []],
      ['AB', []],
    ]);
  });

  it('P2: while the old one still answers, events already have the new one', async () => {
    const { send, pass, results, reload, sandbox, consumer } = await planted(config(1, 'a'));
    const running = gate();
    sandbox.hold = running.promise;
    send();
    await pass(20);
    sandbox.hold = undefined;
    const reloaded = reload(config(1, 'A'));
    await pass(20);
    void consumer().hand([aRecord(10, { distinctId: 'another' })]);
    await pass(200);
    expect(results().map(({ path, $plugins_failed: failed }) => [path, failed])).toEqual([['A', []]]);
    running.open();
    await Promise.all([reloaded, pass(200)]);
    expect(results().map(({ path }) => path)).toEqual(['a', 'A']);
  });

  it('P3: a store that is away costs nothing but the news, and says so', async () => {
    const logs: string[] = [];
    const end = observe('log-written', ({ message }) => void logs.push(message));
    const { send, pass, results, plugins, deps } = await planted(config(1, 'a'));
    plugins.error = new Error('away');
    await pass(deps.settings.plugins.reloadEveryMs + 100, 100);
    send();
    await pass(200);
    end();
    expect(results().map(({ path }) => path)).toEqual(['a']);
    expect(logs).toContain('Plugin configs could not be read; those that run go on.');
    plugins.error = undefined;
    plugins.rows = [config(1, 'A')];
    await pass(deps.settings.plugins.reloadEveryMs + 100, 100);
    send();
    await pass(200);
    expect(results().map(({ path }) => path)).toEqual(['a', 'A']);
  });

  it('P3: code that does not load costs no event; it says which plugin did not have it', async () => {
    const { send, pass, results, reload, sandbox } = await planted();
    const load = sandbox.load.bind(sandbox);
    sandbox.load = (plugin) => (plugin.pluginConfigId === 1 ? Promise.resolve({ type: 'refused', message: 'no' }) : load(plugin));
    await reload(config(1, 'a'), config(2, 'b'));
    send();
    await pass(200);
    expect(results()).toMatchObject([{ path: 'b', $plugins_failed: ['plugin 1 (1)'], $plugins_succeeded: ['plugin 2 (2)'] }]);
  });

  it('a reload under way when the tree is felled starts nothing and does not reject', async () => {
    const { troupe, pass, deps } = await planted(config(1, 'a'));
    const answer = gate<PluginConfigRow[]>();
    Object.assign(deps.pluginConfigs, { activePluginConfigs: () => answer.promise });
    const reloaded = troupe.tree().plugins.reload();
    troupe.kill();
    answer.open([config(1, 'A')]);
    await pass(50);
    await expect(reloaded).resolves.toBeUndefined();
    expect(troupe.tree().system.inspect.list()).toEqual([]);
  });
});
