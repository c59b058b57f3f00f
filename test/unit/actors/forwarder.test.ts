import { describe, expect, it } from 'vitest';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import { createForwarder } from '../../../actors/forwarder/index.ts';
import type { Copied, ForwarderMessage, RedirectedRecord } from '../../../actors/forwarder/messages.ts';
import { offset } from '../../../src/domain/ids.ts';
import type { OutgoingRecord } from '../../../src/kafka/port.ts';
import { observe } from '../../../src/observe/facts.ts';
import { pass, probe, settle, testSystem } from '../../kit/actors.ts';
import { losableSettlement, moodyProducer } from './producing.kit.ts';

function setUp() {
  const { system, clock } = testSystem();
  const fake = moodyProducer('record');
  const { settlement, settled, revoke } = losableSettlement();
  const deadLetter = probe<DeadLetterMessage>();
  const copied = probe<Copied>();
  const spec = createForwarder({
    producer: fake.producer,
    deadLetter,
    options: { mailboxCapacityCount: 100 },
    strategy: { directive: 'escalate' },
  });
  const ref = system.spawn(spec, 'forwarder');
  const record = (at: number, more: Partial<RedirectedRecord> = {}): RedirectedRecord => ({
    settlement,
    offset: offset(at),
    key: Buffer.from(`key ${at}`),
    value: Buffer.from(`value ${at}`),
    headers: { token: Buffer.from('t') },
    timestampMs: 5,
    ...more,
  });
  const tell = (message: ForwarderMessage) => expect(ref.tell(message)).toBe('accepted');
  return {
    system,
    clock,
    settled,
    record,
    deadLetter,
    copied,
    tell,
    redirect: (...records: RedirectedRecord[]) => tell({ type: 'redirect', topic: 'overflow', records }),
    copy: (ticket: number, value = 'copy', topic = 'symbols') =>
      tell({ type: 'copy', ticket, topic, key: Buffer.from('uuid'), value: Buffer.from(value), replyTo: copied }),
    revoke,
    ...fake,
  };
}
const values = (sent: readonly OutgoingRecord[]): string[] => sent.map(({ value }) => value.toString());

describe('the forwarder', () => {
  it('B-4, K-13: a redirected record arrives with the same value and headers, and the key it was given', async () => {
    const { system, redirect, record, sent, settled } = setUp();
    redirect(record(7), record(8, { key: null }));
    await settle(system);
    const headers = { token: Buffer.from('t') };
    expect(sent).toEqual([
      { topic: 'overflow', key: Buffer.from('key 7'), value: Buffer.from('value 7'), headers },
      { topic: 'overflow', key: null, value: Buffer.from('value 8'), headers },
    ]);
    expect(settled).toEqual([
      [7, { type: 'redirected', topic: 'overflow' }],
      [8, { type: 'redirected', topic: 'overflow' }],
    ]);
  });

  it('F1: settles nothing and answers no copy before Kafka has acknowledged it', async () => {
    const { system, redirect, copy, record, control, release, settled, copied } = setUp();
    control.holds = true;
    redirect(record(1));
    copy(9);
    await settle(system);
    expect([settled, copied.messages]).toEqual([[], []]);
    control.holds = false;
    release();
    await settle(system);
    expect(settled).toHaveLength(1);
    expect(copied.messages).toEqual([{ type: 'copied', ticket: 9, result: 'acknowledged' }]);
  });

  it('F2: Kafka away for long: everything waits, is sent in order once it is back, and a drain is answered only then', async () => {
    const { system, clock, redirect, copy, record, control, calls, sent, settled, copied, tell } = setUp();
    control.away = new Set(['overflow', 'symbols']);
    const drained = probe<{ readonly type: 'drained' }>();
    redirect(record(1));
    copy(1);
    await settle(system);
    redirect(record(2), record(3));
    tell({ type: 'drain', replyTo: drained });
    await pass(system, clock, 60_000, 500);
    expect([settled, copied.messages, drained.messages]).toEqual([[], [], []]);
    expect(calls.length).toBeLessThan(50); // it backs off
    control.away.clear();
    await pass(system, clock, 6_000, 500);
    expect(values(sent.filter(({ topic }) => topic === 'overflow'))).toEqual(['value 1', 'value 2', 'value 3']);
    expect([copied.messages.length, drained.messages]).toEqual([1, [{ type: 'drained' }]]);
  });

  it('F3: records of a lost partition are left out', async () => {
    const { system, clock, redirect, record, control, sent, settled, revoke } = setUp();
    control.away = new Set(['overflow']);
    redirect(record(1));
    await settle(system);
    revoke();
    control.away.clear();
    await pass(system, clock, 1_000, 100);
    expect([sent, settled]).toEqual([[], []]);
  });

  it('F4: a topic that cannot be written holds up no other', async () => {
    const { system, redirect, copy, record, control, copied, settled } = setUp();
    control.away = new Set(['overflow']);
    redirect(record(1));
    copy(4);
    await settle(system);
    expect([settled, copied.messages.length]).toEqual([[], 1]);
  });

  it('F5: a record too large for its topic is dead-lettered by name, a copy answered; their neighbours arrive in order', async () => {
    const { system, redirect, copy, record, control, sent, settled, deadLetter, copied } = setUp();
    control.limitBytes = 100;
    redirect(record(1), record(2, { value: Buffer.alloc(101) }), record(3));
    copy(5, 'x'.repeat(101));
    copy(6);
    await settle(system);
    expect(values(sent).sort()).toEqual(['copy', 'value 1', 'value 3']);
    expect(settled.map(([at]) => at)).toEqual([1, 3]);
    expect(deadLetter.messages).toMatchObject([
      { type: 'dead-letter', records: [{ offset: 2, reason: 'redirect_too_large', origin: 'forwarder' }] },
    ]);
    expect(copied.messages.map(({ ticket, result }) => [ticket, result])).toEqual([
      [5, 'too-large'],
      [6, 'acknowledged'],
    ]);
  });

  it('states what was acknowledged by topic', async () => {
    const facts: unknown[] = [];
    const stop = observe('forwarder-produced', (fact) => facts.push(fact));
    const { system, redirect, copy, record } = setUp();
    redirect(record(1), record(2));
    copy(1);
    await settle(system);
    stop();
    expect(facts).toEqual([
      { topic: 'overflow', redirected: 2, copied: 0 },
      { topic: 'symbols', redirected: 0, copied: 1 },
    ]);
  });
});
