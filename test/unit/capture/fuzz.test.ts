import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DETECTORS } from '../../../src/capture/guards/detectors.ts';
import { NO_GUARDS } from '../../../src/capture/guards/guards.ts';
import { observe } from '../../../src/observe/facts.ts';
import { bytes, queries, wrapped, type HostileRequest } from '../../kit/hostile-requests.ts';
import { fakeProducer, serve, type Served } from './kit.ts';
import { opened } from './plugins/kit.ts';

/** Thousands of requests, on a machine that does other things too. */
const LIMIT_MS = 60_000;
/** What strangers send: every answer is one that is named, and what was answered 200 is whole. test/fault/capture-fuzz.ts does it at length. */
const NAMED = new Set([200, 204, 400, 401, 403, 404, 405, 413, 415]);

/** All that looks into events: every one of them must get through, and no plugin may meet what it cannot give back. */
async function guarded(): Promise<Parameters<typeof serve>[1]> {
  const plugins = await opened([
    { plugin: { kind: 'auth', process: ({ token }) => ({ allow: true, token }) } },
    { plugin: { kind: 'data', process: (event) => Promise.resolve({ ...event, properties: { ...event.properties, added: 1 } }) } },
  ]);
  const masking = { remove: ['*a*b*', 'x.*.y'], replace: ['*e*'], detect: DETECTORS };
  return { plugins, guards: { ...NO_GUARDS, masking, addresses: 'anonymise' } };
}

describe.each([
  ['fuzz', 3_000, () => Promise.resolve({})],
  ['fuzz, with masking, addresses and plugins', 1_000, guarded],
] as const)('%s', (_, numRuns, optionsOf) => {
  const producer = fakeProducer();
  let served: Served;
  const bugs: unknown[] = [];
  /** Requests of which something was stored: a fuzz that is always refused at the door tests the door. */
  let taken = 0;
  beforeAll(async () => {
    served = await serve(producer, { limits: { decodedBytes: 1 << 20, wireBytes: 1 << 20 }, ...(await optionsOf()) });
  });
  afterAll(observe('log-written', (fact) => void (fact.level === 'error' && bugs.push(fact.fields))));
  afterAll(observe('capture-plugin-failed', (fact) => void bugs.push(fact)));
  afterAll(() => served.close());
  beforeEach(() => {
    producer.produced.length = 0;
  });

  const ask = async ({ path, ...asked }: HostileRequest): Promise<void> => {
    producer.produced.length = 0;
    const { status } = await served.ask(path, asked);
    expect(bugs).toEqual([]);
    expect(NAMED).toContain(status);
    if (status >= 400) expect(producer.produced).toEqual([]);
    if (producer.produced.length > 0) taken++;
    for (const { envelope, data, key } of producer.produced) {
      expect(envelope).toMatchObject({ uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown, ip: expect.any(String) as unknown });
      expect(typeof data['event']).toBe('string');
      expect(JSON.stringify([envelope, data, key])).not.toMatch(/(?<!\\)(?:\\\\)*\\ud[89a-f]/); // no lone surrogate
      expect([...String(envelope['distinct_id'])].length).toBeLessThanOrEqual(200);
    }
  };

  test(
    'shapes nobody thought of, in every wrapping, whole and broken',
    async () => {
      await fc.assert(fc.asyncProperty(wrapped, ask), { numRuns });
      expect(taken).toBeGreaterThan(50);
    },
    LIMIT_MS,
  );

  test('bytes', () => fc.assert(fc.asyncProperty(bytes, ask), { numRuns: 500 }));

  test('queries and methods', () => fc.assert(fc.asyncProperty(queries, ask), { numRuns: 500 }));
});
