import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readStaticFiles } from '../../../src/capture/static-files.ts';
import { fakeProducer, serve, type Served } from './kit.ts';

/** spec/capture.md 14: what SDKs ask besides sending events. */
describe('what SDKs ask', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(fakeProducer());
  });
  afterAll(() => served.close());
  const BODY = JSON.stringify({ token: 'phc_x', distinct_id: 'u1' });
  const read = async (path: string, body: string | Buffer | null = BODY, at = served): Promise<unknown> => {
    const answer = await at.ask(path, body === null ? {} : { body });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    return JSON.parse(answer.body);
  };
  const get = (path: string): Promise<unknown> => read(path, null);
  /** The whole object of the specification. */
  const CONFIG = {
    token: 'phc_x',
    supportedCompression: ['gzip', 'gzip-js'],
    analytics: { endpoint: '/i/v0/e/' },
    hasFeatureFlags: false,
    elementsChainAsString: true,
    autocapture_opt_out: false,
    capturePerformance: false,
    autocaptureExceptions: false,
    heatmaps: false,
    surveys: false,
    captureDeadClicks: false,
    defaultIdentifiedOnly: true,
    isAuthenticated: false,
    siteApps: [],
    sessionRecording: false,
  };
  const requestId = expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown;

  test('flags: none, without an error; the configuration with it when asked for', async () => {
    const none = { flags: {}, errorsWhileComputingFlags: false, requestId };
    expect(await read('/flags/?v=2')).toEqual(none);
    expect(await read('/flags/?v=2&config=true')).toEqual({ ...none, ...CONFIG });
  });

  test('14: decide, by its version; posthog-js 1.96 captures clicks only when it is told to collect everything', async () => {
    const shared = { errorsWhileComputingFlags: false, requestId, ...CONFIG, config: { enable_collect_everything: true } };
    expect(await read('/decide/?v=3')).toEqual({ featureFlags: {}, featureFlagPayloads: {}, ...shared });
    expect(await read('/decide/?v=4')).toEqual({ flags: {}, ...shared });
  });

  test('the token is read however the body is wrapped, and a body nobody can read is no reason to fail', async () => {
    const form = `data=${encodeURIComponent(Buffer.from(BODY).toString('base64'))}`;
    expect(await read('/decide/?v=3', gzipSync(BODY))).toMatchObject({ token: 'phc_x' });
    const answer = await served.ask('/decide/?v=3', { body: form, headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
    expect(JSON.parse(answer.body)).toMatchObject({ token: 'phc_x' });
    expect(await read('/decide/?v=3', '{broken')).toMatchObject({ featureFlags: {} });
    expect(await get('/flags/?v=2')).toMatchObject({ flags: {} });
  });

  test('definitions, surveys, early access features, experiments and product tours: none, each under the name that posthog-js reads', async () => {
    expect(await get('/flags/definitions?token=phc_x&send_cohorts')).toEqual({ flags: [], group_type_mapping: {}, cohorts: {} });
    expect(await get('/api/surveys/?token=phc_x')).toEqual({ surveys: [] });
    expect(await get('/api/early_access_features/?token=phc_x&stage=beta')).toEqual({ earlyAccessFeatures: [] });
    expect(await get('/api/web_experiments/?token=phc_x')).toEqual({ experiments: [] });
    expect(await get('/api/product_tours/?token=phc_x')).toEqual({ product_tours: [] });
  });

  test('the configuration, as JSON and as a script that hands it over', async () => {
    expect(await get('/array/phc_x/config')).toEqual(CONFIG);
    const answer = await served.ask('/array/phc_x/config.js?x=1', { headers: { Origin: 'https://shop.example' } });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/javascript', 'access-control-allow-origin': 'https://shop.example' },
    });
    const window: { _POSTHOG_REMOTE_CONFIG?: unknown } = {};
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- what a browser does with it
    (new Function('window', answer.body) as (window: unknown) => void)(window);
    expect(window._POSTHOG_REMOTE_CONFIG).toEqual({ phc_x: { config: CONFIG, siteApps: [] } });
  });

  test('a token cannot leave its string in the script', async () => {
    const token = `"];alert(1);//\u2028</script>`;
    const { body } = await served.ask(`/array/${encodeURIComponent(token).replaceAll('%2F', '%252F')}/config.js`);
    const window: { _POSTHOG_REMOTE_CONFIG?: object } = {};
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- what a browser does with it
    (new Function('window', 'alert', body) as (...args: unknown[]) => void)(window, () => expect.unreachable());
    expect(Object.keys(window._POSTHOG_REMOTE_CONFIG ?? {})).toHaveLength(1);
  });

  test('recordings are asked for when the operator wants them', async () => {
    const recording = await serve(fakeProducer(), { sdk: { recordings: true } });
    expect(await read('/array/phc_x/config', null, recording)).toMatchObject({
      sessionRecording: { endpoint: '/s/', recorderVersion: 'v2' },
    });
    await recording.close();
  });
});

describe('scripts that posthog-js loads', () => {
  const dirs: string[] = [];
  const folder = async (files: Readonly<Record<string, string>>): Promise<string> => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-static-'));
    dirs.push(dir);
    for (const name in files) await writeFile(join(dir, name), files[name] ?? '');
    return dir;
  };
  afterEach(async () => {
    for (const dir of dirs.splice(0)) await rm(dir, { recursive: true });
  });

  test('are served under any version, whole, and to any origin', async () => {
    const dir = await folder({ 'recorder.js': 'var é = 1;', 'recorder.js.map': '{}', LICENSE: 'x' });
    const served = await serve(fakeProducer(), { files: await readStaticFiles(dir) });
    for (const path of ['/static/recorder.js?v=1.96.0', '/static/1.434.0/recorder.js']) {
      expect(await served.ask(path, { headers: { Origin: 'https://shop.example' } })).toMatchObject({
        status: 200,
        body: 'var é = 1;',
        headers: {
          'content-type': 'application/javascript',
          'content-length': '11',
          'cache-control': 'public, max-age=86400',
          'access-control-allow-origin': 'https://shop.example',
        },
      });
    }
    await served.close();
  });

  test('nothing else of the disk is', async () => {
    const dir = await folder({ 'a.js': 'a', 'a.js.map': '{}' });
    await mkdir(join(dir, 'sub'));
    await writeFile(join(dir, 'sub', 'b.js'), 'b');
    await writeFile(join(dir, '..', 'troupe-static-outside.js'), 'secret');
    const served = await serve(fakeProducer(), { files: await readStaticFiles(dir) });
    for (const path of [
      '/static/a.js.map',
      '/static/sub/b.js',
      '/static/../troupe-static-outside.js',
      '/static/..%2Ftroupe-static-outside.js',
      '/static/x/y/a.js',
      '/static/',
      '/static/__proto__.js',
    ]) {
      expect([path, (await served.ask(path)).status]).toEqual([path, 404]);
    }
    await served.close();
    await rm(join(dir, '..', 'troupe-static-outside.js'));
  });

  test('without a folder there are none; a folder without any stops the start', async () => {
    const served = await serve(fakeProducer());
    expect((await served.ask('/static/recorder.js')).status).toBe(404);
    await served.close();
    await expect(readStaticFiles(await folder({ 'readme.md': '' }))).rejects.toThrow(
      /has no script: is it the dist folder of posthog-js\?/,
    );
    await expect(readStaticFiles('/nowhere/at/all')).rejects.toThrow(/ENOENT/);
  });
});
