import { Agent, request as httpRequest } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { createKafkaSink } from '../../../src/capture/kafka-sink.ts';
import { NO_RULES } from '../../../src/capture/rules.ts';
import type { CaptureOptions } from '../../../src/capture/options.ts';
import { systemClock, systemRandom } from '../../../src/runtime/clock.ts';
import { facts, fakeProducer, serving, TOPICS } from './kit.ts';

/** The machine may be busy. */
const PATIENT = { timeout: 10_000, interval: 2 };

type Producer = ReturnType<typeof fakeProducer>;

function optionsOf(kafka: Producer, changed: Partial<CaptureOptions> = {}): CaptureOptions {
  const sink = createKafkaSink({ producer: kafka, clock: systemClock });
  return { sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0, ...changed };
}
const bodyOf = (event: string, distinctId = 'u1'): string =>
  JSON.stringify({ token: 't', batch: ['$exception', event].map((name) => ({ event: name, properties: { distinct_id: distinctId } })) });

/** A request of which only the beginning is sent, until `finish`. Resolves when the server has read that beginning. */
async function beginning(url: string, body: string) {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const request = httpRequest(`${url}/batch`, { method: 'POST', headers: { 'Content-Length': Buffer.byteLength(body) } }, (response) => {
    response.resume();
    resolve(response.statusCode ?? 0);
  });
  request.on('error', reject);
  await new Promise<void>((written) => request.write(body.slice(0, -1), () => written()));
  return {
    async finish(): Promise<number> {
      request.end(body.slice(-1));
      return promise;
    },
  };
}

it('I6: a request ends on the chain that it began with, and the next one meets the new settings', async () => {
  const kafka = fakeProducer();
  const { capture, url, ask } = await serving(kafka);
  const begun = await beginning(url, bodyOf('begun'));
  await expect.poll(() => capture.inFlightCount(), PATIENT).toBe(1);

  capture.prepare(optionsOf(kafka, { rules: { ...NO_RULES, dropped: ['t'] } }))();
  const dropped = await ask('/batch', { body: bodyOf('after') });

  expect([dropped.status, await begun.finish()]).toEqual([200, 200]);
  expect(kafka.produced.map(({ data }) => data['event'])).toEqual(['$exception', 'begun']);
});

it('I6: a chain that is only prepared, and settings of which none can be built, change nothing', async () => {
  const kafka = fakeProducer();
  const { capture, ask } = await serving(kafka);
  capture.prepare(optionsOf(kafka, { rules: { ...NO_RULES, dropped: ['t'] } }));
  expect(() => capture.prepare({ ...optionsOf(kafka), dedupe: null as never })).toThrow();
  expect((await ask('/batch', { body: bodyOf('a') })).status).toBe(200);
  expect(kafka.produced).toHaveLength(2);
});

it('I4: bodies of requests of the old chain count in the new one', async () => {
  const kafka = fakeProducer();
  const limits = { inFlightBytes: 1_000 };
  const { capture, url, ask } = await serving(kafka, { limits });
  const begun = await beginning(url, bodyOf('x'.repeat(800)));
  await expect.poll(async () => (await ask('/batch', { body: bodyOf('y'.repeat(300)) })).status, PATIENT).toBe(503);

  capture.prepare(optionsOf(kafka, { limits }))();

  expect((await ask('/batch', { body: bodyOf('y'.repeat(300)) })).status).toBe(503);
  capture.prepare(optionsOf(kafka, { limits: { inFlightBytes: 10_000 } })); // not put into force
  expect((await ask('/batch', { body: bodyOf('y'.repeat(300)) })).status).toBe(503);
  capture.prepare(optionsOf(kafka, { limits: { inFlightBytes: 10_000 } }))();
  expect((await ask('/batch', { body: bodyOf('y'.repeat(300)) })).status).toBe(200);
  expect(await begun.finish()).toBe(200);
  expect((await ask('/batch', { body: bodyOf('y'.repeat(300)) })).status).toBe(200);
});

it('7.2: token buckets outlive a reload that leaves their limits alone, and begin anew with other limits', async () => {
  const kafka = fakeProducer();
  const rulesWith = (burstCount: number) => ({
    rules: { ...NO_RULES, overflow: { ...NO_RULES.overflow, limits: { perSecond: 0.001, burstCount } } },
  });
  const { capture, ask } = await serving(kafka, rulesWith(1));
  const topicOf = async (): Promise<string | undefined> => {
    await ask('/batch', { body: bodyOf('a') });
    return kafka.produced.at(-1)?.topic;
  };
  expect([await topicOf(), await topicOf()]).toEqual(['main', 'overflow']);
  capture.prepare(optionsOf(kafka, rulesWith(1)))();
  expect(await topicOf()).toBe('overflow');
  capture.prepare(optionsOf(kafka, rulesWith(2))); // and not put into force
  capture.prepare(optionsOf(kafka, rulesWith(1)))();
  expect(await topicOf()).toBe('overflow');
  capture.prepare(optionsOf(kafka, rulesWith(2)))();
  expect([await topicOf(), await topicOf(), await topicOf()]).toEqual(['main', 'main', 'overflow']);
});

it('I6: fifty reloads under load of kept-alive connections fail no request, and none sees half of two configurations', async () => {
  const kafka = fakeProducer(() => new Promise<void>((resolve) => setImmediate(resolve)));
  const topicsOf = (family: string) => ({ ...TOPICS, main: `${family}-main`, exceptions: `${family}-exceptions` });
  const answered = facts('capture-request-answered');
  const { capture, url } = await serving(kafka, { topics: topicsOf('0') });
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  onTestFinished(() => agent.destroy());

  const post = (body: string) =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${url}/batch`, { method: 'POST', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      request.on('error', reject).end(body);
    });
  let reloads = 0;
  let sent = 0;
  const statuses: number[] = [];
  const client = async (): Promise<void> => {
    while (reloads < 50) {
      statuses.push(await post(bodyOf('a', `request-${sent++}`)));
    }
  };
  const clients = Array.from({ length: 16 }, client);
  while (reloads < 50) {
    const before = answered.length;
    await expect.poll(() => answered.length, PATIENT).toBeGreaterThan(before + 8);
    reloads++;
    capture.prepare(optionsOf(kafka, { topics: topicsOf(String(reloads)) }))();
  }
  await Promise.all(clients);

  expect(new Set(statuses)).toEqual(new Set([200]));
  const byRequest = Map.groupBy(kafka.produced, ({ key }) => key);
  const familiesOf = [...byRequest.values()].map((records) => records.map(({ topic }) => topic.split('-')[0]));
  expect(byRequest.size).toBe(sent);
  expect(familiesOf.filter(([first, second]) => first !== second)).toEqual([]);
  expect(new Set(familiesOf.flat()).size).toBeGreaterThan(25);
});
