import { afterEach, describe, expect, it } from 'vitest';
import type { Listening } from '../../../src/http/listen.ts';
import { createProfiler, readProfileRequest } from '../../../src/http/profile.ts';
import { createOperationsHandler } from '../../../src/http/server.ts';
import { manualClock, type ManualClock } from '../../kit/clock.ts';
import { ask, listenOn } from './kit.ts';

describe('HT-3: what may be asked for', () => {
  const read = (type: string, query = '') => readProfileRequest(type, new URLSearchParams(query));

  it.each([
    ['cpu', '', { type: 'cpu', seconds: 30, interval: 1_000 }],
    ['cpu', 'seconds=2&interval=200&mode=1', { type: 'cpu', seconds: 2, interval: 200 }],
    ['heap', '', { type: 'heap', seconds: 30, interval: 524_288, depth: 16 }],
    ['heap', 'seconds=5&interval=4096&depth=32', { type: 'heap', seconds: 5, interval: 4_096, depth: 32 }],
  ])('%s?%s', (type, query, request) => {
    expect(read(type, query)).toEqual(request);
  });

  it.each(['seconds=0', 'seconds=301', 'seconds=x', 'seconds=1.5', 'interval=1', 'mode=2'])('cpu?%s is refused by name', (query) => {
    expect(read('cpu', query)).toContain(query.split('=')[0]);
  });

  it('another type is not known', () => {
    expect(read('goroutine')).toBeUndefined();
  });
});

describe('HT-3: the profiles', () => {
  const open: Listening[] = [];
  afterEach(() => Promise.all(open.splice(0).map((server) => server.close(0))));

  async function serve(clock: ManualClock): Promise<number> {
    const checks = { health: {}, ready: {}, metrics: () => Promise.resolve('') };
    const server = await listenOn(createOperationsHandler({ ...checks, profiler: createProfiler({ clock }), clock }));
    open.push(server);
    return server.port;
  }
  /** The clock is moved until the request, which waits for it in steps of its own, is answered. */
  async function answered<T>(clock: ManualClock, asked: Promise<T>): Promise<T> {
    let isDone = false;
    void asked.finally(() => (isDone = true));
    while (!isDone) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return asked;
  }

  it('are given as attachments that developer tools open', async () => {
    const clock = manualClock();
    const port = await serve(clock);
    const cpu = await answered(clock, ask(port, '/_profile/cpu?seconds=2'));
    expect([cpu.status, Object.keys(JSON.parse(cpu.body) as object)]).toEqual([200, expect.arrayContaining(['nodes', 'samples'])]);
    expect(cpu.headers['content-disposition']).toMatch(/^attachment; filename="cpu-\d+\.cpuprofile"$/);
    const heap = await answered(clock, ask(port, '/_profile/heap?seconds=1&depth=8'));
    expect([heap.status, Object.keys(JSON.parse(heap.body) as object)]).toEqual([200, expect.arrayContaining(['head', 'samples'])]);
  });

  it('one at a time; another type is a 404, a bad parameter a 400', async () => {
    const clock = manualClock();
    const port = await serve(clock);
    const first = ask(port, '/_profile/cpu?seconds=5');
    let second = await ask(port, '/_profile/goroutine');
    expect(second.status).toBe(404);
    expect((await ask(port, '/_profile/heap?depth=0')).status).toBe(400);
    // The first has begun when a second one is told to wait its turn.
    second = await ask(port, '/_profile/heap?seconds=300');
    expect(second.status).toBe(409);
    expect((await answered(clock, first)).status).toBe(200);
  });
});
