import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { observe, state } from '../../../src/observe/facts.ts';
import { startTracing, type Tracing } from '../../../src/telemetry/sdk.ts';
import { startOtlpSink, type OtlpSink } from '../../kit/otlp-sink.ts';

const TRACE = '0193f4e1aaaa7bbb8cccdddddddddddd';
const OTHER_TRACE = '0193f4e1aaaa7bbb8cccdddddddddddf';
/** As in life: the SDK takes a small number for one of performance.now(), once the process is old enough for it. */
const WALL_MS = Date.UTC(2026, 0, 1);
const span = (digit: string): string => digit.repeat(16);

describe('spans over OTLP/HTTP', () => {
  let sink: OtlpSink;
  let tracing: Tracing;

  beforeAll(async () => {
    sink = await startOtlpSink();
    tracing = startTracing({ endpoint: `${sink.endpoint}/`, serviceName: 'troupe-test' });
    stateOneEvent();
    await tracing.stop();
  });
  afterAll(() => sink.close());

  /** What the rooms state about one sampled event; later stages end first, as in life. */
  function stateOneEvent(): void {
    const within = (cause: string): { traceId: string; spanId: string } => ({ traceId: TRACE, spanId: cause });
    state('stage-ended', {
      name: 'insert',
      kind: 'client',
      trace: within(span('4')),
      startMs: WALL_MS + 1_060,
      endMs: WALL_MS + 1_090,
      attributes: { table: 'events', rows: 7 },
      links: [{ traceId: OTHER_TRACE, spanId: span('9') }],
    });
    state('stage-ended', { name: 'person', trace: within(span('3')), spanId: span('4'), startMs: WALL_MS + 1_040, endMs: WALL_MS + 1_050 });
    state('stage-ended', {
      name: 'plugin',
      trace: within(span('3')),
      startMs: WALL_MS + 1_030,
      endMs: WALL_MS + 1_035,
      error: 'TypeError',
    });
    state('stage-ended', {
      name: 'process',
      kind: 'consumer',
      trace: within(span('2')),
      spanId: span('3'),
      startMs: WALL_MS + 1_020,
      endMs: WALL_MS + 1_095,
      attributes: { topic: 't', partition: 3, offset: 42 },
    });
    state('stage-ended', {
      name: 'publish',
      kind: 'producer',
      trace: within(span('1')),
      spanId: span('2'),
      startMs: WALL_MS + 1_005,
      endMs: WALL_MS + 1_010,
    });
    state('stage-ended', {
      name: 'capture',
      kind: 'server',
      trace: within('0000000000000000'),
      spanId: span('1'),
      startMs: WALL_MS + 1_000,
      endMs: WALL_MS + 1_012,
    });
  }
  const received = (name: string) => sink.spans.find((candidate) => candidate.name === name);

  it('connect one event from capture to insert, each stage below the one that caused it', () => {
    const path: string[] = [];
    for (let at = received('insert'); at !== undefined; at = sink.spans.find(({ spanId }) => spanId === at?.parentSpanId))
      path.unshift(at.name);
    expect(path).toEqual(['capture', 'publish', 'process', 'person', 'insert']);
    expect(new Set(sink.spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  });

  it('I1: have the ids of their facts, so that a stage can be named as cause before its span exists', () => {
    expect(received('capture')).toMatchObject({ spanId: span('1'), parentSpanId: '', kind: 2 });
    expect(received('process')).toMatchObject({ spanId: span('3'), parentSpanId: span('2'), kind: 5 });
    expect(received('insert')?.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(received('insert')?.spanId).not.toBe(span('4'));
  });

  it('have the times of their facts', () => {
    expect(received('insert')).toMatchObject({ startMs: WALL_MS + 1_060, endMs: WALL_MS + 1_090 });
  });

  it("have OpenTelemetry's attribute names of today", () => {
    expect(received('process')?.attributes).toMatchObject({
      'messaging.destination.name': 't',
      'messaging.destination.partition.id': '3',
      'kafka.offset': 42,
    });
    expect(received('insert')?.attributes).toMatchObject({ 'db.collection.name': 'events', 'db.operation.batch.size': 7 });
  });

  it('say that a stage failed, and link the other traces of a batch', () => {
    expect(received('plugin')?.statusCode).toBe(2);
    expect(received('person')?.statusCode).toBe(0);
    expect(received('insert')?.links).toEqual([{ traceId: OTHER_TRACE, spanId: span('9') }]);
  });

  it('are all that is sent: no metrics, no logs', () => {
    expect([...sink.paths]).toEqual(['/v1/traces']);
  });

  it('end when tracing is stopped', () => {
    const before = sink.spans.length;
    stateOneEvent();
    expect(sink.spans).toHaveLength(before);
  });
});

describe('without a collector', () => {
  it('stopping ends within its time although nothing answers, and says so', async () => {
    const said: string[] = [];
    const stopListening = observe('log-written', ({ message }) => said.push(message));
    const tracing = startTracing({ endpoint: 'http://127.0.0.1:9', serviceName: 'troupe-test' });
    state('stage-ended', { name: 'lost', trace: { traceId: TRACE, spanId: '' }, startMs: 1, endMs: 2 });
    await expect(tracing.stop()).resolves.toBeUndefined();
    stopListening();
    expect(said).toContain('Traces could not be sent.');
  });
});
