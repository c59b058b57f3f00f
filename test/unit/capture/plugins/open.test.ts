import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CapturePlugin } from '../../../../src/capture/plugins/plugin.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import { systemClock, systemRandom } from '../../../../src/runtime/clock.ts';
import { openCapturePlugins } from '../../../../src/start/capture-plugins.ts';
import { openCapture } from '../../../../src/start/capture-server.ts';
import { createClosers } from '../../../../src/start/closers.ts';
import { manualClock } from '../../../kit/clock.ts';
import { fakeProducer } from '../kit.ts';
import { never, opened } from './kit.ts';

const root = join(import.meta.dirname, '../../../..');
const example = (name: string): string => join(root, 'examples/capture-plugins', name);

function inFolder(files: Readonly<Record<string, string>>): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-test-plugins-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return (name) => join(dir, name);
}

describe('plugins of capture are started', () => {
  test('in the order of the configuration, with what it has for them, and closed in the reverse order, once', async () => {
    const said: string[] = [];
    const closers = createClosers();
    const plugin = (name: string): CapturePlugin => ({
      kind: 'data',
      init: (config) => void said.push(`${name} begins with ${JSON.stringify(config)}`),
      process: (event) => event,
      close: () => void said.push(`${name} ends`),
    });
    const { data } = await opened([{ plugin: plugin('a'), config: { n: 1 } }, { plugin: plugin('b') }], {
      onOpening: (name, close) => closers.push(name, close),
    });
    await closers.closeAll();
    await closers.closeAll();
    expect(said).toEqual(['a begins with {"n":1}', 'b begins with undefined', 'b ends', 'a ends']);
    expect(data.map(({ name }) => name)).toEqual(['p', 'p-2']);
  });

  test('an init that fails ends the start; what it opened, and those before it, are closed', async () => {
    const closed: string[] = [];
    const closers = createClosers();
    const plugin = (name: string, init: () => void): CapturePlugin => ({
      kind: 'data',
      init,
      process: (event) => event,
      close: () => void closed.push(name),
    });
    const failing = plugin('b', () => {
      throw new Error('no database');
    });
    await expect(
      opened([{ plugin: plugin('a', () => undefined) }, { plugin: failing }, { plugin: plugin('c', () => undefined) }], {
        onOpening: (name, close) => closers.push(name, close),
      }),
    ).rejects.toThrow('The capture plugin ./p.ts cannot be used: no database');
    await closers.closeAll();
    expect(closed).toEqual(['b', 'a']);
  });

  test('an init and a close that hang are given up', async () => {
    const clock = manualClock();
    const closes: (() => Promise<void>)[] = [];
    const hanging: CapturePlugin = { kind: 'data', init: never, process: (event) => event, close: never };
    const opening = opened([{ plugin: hanging }], { clock, initMs: 50, closeMs: 20, onOpening: (_, close) => closes.push(close) });
    await new Promise(setImmediate);
    clock.advance(50);
    await expect(opening).rejects.toThrow('its init did not end within 50 ms');
    const closing = closes[0]?.();
    clock.advance(20);
    await expect(closing).rejects.toThrow('its close did not end within 20 ms');
  });

  test('one that is there twice is made twice', async () => {
    const at = inFolder({
      'count.mjs': 'let made = 0; export default () => { const n = ++made; return { kind: "data", process: () => n }; };',
    });
    const closers = createClosers();
    const { config } = loadConfig({ TROUPE_CAPTURE_PLUGINS: `${at('count.mjs')},${at('count.mjs')}` });
    const { data } = await openCapturePlugins({ config, clock: systemClock, closers });
    expect(data.map(({ name, plugin }) => [name, plugin.process(undefined as never, undefined as never)])).toEqual([
      ['count', 1],
      ['count-2', 2],
    ]);
  });

  test.each([
    ['a module that is not there', undefined, /Cannot find module|Failed to load|ENOENT/],
    ['a module that does not parse', 'export default (', /cannot be used/],
    ['a module that throws', 'throw new Error("on its own")', /cannot be used: on its own/],
    ['no default export', 'export const plugin = 1', /its default export is no function that makes a plugin/],
    ['a plugin instead of what makes one', 'export default { kind: "data", process() {} }', /its default export is no function/],
    ['nothing made', 'export default () => undefined', /its default export made no plugin/],
    [
      'a kind that there is not',
      'export default () => ({ kind: "filter", process() {} })',
      /its kind is neither data nor auth nor storage/,
    ],
    ['no process', 'export default () => ({ kind: "data" })', /it has no function process/],
    ['storage without a role', 'export default () => ({ kind: "storage", process() {} })', /its role is neither mirror nor fallback/],
  ])('%s ends the start by name', async (_, text, message) => {
    const at = inFolder(text === undefined ? {} : { 'plugin.mjs': text });
    const { config } = loadConfig({ TROUPE_CAPTURE_PLUGINS: at('plugin.mjs') });
    const opening = openCapturePlugins({ config, clock: systemClock, closers: createClosers() });
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toThrow(/The capture plugin .*plugin\.mjs cannot be used/);
  });

  test('a declaration of another kind, or with an onError that means nothing, ends the start', async () => {
    const plugin: CapturePlugin = { kind: 'storage', role: 'mirror', process: () => Promise.resolve() };
    await expect(opened([{ plugin, kind: 'data' }])).rejects.toThrow('it is of kind storage, and declared as data');
    await expect(opened([{ plugin, onError: 'pass' }])).rejects.toThrow('onError is for the kinds data and auth');
  });
});

