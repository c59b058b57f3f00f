import { afterEach, describe, expect, test } from 'vitest';
import type { Listening } from '../../../src/http/listen.ts';
import { createProfiler } from '../../../src/http/profile.ts';
import { createOperationsHandler, type OperationsOptions } from '../../../src/http/server.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { ask, listenOn } from './kit.ts';

describe('the operations server', () => {
  const open: Listening[] = [];
  afterEach(() => Promise.all(open.splice(0).map((server) => server.close(0))));

  async function serve(options: Partial<OperationsOptions> = {}): Promise<number> {
    const handle = createOperationsHandler({
      health: {},
      ready: {},
      metrics: () => Promise.resolve(''),
      profiler: createProfiler({ clock: systemClock }),
      clock: systemClock,
      ...options,
    });
    const server = await listenOn(handle);
    open.push(server);
    return server.port;
  }

  test('HT-1: health is 200 with each check named when all are well', async () => {
    const port = await serve({ health: { 'analytics-ingestion': () => true, sandbox: () => Promise.resolve(true) } });
    const answer = await ask(port, '/_health');
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      200,
      { status: 'ok', checks: { 'analytics-ingestion': 'ok', sandbox: 'ok' } },
    ]);
  });

  test('HT-1: one check that says no, throws, rejects or hangs makes 503, and only that one is an error', async () => {
    const checks = {
      well: () => true,
      no: () => false,
      throws: () => {
        throw new Error('x');
      },
      rejects: () => Promise.reject(new Error('x')),
      hangs: () => new Promise<boolean>(() => undefined),
    };
    const port = await serve({ ready: checks, checkLimitMs: 20 });
    const answer = await ask(port, '/_ready');
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body)).toEqual({
      status: 'error',
      checks: { well: 'ok', no: 'error', throws: 'error', rejects: 'error', hangs: 'error' },
    });
    expect((await ask(port, '/_health')).status).toBe(200);
  });

  test('HT-2: metrics are served under both names, and a failure is a 500', async () => {
    const port = await serve({ metrics: () => Promise.resolve('up 1\n') });
    for (const path of ['/metrics', '/_metrics']) expect(await ask(port, path)).toMatchObject({ status: 200, body: 'up 1\n' });
    const broken = await serve({ metrics: () => Promise.reject(new Error('registry gone')) });
    expect(await ask(broken, '/metrics')).toMatchObject({ status: 500, body: 'metrics cannot be read: registry gone' });
  });

  test('anything else is a 404 or a 405', async () => {
    const port = await serve();
    expect((await ask(port, '/')).status).toBe(404);
    expect((await ask(port, '//')).status).toBe(404);
    expect((await ask(port, '/_health', { method: 'POST' })).status).toBe(405);
  });

  test('a port in use is an error that names the port and the setting', async () => {
    const port = await serve();
    await expect(listenOn(() => undefined, port)).rejects.toThrow(
      `the test server cannot listen on 127.0.0.1:${port}: the port is in use. Set TROUPE_TEST_PORT to another one`,
    );
  });

  test('an address of another machine is an error that names the setting', async () => {
    await expect(listenOn(() => undefined, 0, '192.0.2.1')).rejects.toThrow('Set TROUPE_TEST_HOST');
  });

  test('closing waits for a request in work, and cuts it after the grace', async () => {
    const { promise: gate, resolve: openGate } = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const slow = await listenOn((_request, response) => {
      reached.resolve();
      void gate.then(() => response.end('done'));
    });
    const asking = ask(slow.port, '/');
    await reached.promise;
    const closing = slow.close(10_000);
    openGate();
    expect((await asking).body).toBe('done');
    await closing;

    const reachedToo = Promise.withResolvers<void>();
    const stuck = await listenOn(() => reachedToo.resolve());
    const cut = ask(stuck.port, '/').catch((error: Error) => error);
    await reachedToo.promise;
    await Promise.all([stuck.close(20), stuck.close(20)]);
    expect(await cut).toBeInstanceOf(Error);
  });
});
