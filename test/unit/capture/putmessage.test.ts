import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { messageOf } from '../../../src/capture/putmessage/message.ts';
import type { CaptureOptions } from '../../../src/capture/options.ts';
import { createCapture } from '../../../src/capture/service.ts';
import type { EventSink, SinkResult } from '../../../src/capture/sink.ts';
import type { OutgoingRecord } from '../../../src/kafka/port.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { systemClock, systemRandom } from '../../../src/runtime/clock.ts';
import { manualClock } from '../../kit/clock.ts';
import { listen, TOPICS, type Served } from './kit.ts';
import { createErrorLines } from '../../../src/capture/putmessage/error-lines.ts';

/** 16.2 row 16: the sample event, as `ab -p` and curl post it. */
const SAMPLE = readFileSync(join(import.meta.dirname, '../../../deploy/examples/sample-event.json'), 'utf8');

describe('the value of a message', () => {
  test.for([
    ['{"a":1}', '{"body_data":"{\\"a\\":1}"}'],
    ['plain', '{"body_data":"plain"}'],
    ['a\nb\tc\\', '{"body_data":"a\\nb\\tc\\\\"}'],
    ['é😀', '{"body_data":"é😀"}'],
  ] as const)('row 4: of %s is %s', ([body, value]) => {
    expect(messageOf(Buffer.from(body)).toString()).toBe(value);
  });

  test('row 3: every body of UTF-8 comes out of the JSON as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(messageOf(Buffer.from(text)).toString())).toEqual({ body_data: Buffer.from(text).toString() });
      }),
    );
  });

  test('row 3: bytes that are no UTF-8 are kept too, byte by byte', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const { body_data: text } = JSON.parse(messageOf(Buffer.from(bytes)).toString('latin1')) as { body_data: string };
        expect(Buffer.from(text, 'latin1').equals(bytes)).toBe(true);
      }),
    );
  });
});

describe('/putmessage', () => {
  let served: Served;
  let sent: { topic: string; record: OutgoingRecord }[];
  let behave: () => Promise<SinkResult>;

  const serve = async (putmessage: CaptureOptions['putmessage'] = { topics: ['raw.events_1'], ack: 'durable', logMessages: false }) => {
    const sink: EventSink = {
      send(records) {
        for (const [topic, ofTopic] of records) for (const record of ofTopic) sent.push({ topic, record });
        return behave();
      },
    };
    const options = { sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0 };
    served = await listen(createCapture(putmessage === undefined ? options : { ...options, putmessage }));
  };
  beforeEach(() => {
    sent = [];
    behave = () => Promise.resolve({ type: 'acknowledged' });
  });
  afterEach(() => served.close());

  test('rows 1-5, 7: the body goes to the topic of the header, without a key; 200 with a type and no body', async () => {
    await serve();
    const answer = await served.ask('/putmessage', {
      body: SAMPLE,
      headers: { topic: 'raw.events_1', 'content-type': 'application/json' },
    });
    expect([answer.status, answer.headers['content-type'], answer.body]).toEqual([200, 'application/json', '']);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ topic: 'raw.events_1', record: { key: null } });
    expect(JSON.parse(sent[0]?.record.value.toString() ?? '')).toEqual({ body_data: SAMPLE });
    expect(sent[0]?.record.headers).toBeUndefined();
  });

  test.for([
    ['row 1: an empty body', '/putmessage', { body: '', headers: { topic: 'raw.events_1' }, method: 'POST' }, 400],
    ['row 2: no topic', '/putmessage', { body: 'x' }, 400],
    ['row 2: no name of a topic', '/putmessage', { body: 'x', headers: { topic: 'a/b' } }, 400],
    ['row 2: a topic that is not on the list', '/putmessage', { body: 'x', headers: { topic: 'events_plugin_ingestion' } }, 403],
    ['row 1: another path', '/putmessage/', { body: 'x', headers: { topic: 'raw.events_1' } }, 404],
    ['row 1: a GET', '/putmessage', {}, 405],
    ['too large', '/putmessage', { body: 'x'.repeat(1_000_000), headers: { topic: 'raw.events_1' } }, 413],
  ] as const)('%s is refused, and nothing is sent', async ([, path, asked, status]) => {
    await serve();
    expect((await served.ask(path, asked)).status).toBe(status);
    expect(sent).toEqual([]);
  });

  test('without topics there is no such path', async () => {
    await serve({ topics: [], ack: 'durable', logMessages: false });
    expect((await served.ask('/putmessage', { body: 'x', headers: { topic: 'raw.events_1' } })).status).toBe(404);
  });

  test('U1: durable waits for the sink, and says 503 when it has nothing', async () => {
    await serve();
    behave = () => Promise.resolve({ type: 'unavailable', missing: new Map(), error: new Error('away') });
    const answer = await served.ask('/putmessage', { body: 'x', headers: { topic: 'raw.events_1' } });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
  });

  test('U2, row 7: none answers before the sink does, and tries again until it has the message', async () => {
    await serve({ topics: ['t'], ack: 'none', logMessages: false });
    const results: SinkResult[] = [{ type: 'unavailable', missing: new Map(), error: new Error('away') }];
    const { promise: open, resolve: release } = Promise.withResolvers<void>();
    behave = () => open.then(() => results.shift() ?? { type: 'acknowledged' });
    expect((await served.ask('/putmessage', { body: 'x', headers: { topic: 't' } })).status).toBe(200);
    expect(sent).toHaveLength(1);
    release();
    await expect.poll(() => sent.length, { timeout: 5_000 }).toBe(2);
    expect(sent[1]?.record.value.toString()).toBe(sent[0]?.record.value.toString());
  });
});

describe('the error line of failed batches', () => {
  const record = (text: string): OutgoingRecord => ({ key: null, value: Buffer.from(text) });
  let told: Facts['putmessage-batch-failed'][];
  let end: () => void;
  beforeEach(() => {
    told = [];
    end = observe('putmessage-batch-failed', (fact) => told.push(fact));
  });
  afterEach(() => end());

  test('row 8: one for the messages of a second, by topic and by whether it passes; keys and messages in turn, a null key as ""', () => {
    const clock = manualClock();
    const lines = createErrorLines({ clock, withMessages: true });
    lines.note('a', record('one'), { code: 'unavailable', error: '' });
    lines.note('a', record('two'), { code: 'late', error: '' });
    lines.note('b', record('three'), { code: 'unknown-topic', error: '' });
    expect(told).toEqual([]);
    clock.advance(1_000);
    expect(told).toEqual([
      { topic: 'a', entries: 4, isRetryable: true, json: '["","one","","two"]' },
      { topic: 'b', entries: 2, isRetryable: false, json: '["","three"]' },
    ]);
  });

  test('row 6: 200 messages are a batch; what clients sent is told only on demand', () => {
    const lines = createErrorLines({ clock: manualClock(), withMessages: false });
    for (let n = 0; n < 450; n++) lines.note('a', record('x'), { code: 'late', error: '' });
    expect(told.map(({ entries, json }) => [entries, json])).toEqual([[400, '[]'], [400, '[]']]); // prettier-ignore
  });
});
