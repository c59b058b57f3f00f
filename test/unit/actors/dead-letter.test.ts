import { describe, expect, it } from 'vitest';
import { createDeadLetter } from '../../../actors/dead-letter/index.ts';
import type { DeadLetterMessage, PoisonRecord } from '../../../actors/dead-letter/messages.ts';
import { offset } from '../../../src/domain/ids.ts';
import type { SideRow } from '../../../src/domain/rows.ts';
import type { Outcome } from '../../../src/domain/outcome.ts';
import { observe } from '../../../src/observe/facts.ts';
import { pass, probe, settle, testSystem } from '../../kit/actors.ts';
import { losableSettlement, moodyProducer } from './producing.kit.ts';

function setUp() {
  const { system, clock } = testSystem();
  const fake = moodyProducer('call');
  const { settlement, settled, revoke } = losableSettlement();
  const shown: SideRow[] = [];
  const spec = createDeadLetter({
    producer: fake.producer,
    tellRows: (rows) => shown.push(...rows),
    options: { topic: 'dlq', mailboxCapacityCount: 100 },
    strategy: { directive: 'escalate' },
  });
  const ref = system.spawn(spec, 'dead-letter');
  const record = (at: number, value = 'bytes', more: Partial<PoisonRecord> = {}): PoisonRecord => ({
    settlement,
    offset: offset(at),
    key: Buffer.from('key'),
    value: Buffer.from(value),
    headers: { token: Buffer.from('t'), other: 'text' },
    timestampMs: Date.UTC(2026, 10, 21),
    reason: 'failed_parse_message',
    origin: 'router',
    detail: 'not JSON',
    ...more,
  });
  const tell = (...records: PoisonRecord[]) => expect(ref.tell({ type: 'dead-letter', records })).toBe('accepted');
  return { system, clock, ref, settled, shown, record, tell, revoke, ...fake };
}
const UUID = '01890000-0000-7000-8000-000000000001';
const offsets = (settled: readonly [number, Outcome][]): number[] => settled.map(([at]) => at);

