import { afterEach, describe, expect, test } from 'vitest';
import { NO_RULES, type CaptureRules } from '../../../src/capture/rules.ts';
import { facts, fakeProducer, serving, v1Request, type Served } from './kit.ts';

/** spec/capture.md 6.5 and 7: what an operator lays down for events. */
describe('rules for events', () => {
  const producer = fakeProducer();
  const ruling = (rules: Partial<CaptureRules>): Promise<Served> => serving(producer, { rules: { ...NO_RULES, ...rules } });
  afterEach(() => {
    producer.produced.length = 0;
  });
  const send = async (served: Served, token: string, ...events: readonly Readonly<Record<string, unknown>>[]): Promise<void> => {
    const batch = events.map((fields) => ({ event: 'a', distinct_id: 'u1', ...fields }));
    expect(await served.ask('/batch', { body: JSON.stringify({ api_key: token, batch }) })).toMatchObject({
      status: 200,
      body: '{"status":"Ok"}',
    });
  };
  const where = (): (readonly [string, string | undefined])[] => producer.produced.map(({ topic, key }) => [topic, key] as const);

  test('48 a listed (token, distinct_id) is dropped with 200, other ids pass', async () => {
    const drops = facts('capture-events-dropped');
    const served = await ruling({ dropped: ['phc_x:u1'] });
    await send(served, 'phc_x', {}, { distinct_id: 'u2' }, { distinct_id: 'u11' });
    await send(served, 'phc_y', {});
    expect(where()).toEqual([['main', 'phc_x:u2'], ['main', 'phc_x:u11'], ['main', 'phc_y:u1']]); // prettier-ignore
    expect(drops).toEqual([{ cause: 'token_dropper', count: 1 }]);
  });

  test('7.1: a bare token drops all of it, whatever pairs stand beside it', async () => {
    const served = await ruling({ dropped: ['phc_x:u1', 'phc_x', 'phc_x:u3'] });
    await send(served, 'phc_x', {}, { distinct_id: 'u2' }, { event: '$exception' });
    expect(where()).toEqual([]);
  });

  test('7.1: v1 clients are told', async () => {
    const served = await ruling({ dropped: ['phc_x'] });
    const uuid = '018f0000-0000-7000-8000-000000000001';
    const answer = await served.ask('/i/v1/analytics/events', v1Request('phc_x', uuid));
    expect(JSON.parse(answer.body)).toEqual({ results: { [uuid]: { result: 'drop', details: 'token_dropper' } } });
  });

  test('47 with a burst of 2, the third event of a key overflows without its key; other keys and lanes do not', async () => {
    const rerouted = facts('capture-events-rerouted');
    const served = await ruling({ overflow: { limits: { perSecond: 0.001, burstCount: 2 }, keepsKeys: false, forced: [] } });
    await send(served, 'phc_x', { n: 1 }, { n: 2 }, { n: 3 }, { event: '$exception' }, { distinct_id: 'u2' });
    expect(where()).toEqual([
      ['main', 'phc_x:u1'],
      ['main', 'phc_x:u1'],
      ['main', 'phc_x:u2'],
      ['overflow', undefined],
      ['exceptions', 'phc_x:u1'],
    ]);
    expect(rerouted).toEqual([{ to: 'overflow', reason: 'rate_limited', count: 1 }]);
  });

  test('7.2: with locality, what overflows keeps its key', async () => {
    const served = await ruling({ overflow: { limits: { perSecond: 0.001, burstCount: 1 }, keepsKeys: true, forced: [] } });
    await send(served, 'phc_x', {}, {});
    expect(where()).toEqual([['main', 'phc_x:u1'], ['overflow', 'phc_x:u1']]); // prettier-ignore
    expect(producer.produced[1]?.headers).not.toHaveProperty('force_disable_person_processing');
  });

  test('7.2: historical events never overflow, and take nothing from the bucket', async () => {
    const served = await ruling({ overflow: { limits: { perSecond: 0.001, burstCount: 1 }, keepsKeys: false, forced: ['phc_h'] } });
    const batch = [{ event: 'a', distinct_id: 'u1' }];
    await served.ask('/batch', { body: JSON.stringify({ api_key: 'phc_h', historical_migration: true, batch: [...batch, ...batch] }) });
    expect(where()).toEqual([['historical', 'phc_h:u1'], ['historical', 'phc_h:u1']]); // prettier-ignore
  });

  test.for(['phc_x', 'phc_x:u1'])('7.2: %s forced: no key, even with locality, and no person', async (entry) => {
    const served = await ruling({ overflow: { limits: undefined, keepsKeys: true, forced: [entry] } });
    await send(served, 'phc_x', {});
    await send(served, 'phc_y', {});
    expect(producer.produced).toMatchObject([
      { topic: 'overflow', key: undefined, headers: { force_disable_person_processing: 'true' } },
      { topic: 'main', key: 'phc_y:u1' },
    ]);
  });

  test('6.5: an event of the main lane that is too old is historical, and says so; one of its own topic is not', async () => {
    const rerouted = facts('capture-events-rerouted');
    const served = await ruling({ historicalAfterMs: 86_400_000 });
    const old = new Date(Date.now() - 86_400_001).toISOString();
    const young = new Date(Date.now() - 86_000_000).toISOString();
    await send(served, 'phc_x', { timestamp: old }, { timestamp: young }, { timestamp: old, event: '$exception' });
    expect(
      producer.produced.map(({ topic, envelope, headers }) => [topic, envelope['historical_migration'], headers['historical_migration']]),
    ).toEqual([
      ['historical', true, 'true'],
      ['main', undefined, undefined],
      ['exceptions', undefined, undefined],
    ]);
    expect(rerouted).toEqual([{ to: 'historical', reason: 'timestamp', count: 1 }]);
  });
});