describe('the examples, from a configuration file', () => {
  async function started(yaml: string, producer = fakeProducer()) {
    const at = inFolder({ 'troupe.yaml': yaml });
    const closers = createClosers();
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) await closers.closeAll();
      isOpen = false;
    };
    onTestFinished(close);
    const { config } = loadConfig({
      TROUPE_CONFIG_FILE: at('troupe.yaml'),
      TROUPE_CAPTURE_HOST: '127.0.0.1',
      TROUPE_CAPTURE_PORT: '0',
      TROUPE_SHUTDOWN_ANNOUNCE_MS: '0',
      TROUPE_SHUTDOWN_INTAKE_MS: '1',
      TROUPE_SHUTDOWN_LINGER_MS: '1',
    });
    const clock = systemClock;
    const plugins = await openCapturePlugins({ config, clock, closers });
    const { url } = await openCapture({ config, clock, random: systemRandom, closers, producer, redis: undefined, plugins });
    const send = async (token: string, ...events: readonly object[]): Promise<Response> =>
      fetch(`${url}/batch`, { method: 'POST', body: JSON.stringify({ api_key: token, batch: events }) });
    return { producer, send, close };
  }
  const event = (name: string, properties: object = {}): object => ({ event: name, distinct_id: 'u1', properties });

  test('add-region.ts writes the region, and leaves out what comes from developers', async () => {
    const { send, producer } = await started(
      `plugins:\n  - module: ${example('add-region.ts')}\n    kind: data\n    config: { region: eu }\n`,
    );
    expect((await send('phc_x', event('a'), event('b', { $host: 'localhost' }), event('c', { $host: 'shop.example' }))).status).toBe(200);
    expect(producer.produced.map(({ data }) => [data['event'], data['properties']])).toEqual([
      ['a', { capture_region: 'eu' }],
      ['c', { $host: 'shop.example', capture_region: 'eu' }],
    ]);
  });

  test('known-tokens.ts takes the tokens of its file, by their new names, and reads it again when it changes', async () => {
    const at = inFolder({ 'tokens.json': '{"phc_new":true,"phc_old":"phc_new"}' });
    const { send, producer } = await started(
      `plugins:\n  - module: ${example('known-tokens.ts')}\n    config: { file: ${at('tokens.json')} }\n`,
    );
    const statuses = async (): Promise<number[]> => {
      const answers = [];
      for (const token of ['phc_new', 'phc_old', 'phc_unknown', 'constructor']) answers.push((await send(token, event('a'))).status);
      return answers;
    };
    expect(await statuses()).toEqual([200, 200, 401, 401]);
    expect(producer.produced.map(({ key }) => key)).toEqual(['phc_new:u1', 'phc_new:u1']);
    writeFileSync(at('tokens.json'), '{"phc_unknown":true}');
    utimesSync(at('tokens.json'), new Date(), new Date(Date.now() + 10_000));
    expect(await statuses()).toEqual([401, 401, 200, 401]);
    writeFileSync(at('tokens.json'), '{broken');
    utimesSync(at('tokens.json'), new Date(), new Date(Date.now() + 20_000));
    expect((await send('phc_unknown', event('a'))).status).toBe(503);
  });

  test('keep-in-file.ts mirrors what Kafka has, and keeps what it has not when it is a fallback', async () => {
    const at = inFolder({});
    const linesOf = (name: string): unknown[] =>
      readFileSync(at(name), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const { topic, key, value } = JSON.parse(line) as { topic: string; key: string; value: string };
          return [topic, key, (JSON.parse(Buffer.from(value, 'base64').toString()) as { event: string }).event];
        });
    const plugin = (name: string, role: string): string =>
      `  - module: ${example('keep-in-file.ts')}\n    config: { file: ${at(name)}, role: ${role} }\n`;
    const yaml = `plugins:\n${plugin('mirror.jsonl', 'mirror')}${plugin('fallback.jsonl', 'fallback')}`;
    let isAway = false;
    const producer = fakeProducer(() => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()));
    const { send, close } = await started(yaml, producer);
    expect((await send('phc_x', event('a'))).status).toBe(200);
    isAway = true;
    expect((await send('phc_x', event('b'))).status).toBe(200);
    await close();
    const topic = 'events_plugin_ingestion';
    expect(linesOf('fallback.jsonl')).toEqual([[topic, 'phc_x:u1', 'b']]);
    expect(linesOf('mirror.jsonl')).toEqual([
      [topic, 'phc_x:u1', 'a'],
      [topic, 'phc_x:u1', 'b'],
    ]);
  });
});