describe('the dead-letter actor', () => {
  it('produces the original key, bytes and headers, with where from and why', async () => {
    const { system, tell, record, sent, settled } = setUp();
    tell(record(7));
    await settle(system);
    expect(sent).toEqual([
      {
        topic: 'dlq',
        key: Buffer.from('key'),
        value: Buffer.from('bytes'),
        headers: {
          token: Buffer.from('t'),
          other: 'text',
          dlq_reason: 'failed_parse_message',
          dlq_origin: 'router',
          dlq_detail: 'not JSON',
          dlq_topic: 'events',
          dlq_partition: '3',
          dlq_offset: '7',
          dlq_timestamp: '2026-11-21T00:00:00.000Z',
        },
      },
    ]);
    expect(settled).toEqual([[7, { type: 'dead-lettered', reason: 'failed_parse_message' }]]);
  });

  it('X1: settles nothing before Kafka has acknowledged it', async () => {
    const { system, tell, record, control, release, settled } = setUp();
    control.holds = true;
    tell(record(1));
    await settle(system);
    expect(settled).toEqual([]);
    control.holds = false;
    release();
    await settle(system);
    expect(offsets(settled)).toEqual([1]);
  });

  it('X2: Kafka away for long: everything waits, is produced once it is back, and a drain is answered only then', async () => {
    const { system, clock, ref, tell, record, control, sent, settled, calls } = setUp();
    control.away.add('dlq');
    const drained = probe<{ readonly type: 'drained' }>();
    tell(record(1));
    await settle(system);
    tell(record(2), record(3));
    ref.tell({ type: 'drain', replyTo: drained });
    await pass(system, clock, 60_000, 500);
    expect(settled).toEqual([]);
    expect(drained.messages).toEqual([]);
    expect(calls.length).toBeLessThan(25); // it backs off
    control.away.clear();
    await pass(system, clock, 6_000, 500);
    expect(offsets(settled)).toEqual([1, 2, 3]);
    expect(sent).toHaveLength(3);
    expect(drained.messages).toEqual([{ type: 'drained' }]);
  });

  it('X3: records of a lost partition are left out', async () => {
    const { system, clock, tell, record, control, sent, settled, revoke, ref } = setUp();
    control.away.add('dlq');
    tell(record(1));
    await settle(system);
    revoke();
    control.away.clear();
    await pass(system, clock, 1_000, 100);
    expect([sent, settled]).toEqual([[], []]);
    const drained = probe<{ readonly type: 'drained' }>();
    ref.tell({ type: 'drain', replyTo: drained } satisfies DeadLetterMessage);
    await settle(system);
    expect(drained.messages).toHaveLength(1);
  });

  it('X4: a value longer than the limit is cut and says so', async () => {
    const { system, tell, record, sent, settled } = setUp();
    tell(record(1, 'x'.repeat(1_000_000)));
    await settle(system);
    expect(sent[0]?.value).toHaveLength(900_000);
    expect(sent[0]?.headers).toMatchObject({ dlq_truncated: 'true' });
    expect(offsets(settled)).toEqual([1]);
  });

  it('X4: a topic with a smaller limit gets the one large record in pieces it can hold, the others whole, all in order', async () => {
    const { system, tell, record, sent, settled, control } = setUp();
    control.limitBytes = 2_000;
    tell(record(1), record(2, 'y'.repeat(5_000)), record(3));
    await settle(system);
    expect(offsets(settled)).toEqual([1, 2, 3]);
    expect(sent.map((one) => one.value.length)).toEqual([5, 1_250, 5]);
    expect(sent.map((one) => one.headers?.['dlq_truncated'])).toEqual([undefined, 'true', undefined]);
  });

  it('X4: headers that alone are too large are the last to go', async () => {
    const { system, tell, record, sent, settled, control } = setUp();
    control.limitBytes = 2_000;
    tell(record(1, 'value', { headers: { huge: Buffer.alloc(5_000) } }));
    await settle(system);
    expect(offsets(settled)).toEqual([1]);
    expect(sent[0]?.headers).toMatchObject({ dlq_truncated: 'true', dlq_offset: '1' });
    expect(sent[0]?.headers).not.toHaveProperty('huge');
  });

  it('states what it produced by reason, and shows the last ones without keys and values', async () => {
    const facts: unknown[] = [];
    const place = (offset: number) => ({ topic: 'events', partition: 3, offset });
    const stop = observe('dead-letter-produced', (fact) => facts.push(fact));
    const { system, tell, record } = setUp();
    tell(record(1), record(2), record(3, 'v', { reason: 'row_refused' }));
    await settle(system);
    stop();
    expect(facts).toEqual([
      { reason: 'failed_parse_message', count: 2, places: [place(1), place(2)] },
      { reason: 'row_refused', count: 1, places: [place(3)] },
    ]);
    const shown = JSON.stringify(system.inspect.list());
    expect(shown).toContain('row_refused');
    expect(shown).not.toContain('bytes');
  });

  it('X5, L-2: an event of a known team becomes a row for it once its bytes are safe; a record of nobody does not', async () => {
    const { system, tell, record, control, release, shown } = setUp();
    control.holds = true;
    const value = JSON.stringify({ uuid: UUID, distinct_id: 'd', data: JSON.stringify({ event: 'buy' }) });
    tell(record(0, value, { teamId: 7, eventUuid: UUID, origin: 'distinct-id:write', detail: 'refused' }), record(1, 'not JSON'));
    await settle(system);
    expect(shown).toEqual([]);
    release();
    await settle(system);
    expect(shown).toMatchObject([
      {
        table: 'events_dead_letter_queue',
        teamId: 7,
        eventUuid: UUID,
        event: 'buy',
        errorLocation: 'plugin_server_ingest_event:processPersonsStep',
        error: 'Event ingestion failed. Error: refused',
      },
    ]);
  });

  it('K-13: the copy names its event beside the headers it came with; where none can be read, no header says so', async () => {
    const { system, tell, record, sent } = setUp();
    tell(record(0, 'bytes', { eventUuid: UUID }), record(1));
    await settle(system);
    expect(sent.map(({ headers }) => headers?.['event-id'])).toEqual([UUID, undefined]);
    expect(sent.map(({ headers }) => headers?.['sentry-event-id'])).toEqual([undefined, undefined]);
  });
});
