/** What the actors that produce records are tested against: topics with moods, and the settlement of a partition that can be lost. */
import type { Outcome, Settlement } from '../../../src/domain/outcome.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../src/kafka/port.ts';

const bytesOf = (record: OutgoingRecord): number =>
  record.value.length + Object.entries(record.headers ?? {}).reduce((sum, [name, value]) => sum + name.length + value.length, 0);

/** Topics that can be away, can hold their answer back, and refuse a call in which a record, or all of them, is beyond their limit. */
export function moodyProducer(limitOf: 'record' | 'call') {
  const sent: (OutgoingRecord & { readonly topic: string })[] = [];
  const calls: number[] = [];
  const held: (() => void)[] = [];
  const control = { away: new Set<string>(), holds: false, limitBytes: Infinity };
  const producer: RecordProducer = {
    async send(topic, records) {
      calls.push(records.length);
      if (control.holds) await new Promise<void>((resolve) => held.push(resolve));
      if (control.away.has(topic)) throw new ProduceError('unavailable', 'away');
      const bytes = records.map(bytesOf);
      const most = limitOf === 'record' ? Math.max(...bytes) : bytes.reduce((sum, one) => sum + one, 0);
      if (most > control.limitBytes) throw new ProduceError('too-large', 'too large');
      sent.push(...records.map((record) => ({ topic, ...record })));
    },
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  };
  return { producer, sent, calls, control, release: () => held.splice(0).forEach((go) => go()) };
}

/** Remembers what was settled, in order; `revoke` is the loss of the partition. */
export function losableSettlement() {
  const settled: [number, Outcome][] = [];
  let active = true;
  const settlement: Settlement = {
    topic: 'events',
    partition: 3,
    generation: 1,
    get active() {
      return active;
    },
    settle: (at, outcome) => void settled.push([at, outcome]),
  };
  return { settlement, settled, revoke: () => void (active = false) };
}
